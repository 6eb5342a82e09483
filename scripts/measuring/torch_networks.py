"""Networks of libfedlane.so and the same in PyTorch, in one process. torch_networks.py BUILD [arguments]

Both begin with the weights that PyTorch drew, under the names of its state_dict, and train by SGD on the same batches. Without
--time: the losses at steps 1, 10, 50, 200 and their relative difference, exit 1 when one is too large. With --time: a step of
each in turns: medians, and between which values half of them lie; seconds of this thread's processor time, or with --threads,
where a thread waits for others, seconds of the wall; with --compile PyTorch takes turns as it is and compiled, and the row has
the faster. With --fixture: what tests/unit/test_torch_networks.cpp compares with, from
PyTorch alone, in double precision."""
import argparse
import copy
import json
import os
import statistics
import struct
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

import library
from torch_models import FIXTURES, NETWORKS, WHOLE

ALLOWED = {1: 1e-5, 10: 1e-4, 50: 1e-3, 200: 1e-2}      # relative difference of the loss by step
ROWS = 1024
ENTRIES = 16                                            # of a tensor of the fixtures
ENTRIES_WHOLE = 3                                       # of those of whole networks, which have many tensors
TURN = 0.005                                            # seconds: what a neighbour left in the caches is gone by then
TURN_TEAM = 0.1                                         # and its threads, which wait for a call for milliseconds, sleep


class Theirs:
    def __init__(self, twin, data):
        self.model, self.classes = twin.make(), twin.classes
        self.optimizer = torch.optim.SGD([p for p in self.model.parameters() if p.requires_grad], lr=twin.lr)
        self.y = torch.from_numpy(data["labels"].astype(np.int64))
        self.x = (torch.from_numpy(data["images"].astype(np.float64) / 255 * 2 - 1).float() if "images" in data else
                  torch.from_numpy(data["tokens"].astype(np.int64)))

    def loss(self, x, y):
        return F.cross_entropy(self.model(x).reshape(-1, self.classes), y.reshape(-1))

    def compiled(self):
        """A second one with weights of its own, its forward and backward pass compiled."""
        other = copy.deepcopy(self)
        other.loss = torch.compile(other.loss, dynamic=False)
        return other

    def step(self, rows):
        self.optimizer.zero_grad()
        loss = self.loss(self.x[rows], self.y[rows])
        loss.backward()
        self.optimizer.step()
        return loss.item()


def pair(k, name, winograd=True):
    """(ours, theirs) from the same weights."""
    torch.manual_seed(1)
    twin = NETWORKS[name]
    data = twin.data(np.random.default_rng(1), ROWS, twin.classes)
    theirs = Theirs(twin, data)
    ours = library.Network(k, name, classes=twin.classes, winograd=winograd, **data)
    ours.begin(theirs.model.state_dict())
    return ours, theirs


def compare(k, name, steps, winograd):
    """One row of the table: losses and their differences."""
    twin, r = NETWORKS[name], np.random.default_rng(2)
    ours, theirs = pair(k, name, winograd)
    row, close = {"network": name, "batch": twin.batch, "lr": twin.lr, "winograd": "yes" if winograd else "no",
                  "threads": torch.get_num_threads()}, True
    for step in range(1, steps + 1):
        rows = r.choice(ROWS, twin.batch, replace=False)
        a, b = ours.step(rows, twin.lr), theirs.step(torch.from_numpy(rows))
        if step not in ALLOWED:
            continue
        apart = abs(a - b) / abs(b)
        row["loss %d" % step], row["difference %d" % step] = "%.7g" % b, "%.1e" % apart
        close = close and apart <= ALLOWED[step]         # False for a NaN
        print("%s, step %d: loss %.7g, relative difference %.1e%s" % (
            name, step, b, apart, "" if apart <= ALLOWED[step] else ": TOO FAR, allowed %g" % ALLOWED[step]), flush=True)
    return row, close


def quarters(values):
    q = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return ["%.4g" % (1e3 * v) for v in (q[1], q[0], q[2])]


def in_turns(calls, clock, turn, seconds):
    """Seconds of a step of each call, turn by turn, a turn being one step or as many as take some `turn` seconds; and how many
    steps those are of the first."""
    taken, steps, end = [[] for _ in calls], [1] * len(calls), None
    while end is None or clock() < end or len(taken[0]) < 5:
        for values, call, n in zip(taken, calls, steps):
            start = clock()
            for _ in range(n):
                call()
            values.append((clock() - start) / n)
        if len(taken[0]) == 2 and end is None:           # the first step of each makes its memory, or is compiled
            end = clock() + seconds
            steps = [max(1, int(turn / values[1])) for values in taken]
            taken = [[] for _ in calls]
    return taken, steps[0]


