#!/usr/bin/env python3
"""Drives the library from Python without a binding: ctypes on the installed libfedlane.so, an objective in numpy, one round at a
time, any registered algorithm.

    from_python.py LIBFEDLANE_SO [ALGORITHM [LR]] [--threads N] [--compare FILE]      default: fedavg 0.05; rule:NAME is central

The problem is that of objective/main.c: eight clients measure y = w*x + b, each with its own offset. --compare holds losses,
bytes and parameters to what that program printed with the same arguments. The places of fields come from the library
(fl_abi_field), so that no struct is written down here twice; a field that is not there, or has another size, is told at the
start."""
import argparse
import ctypes as c
import sys

try:
    import numpy as np
except ImportError:
    sys.exit(f"from_python: {sys.executable} has no NumPy; another Python may (/usr/bin/python3 after scripts/setup)")

FEATURES, CLIENTS, PER_CLIENT, ROUNDS, BATCH, COHORT = 8, 8, 40, 20, 10, 4
SAMPLES, D = CLIENTS * PER_CLIENT, FEATURES + 1
ABI = 1                                         # FL_ABI of fedlane/plugin.h
MATRIX, BIAS, PURPOSE_TEST = 0, 2, 255          # fl_role, fl_purpose

FLOATS, ROWS = c.POINTER(c.c_float), c.POINTER(c.c_uint32)
INIT = c.CFUNCTYPE(None, c.c_void_p, c.c_uint64, FLOATS)
WORK = c.CFUNCTYPE(c.c_size_t, c.c_void_p, c.c_size_t)
LOSS_GRAD = c.CFUNCTYPE(c.c_double, c.c_void_p, c.c_void_p, FLOATS, ROWS, c.c_size_t, FLOATS, c.c_void_p)
COHORTS = c.CFUNCTYPE(c.c_size_t, c.c_void_p, c.c_uint64, ROWS, c.c_size_t)
BATCHES = c.CFUNCTYPE(c.c_size_t, c.c_void_p, c.c_uint64, c.c_uint32, c.c_uint64, ROWS, c.c_size_t)


def load(path):
    lib = c.CDLL(path)
    lib.fl_abi_size.restype = c.c_size_t
    lib.fl_stream_uniform.restype = c.c_double
    lib.fl_session_error.restype = c.c_char_p
    lib.fl_params.restype = FLOATS
    if lib.fl_abi() != ABI:
        sys.exit(f"{path}: ABI {lib.fl_abi()}, this program is for ABI {ABI}")
    return lib


def structure(lib, of, /, **fields):
    """A ctypes structure of the library's size with these fields at the library's places; what is not named is 0."""
    offset, size, members, at = c.c_size_t(), c.c_size_t(), [], 0
    places = []
    for field, kind in fields.items():
        if lib.fl_abi_field(of.encode(), field.encode(), c.byref(offset), c.byref(size)) or c.sizeof(kind) != size.value:
            sys.exit(f"{of}.{field}: not in this library, or not of {c.sizeof(kind)} bytes")
        places.append((offset.value, field, kind))
    for place, field, kind in sorted(places, key=lambda p: p[0]):
        members += [(f"gap{at}", c.c_char * (place - at))] * (place > at) + [(field, kind)]
        at = place + c.sizeof(kind)
    whole = lib.fl_abi_size(of.encode())
    members += [("rest", c.c_char * (whole - at))] * (whole > at)
    made = type(of, (c.Structure,), {"_pack_": 1, "_fields_": members})
    assert c.sizeof(made) == whole, of
    return made


