#!/usr/bin/env bash
# The flags of every C file, from the build's compile_commands.json: ISO C17, no contraction into fma, nothing that lets the
# compiler or the machine that builds choose other bits. usage: flags.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
python3 - "$(dirname "$1")/compile_commands.json" << 'PY'
import json, os, shlex, sys

NEEDED = ["-std=c17", "-ffp-contract=off"]
BANNED = ["-march=native", "-mtune=native", "-mcpu=native", "-ffast-math", "-Ofast", "-funsafe-math-optimizations",
          "-fassociative-math", "-freciprocal-math", "-ffinite-math-only", "-fno-signed-zeros", "-ffp-contract=fast",
          "-ffp-contract=on", "-std=gnu17", "-flto", "-frounding-math"]

def wrong(words):
    found = [w + " is missing" for w in NEEDED if w not in words]
    found += [w + " is there" for w in words if w in BANNED]
    # The last one of a kind counts.
    for kind in ("-std=", "-ffp-contract="):
        last = [w for w in words if w.startswith(kind)][-1:]
        found += [last[0] + " comes last" for w in last if w not in NEEDED]
    return found

# Itself first.
good = ["cc", "-std=c17", "-ffp-contract=off", "-c", "a.c"]
assert not wrong(good)
for flag in BANNED:
    assert wrong(good + [flag]), flag
for flag in NEEDED:
    assert wrong([w for w in good if w != flag]), flag

commands = [c for c in json.load(open(sys.argv[1])) if c["file"].endswith(".c")]
bad = 0
for c in commands:
    words = c.get("arguments") or shlex.split(c["command"])
    for what in wrong(words):
        print("%s: %s" % (os.path.relpath(c["file"]), what), file=sys.stderr)
        bad += 1
print("%d commands of C files, %d complaints" % (len(commands), bad))
sys.exit(bad != 0 or len(commands) < 50)
PY