def timed(k, name, batch, winograd, args):
    """One row: milliseconds of a step of each."""
    clock, turn = (time.thread_time, TURN) if args.threads == 1 else (time.perf_counter, TURN_TEAM)
    rows, index = np.arange(batch), torch.arange(batch)
    ours, theirs = pair(k, name, winograd)
    calls = {"ours": lambda: ours.step(rows, 1e-6), "eager": lambda: theirs.step(index)}
    if args.compile:
        compiled = theirs.compiled()
        calls["compiled"] = lambda: compiled.step(index)
    taken, steps = in_turns(list(calls.values()), clock, turn, args.seconds)
    taken = dict(zip(calls, taken))
    of = {who: statistics.median(v) for who, v in taken.items()}
    form = min((who for who in of if who != "ours"), key=of.get)
    row = dict(zip(("ms", "ms quarter", "ms three quarters"), quarters(taken["ours"])))
    row.update(zip(("torch ms", "torch ms quarter", "torch ms three quarters"), quarters(taken[form])))
    return {"network": name, "batch": batch, "winograd": "yes" if winograd else "no", "threads": args.threads, **row,
            "samples/s": "%.4g" % (batch / of["ours"]), "torch samples/s": "%.4g" % (batch / of[form]),
            "times as fast": "%.2f" % (of[form] / of["ours"]), "turns": len(taken["ours"]), "steps a turn": steps,
            "torch form": form + (" of both" if args.compile else "")}


def drawn(state, n):
    """n bytes, the same as in the test."""
    out = np.empty(n, np.uint8)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2 ** 32
        out[i] = state >> 24
    return out, state


def fixture_data(twin):
    """Rows of the fixture: bytes one after the other, inputs, then labels; tokens and labels modulo what they are of."""
    shape = (twin.rows,) + twin.shape
    inputs, state = drawn(1, int(np.prod(shape)))
    labels, _ = drawn(state, twin.rows * (twin.positions or 1))
    labels = (labels % twin.classes).reshape((twin.rows, twin.positions) if twin.positions else twin.rows)
    if twin.tokens:
        return {"tokens": (inputs.astype(np.int32) % twin.tokens).reshape(shape), "labels": labels}
    return {"images": inputs.reshape(shape), "labels": labels}


def sampled(v, entries=ENTRIES):
    """The norm of a tensor, and some of its numbers, at the same places as in the test; all of a small one."""
    v = v.detach().reshape(-1)
    places = range(len(v)) if len(v) <= entries else [(i * 2654435761 % 2 ** 32) * len(v) >> 32 for i in range(entries)]
    return [v.norm().item()] + [v[i].item() for i in places]


def floats(state):
    return {k: v.clone() for k, v in state.items() if v.is_floating_point()}


def write_fixture(path, kept, lists, tensors):
    """lists: of numbers; tensors: of numbers by name."""
    def numbers(values):
        return "[%s]" % ", ".join("%.9g" % v for v in values)
    with open(path, "w", encoding="utf-8") as f:
        f.write(json.dumps(kept)[:-1])
        for key, values in lists.items():
            f.write(',\n"%s": %s' % (key, numbers(values)))
        for key, of in tensors.items():
            f.write(',\n"%s": {\n%s}' % (key, ",\n".join('"%s": %s' % (name, numbers(v)) for name, v in of.items())))
        f.write("}\n")


def in_double(theirs):
    """From here on in double precision; the logits of all rows, as evaluation has them."""
    theirs.model.double()
    theirs.x = theirs.x.double() if theirs.x.is_floating_point() else theirs.x
    with torch.no_grad():
        logits = theirs.model.eval()(theirs.x).reshape(-1).tolist()
    theirs.model.train()
    return logits


def gradients(theirs, entries=ENTRIES):
    return {k: sampled(v.grad, entries) for k, v in theirs.model.named_parameters() if v.requires_grad}


def about(twin):
    return {"torch": torch.__version__, "rows": twin.rows, "shape": twin.shape, "tokens": twin.tokens, "classes": twin.classes,
            "positions": twin.positions, "batch": twin.batch, "lr": twin.lr, "apart": twin.apart}