class Fedlane:
    """The structs that are used here."""

    def __init__(self, path):
        lib = self.lib = load(path)
        p, n, real, text = c.c_void_p, c.c_size_t, c.c_double, c.c_char_p
        self.key = structure(lib, "fl_key", seed=c.c_uint64, purpose=c.c_uint32)
        self.tensor = structure(lib, "fl_tensor", name=text, role=c.c_int, ndim=c.c_int, shape=n * 4, offset=n, size=n)
        self.layout = structure(lib, "fl_layout", n=n, d=n, tensor=p)
        self.objective = structure(lib, "fl_objective", name=text, layout=p, n=n, init=INIT, work=WORK, loss_grad=LOSS_GRAD)
        self.problem = structure(lib, "fl_problem", objective=p, clients=n, offset=p, index=p, cohort=COHORTS, batch=BATCHES)
        self.options = structure(lib, "fl_options", seed=c.c_uint64, rounds=c.c_uint64, central=c.c_int, participation=real,
                                 local_epochs=n, batch_size=n, threads=c.c_int)
        self.metrics = structure(lib, "fl_metrics", round=c.c_uint64, train_loss=real, lr=real, total_bytes_up=c.c_uint64,
                                 total_bytes_down=c.c_uint64)
        self.setting = structure(lib, "fl_setting", key=text, value=text, where=text)
        self.algorithm = structure(lib, "fl_algorithm", label=c.c_char * 96)

    def build(self, *settings):
        error, algorithm = c.create_string_buffer(1000), self.algorithm()
        each = (self.setting(key=k.encode(), value=v.encode(), where=b"argument") for k, v in settings)
        made = (self.setting * len(settings))(*each)
        if self.lib.fl_algorithm_build(made, c.c_size_t(len(settings)), c.byref(algorithm), error, c.c_size_t(len(error))):
            sys.exit(f"from_python: {error.value.decode()}")
        return algorithm


