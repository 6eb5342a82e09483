"""Parameters as a few numbers, so that a result of scripts/torch_replay can be kept and compared without PyTorch:

    torch_fixture.py FIXTURE ROUNDS RESULT_DIR    compares every run of a result with the fixture; exit 1 when one is too far

A tensor x is kept as its norm, the norm of its change since the start, and PROJECTIONS inner products with vectors of signs.
The square of such a product of a difference is on average the difference's squared norm, whichever elements differ.
"""
import hashlib
import json
import math
import operator
import os
import struct
import sys

PROJECTIONS = 4
# Relative L2 difference allowed after so many rounds: to the parameters (docs/independent-truth.md), and to their change.
OF_PARAMETERS = {"1": 1e-4, "3": 1e-2}
OF_CHANGE = {"1": 1e-4, "3": 1e-3}


def signs(number, n, memory={}):
    """n times +1 or -1, the same for the same number everywhere."""
    if (number, n) not in memory:
        bits = int.from_bytes(hashlib.shake_128(b"%d" % number).digest((n + 7) // 8), "little")
        memory[number, n] = [1.0 if c == "1" else -1.0 for c in reversed(bin(bits | 1 << n)[-n:])]
    return memory[number, n]


def project(x):
    """The inner products of a tensor's elements."""
    return [math.fsum(map(operator.mul, signs(k, len(x)), x)) for k in range(PROJECTIONS)]


def norm(x):
    return math.sqrt(math.fsum(map(operator.mul, x, x)))


def tensors(path):
    """Name and elements of every tensor of a safetensors file, in the order of the data."""
    with open(path, "rb") as f:
        raw = f.read()
    size = struct.unpack("<Q", raw[:8])[0]
    for name, t in json.loads(raw[8:8 + size]).items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            yield name, struct.unpack("<%df" % ((b - a) // 4), raw[8 + size + a:8 + size + b])


def difference(kept, path):
    """(relative to the parameters, relative to their change, tensor that is farthest by its own change)."""
    apart, whole, moved, worst = 0.0, 0.0, 0.0, (-1.0, "")
    found = dict(tensors(path))
    if list(found) != list(kept):
        raise SystemExit("%s: tensors %s, the fixture has %s" % (path, ", ".join(found), ", ".join(kept)))
    for name, (size, change, *products) in kept.items():
        square = sum((a - b) ** 2 for a, b in zip(project(found[name]), products)) / PROJECTIONS
        apart, whole, moved = apart + square, whole + size ** 2, moved + change ** 2
        worst = max(worst, (math.sqrt(square) / change, name))
    return math.sqrt(apart / whole), math.sqrt(apart / moved), "%s (%.1e of its change)" % (worst[1], worst[0])


def main(fixture, rounds, result):
    with open(fixture, encoding="utf-8") as f:
        kept = json.load(f)["rounds"][rounds]
    done = []
    for name in sorted(os.listdir(result)):
        path = os.path.join(result, name, "run.json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as f:
            config = json.load(f)["config"]
        key = "%s %s" % (config["model"], config["algorithm"]["name"])
        if key not in kept:
            raise SystemExit("%s: no '%s' in %s; it has %s" % (path, key, fixture, ", ".join(kept)))
        a, b, worst = difference(kept[key], os.path.join(result, name, "params.safetensors"))
        close = a <= OF_PARAMETERS[rounds] and b <= OF_CHANGE[rounds]      # False for a NaN
        print("round %s, %s: %.1e of the parameters, %.1e of their change, most in %s" % (rounds, key, a, b, worst), end="")
        print("" if close else ": TOO FAR, allowed %g and %g" % (OF_PARAMETERS[rounds], OF_CHANGE[rounds]))
        done.append((key, close))
    missing = sorted(set(kept) - {key for key, _ in done})
    if missing:
        print("round %s: no run of %s" % (rounds, ", ".join(missing)))
    return 1 if missing or not all(close for _, close in done) else 0


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[2] not in OF_CHANGE:
        raise SystemExit("usage: torch_fixture.py FIXTURE %s RESULT_DIR" % "|".join(OF_CHANGE))
    sys.exit(main(*sys.argv[1:]))