def fixture(name, folder):
    """folder/NAME.safetensors: the weights; folder/NAME.json: logits of all rows, losses of the steps; of every tensor the
    gradient at the first step, and by how much all of them have changed it."""
    torch.manual_seed(1)
    twin = FIXTURES[name]
    theirs = Theirs(twin, fixture_data(twin))
    state = floats(theirs.model.state_dict())
    header, data = {}, b""
    for key, v in state.items():
        raw = v.numpy().astype("<f4").tobytes()
        header[key] = {"dtype": "F32", "shape": list(v.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, name + ".safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    logits = in_double(theirs)
    begun, losses, gradient = floats(theirs.model.state_dict()), [], {}
    for step in range(twin.steps):
        losses.append(theirs.step([(step * twin.batch + j) % twin.rows for j in range(twin.batch)]))
        if not step:
            gradient = gradients(theirs)
    change = {k: sampled(v - begun[k]) for k, v in floats(theirs.model.state_dict()).items()}
    write_fixture(os.path.join(folder, name + ".json"), about(twin), {"losses": losses, "logits": logits},
                  {"gradient": gradient, "change": change})


def made(name, shape):
    """Weights that the test makes as well, from the tensor's name: uniform, so that signals keep their size behind ReLU, scales
    and variances around 1."""
    seed = 2166136261
    for c in name.encode():
        seed = (seed ^ c) * 16777619 % 2 ** 32
    h = (np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(0x9e3779b9)) ^ np.uint32(seed)
    for shift, factor in ((16, 0x7feb352d), (15, 0x846ca68b)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    u = ((h ^ (h >> np.uint32(16))) >> np.uint32(8)).astype(np.float64) * 2.0 ** -23 - 1
    if len(shape) > 1:
        u *= np.sqrt(6 / np.prod(shape[1:]))
    else:
        u = u / 4 + (1 if name.endswith(("weight", "running_var")) else 0)
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def whole(name, folder):
    """folder/whole/NAME.json: logits of all rows with weights that are made, the loss, and every tensor's gradient."""
    twin = WHOLE[name]
    theirs = Theirs(twin, fixture_data(twin))
    state = theirs.model.state_dict()
    theirs.model.load_state_dict({k: made(k, tuple(v.shape)) if v.is_floating_point() else v for k, v in state.items()})
    logits = in_double(theirs)
    loss = theirs.step(range(twin.rows))
    os.makedirs(os.path.join(folder, "whole"), exist_ok=True)
    write_fixture(os.path.join(folder, "whole", name + ".json"), about(twin), {"losses": [loss], "logits": logits},
                  {"gradient": gradients(theirs, ENTRIES_WHOLE)})


def arguments():
    a = argparse.ArgumentParser(prog="scripts/torch-networks", description=__doc__.split("\n")[0])
    a.add_argument("build", help=argparse.SUPPRESS)
    a.add_argument("--networks", default=",".join(NETWORKS), help="of %s (default: all)" % ", ".join(NETWORKS))
    a.add_argument("--steps", type=int, default=200, help="of the comparison (default: 200)")
    a.add_argument("--no-winograd", action="store_true", help="convolutions without it; --time takes both where they differ")
    a.add_argument("--time", action="store_true", help="time steps instead")
    a.add_argument("--seconds", type=float, default=10, help="of a row of --time, and five steps at least (default: 10)")
    a.add_argument("--compile", action="store_true", help="--time: the faster of PyTorch as it is and compiled (torch.compile)")
    a.add_argument("--threads", type=int, default=1, help="of each (default: 1)")
    a.add_argument("--fixture", metavar="FOLDER", help="instead: write the fixtures of the tests (tests/fixtures/networks)")
    a.add_argument("--csv", help="write the table here too, such as results/networks/steps.csv")
    args = a.parse_args()
    args.networks = args.networks.split(",")
    for name in args.networks:
        if name not in NETWORKS:
            a.error("--networks %s; allowed: %s" % (name, ", ".join(NETWORKS)))
    if args.threads < 1:
        a.error("--threads %d; allowed: from 1" % args.threads)
    if args.compile and (not args.time or args.fixture):
        a.error("--compile; allowed: with --time, which alone has a use for it")
    return args


def main():
    args = arguments()
    torch.set_num_threads(1 if args.fixture else args.threads)
    if args.fixture:
        for name in FIXTURES:
            fixture(name, args.fixture)
        for name in WHOLE:
            whole(name, args.fixture)
        return 0
    k = library.Library(args.build)
    crew = library.Crew(k, args.threads) if args.threads > 1 else None
    try:
        return tables(k, args)
    finally:                                            # else its threads keep the process
        if crew:
            crew.end()


def tables(k, args):
    rows, bad = [], 0
    machine = {"cpu": library.cpu(), "isa": k.isa, "torch": torch.__version__}
    for name in args.networks:
        twin = NETWORKS[name]
        if args.time:
            for batch in twin.timed:
                for winograd in [True, False] if twin.winograd and not args.no_winograd else [False]:
                    rows.append(timed(k, name, batch, winograd, args))
                    print(", ".join("%s %s" % item for item in rows[-1].items()), flush=True)
        else:
            row, close = compare(k, name, args.steps, twin.winograd and not args.no_winograd)
            rows.append(row)
            bad += not close
        if args.csv:
            library.write(args.csv, rows, machine)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