def generate(fedlane):
    """The numbers of objective/main.c, by the library's random numbers; every operation in float."""
    draw = c.create_string_buffer(fedlane.lib.fl_abi_size(b"fl_stream"))
    key = fedlane.key(seed=7, purpose=PURPOSE_TEST)
    fedlane.lib.fl_stream_init(draw, c.byref(key))
    x, y, f = np.zeros((SAMPLES, FEATURES), np.float32), np.zeros(SAMPLES, np.float32), np.float32
    for i in range(SAMPLES):
        y[i] = f(0.5) + (f(0.1) * f(i // PER_CLIENT) - f(0.35))
        for j in range(FEATURES):
            x[i, j] = f(2.0 * fedlane.lib.fl_stream_uniform(draw) - 1.0)
            y[i] = y[i] + f(j - 3) * f(0.25) * x[i, j]
    return x, y


class Regression:
    """mean of (w.x + b - y)^2 / 2 with its gradient, the cohorts and the batches. The callbacks must be pure functions of their
    arguments: workers call them at the same time, each with Python's lock. They stay referenced here as long as the session."""

    def __init__(self, x, y):
        self.x, self.y = x, y
        self.callbacks = INIT(self.init), WORK(lambda _self, _batch: 0), LOSS_GRAD(self.loss_grad)
        self.drawn = COHORTS(self.cohort), BATCHES(self.batch)

    def loss(self, w, rows, g=None):
        x, e = self.x[rows], self.x[rows] @ w[:FEATURES] + w[FEATURES] - self.y[rows]
        if g is not None:
            g[:FEATURES], g[FEATURES] = e @ x / len(e), np.mean(e)
        return float(np.mean(0.5 * e.astype(np.float64) ** 2))

    def init(self, _self, _seed, x):
        np.ctypeslib.as_array(x, (D,))[:] = 0

    def loss_grad(self, _self, _kernels, x, index, count, g, _work):
        as_array = np.ctypeslib.as_array
        return self.loss(as_array(x, (D,)), as_array(index, (count,)), as_array(g, (D,)))

    def cohort(self, _self, round_, out, most):
        m = min(most, COHORT)
        for i in range(m):
            out[i] = (round_ * COHORT + i) % CLIENTS
        return m

    def batch(self, _self, _round, client, step, out, most):
        first = step * BATCH % PER_CLIENT
        n = min(most, PER_CLIENT - first)
        for i in range(n):
            out[i] = client * PER_CLIENT + first + i
        return n


def train(fedlane, regression, name, lr, threads):
    """Yields a line a round as the C example prints it; then the parameters."""
    lib, central = fedlane.lib, name.startswith("rule:")
    algorithm = fedlane.build(("rule", name[5:]) if central else ("name", name), ("lr", lr))
    tensors = (fedlane.tensor * 2)(
        fedlane.tensor(name=b"weight", role=MATRIX, ndim=2, shape=(1, FEATURES, 0, 0), offset=0, size=FEATURES),
        fedlane.tensor(name=b"bias", role=BIAS, ndim=1, shape=(1, 0, 0, 0), offset=FEATURES, size=1))
    layout = fedlane.layout(n=2, d=D, tensor=c.addressof(tensors))
    init, work, loss_grad = regression.callbacks
    objective = fedlane.objective(name=b"regression", layout=c.addressof(layout), n=SAMPLES, init=init, work=work,
                                  loss_grad=loss_grad)
    clients = 1 if central else CLIENTS
    offset = (c.c_size_t * (clients + 1))(*(i * SAMPLES // clients for i in range(clients + 1)))
    index = (c.c_uint32 * SAMPLES)(*range(SAMPLES))
    problem = fedlane.problem(objective=c.addressof(objective), clients=clients, offset=c.addressof(offset),
                              index=c.addressof(index))
    if not central:
        problem.cohort, problem.batch = regression.drawn
    options = fedlane.options(seed=1, rounds=ROUNDS, central=central, participation=COHORT / CLIENTS, local_epochs=2,
                              batch_size=BATCH, threads=threads)
    session, error, n, m = c.c_void_p(), c.create_string_buffer(1000), c.c_size_t(), fedlane.metrics()
    if lib.fl_open(c.byref(session), c.byref(problem), c.byref(algorithm), c.byref(options), error, c.c_size_t(len(error))):
        sys.exit(f"from_python: {error.value.decode()}")
    try:
        over, everything = 0, np.arange(SAMPLES)
        while not over:
            over = lib.fl_round(session, c.byref(m))
            x = np.ctypeslib.as_array(lib.fl_params(session, c.byref(n)), (D,)).copy()
            if not over:
                yield (f"{'epoch' if central else 'round'} {m.round:2}  loss {regression.loss(x, everything):.6f}  lr {m.lr:g}  "
                       f"sent {m.total_bytes_up + m.total_bytes_down} bytes")
        if over < 0:
            sys.exit(f"from_python: {lib.fl_session_error(session).decode()}")
        yield "parameters " + " ".join(float(v).hex() for v in x)
    finally:
        lib.fl_close(session)


def compare(lines, path):
    """Bytes and learning rates are equal; numpy adds in another order than a kernel, so losses and parameters nearly."""
    with open(path, encoding="utf-8") as f:
        theirs = f.read().splitlines()[1:]      # behind the heading
    assert len(theirs) == len(lines), f"{len(theirs)} lines of the C example, {len(lines)} here"
    for mine, other in zip(lines, theirs):
        a, b = mine.split(), other.split()
        if a[0] == "parameters":
            away = max(abs(float.fromhex(p) - float.fromhex(q)) for p, q in zip(a[1:], b[1:]))
            assert len(a) == len(b) and away < 1e-4, f"a parameter is {away} off"
        else:
            assert a[:2] == b[:2] and a[4:] == b[4:] and abs(float(a[3]) - float(b[3])) < 2e-5, f"{mine}\n{other}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("library")
    parser.add_argument("algorithm", nargs="?", default="fedavg")
    parser.add_argument("lr", nargs="?", default="0.05")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compare", metavar="FILE")
    given = parser.parse_args()
    fedlane = Fedlane(given.library)
    lines = []
    for line in train(fedlane, Regression(*generate(fedlane)), given.algorithm, given.lr, given.threads):
        print(line)
        lines.append(line)
    if given.compare:
        compare(lines, given.compare)
        print("as the C example: learning rates and bytes equal, losses to 2e-5, parameters to 1e-4")


if __name__ == "__main__":
    main()
