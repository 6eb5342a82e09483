"""What is measured: each job runs a program once and gives numbers by name."""
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reporting"))
import bench_lines  # noqa: E402

MODELS = ("lenet5", "mlp", "logistic")
# Long enough for a clock, short enough for ten minutes: rounds of train.yaml and of fifty.yaml, steps of the PyTorch loop.
ROUNDS = {"lenet5": 10, "mlp": 40, "logistic": 150}
FIFTY_ROUNDS = {"lenet5": 200, "mlp": 400}
TORCH_STEPS = {"lenet5": 400, "mlp": 2000, "logistic": 4000}
TORCH_ROUNDS = 50
QUICKSTART_ROUNDS = 5
TORCH_PARAMETERS = 1 << 20
FILES = ["%s-%s-ubyte" % (part, kind) for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


class Failure(Exception):
    pass


def execute(command, env=None):
    """Standard output of a program that must succeed, and when it was started."""
    started = time.time()
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env)
    except OSError as e:
        raise Failure("%s: %s" % (command[0], e.strerror))
    if done.returncode:
        raise Failure("%s\nexit %d: %s" % (" ".join(command), done.returncode, done.stderr[-2000:]))
    return done.stdout, started


def read_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


class Session:
    """Programs, folders, and what the runs told about machine and PyTorch."""

    def __init__(self, root, fedlane, scratch, smoke, python):
        self.root, self.fedlane, self.scratch = root, fedlane, scratch
        self.smoke, self.python = smoke, python
        self.machine = self.torch = self.products = None
        self.versions, self.lines = {}, {}
        source = os.path.join(os.environ.get("FEDLANE_DATA") or "/usr/share/datasets", "fashion-mnist")
        self.data = {"raw": self._data("raw", source), "gz": self._data("gz", source)}

    def _data(self, form, source):
        """A folder for FEDLANE_DATA with Fashion-MNIST in this form only."""
        folder = os.path.join(self.scratch, form, "fashion-mnist")
        os.makedirs(folder)
        for name in FILES:
            there = [p for p in (os.path.join(source, name), os.path.join(source, name + ".gz")) if os.path.exists(p)]
            if not there:
                raise Failure("%s/%s: not found, nor with .gz; install dataset-fashion-mnist or set FEDLANE_DATA" %
                              (source, name))
            raw = open(there[0], "rb").read()
            raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
            packed = os.path.join(source, name + ".gz")
            if form == "gz" and os.path.exists(packed):
                shutil.copy(packed, folder)
            else:
                with open(os.path.join(folder, name + (".gz" if form == "gz" else "")), "wb") as f:
                    f.write(gzip.compress(raw, 9) if form == "gz" else raw)
        return os.path.dirname(folder)

    def run(self, config, threads, settings, form="raw"):
        """`fedlane run` into a fresh folder: [(folder, summary)] by folder name, and when it was started."""
        out = os.path.join(self.scratch, "run")
        shutil.rmtree(out, ignore_errors=True)
        if self.smoke:
            settings = re.sub(r"rounds=\d{2,}", "rounds=2", settings) + ",federated.local_steps=1"
        command = [self.fedlane, "run", os.path.join(self.root, "results", config), "--seeds", "1", "--threads", str(threads),
                   "--set", settings, "--out", out]
        _, started = execute(command, dict(os.environ, FEDLANE_DATA=self.data[form]))
        folders = sorted(os.path.dirname(p) for p in glob.glob(os.path.join(out, "*", "run.json")))
        if self.machine is None:
            self.machine = read_json(os.path.join(folders[0], "run.json"))["machine"]
        return [(d, read_json(os.path.join(d, "summary.json"))) for d in folders], started

    def loop(self, *words):
        """A PyTorch loop; the last word is how often it goes round."""
        words = words[:-1] + (2,) if self.smoke else words
        out, _ = execute([self.python, os.path.join(os.path.dirname(__file__), "torch_loops.py")] + [str(w) for w in words])
        found = json.loads(out)
        self.torch = found.pop("torch")
        return found


    def bench(self, *words):
        """`fedlane bench`: its lines, whose repetitions join those of the same name before."""
        path = os.path.join(self.scratch, "bench.json")
        if self.smoke:
            words += ("--sizes=4096", "--benchmark_min_time=0.00001", "--benchmark_repetitions=1",
                      "--benchmark_filter=-(:512|:1024|:246)")
        execute([self.fedlane, "bench", "--benchmark_out=" + path] + list(words))
        made = bench_lines.from_google(read_json(path))
        for line in made:
            before = self.lines.setdefault(line.name, line)
            if before is not line:
                before.ns += line.ns
                before.ceiling_ns = min(before.ceiling_ns, line.ceiling_ns)
        return made

    def rival_products(self):
        """The command that times other libraries' products, built once; empty, and said, when it cannot be."""
        if self.products is None:
            root = os.environ.get("FEDLANE_ONEDNN_ROOT") or os.path.join(self.root, "build-onednn")
            if not os.path.exists(os.path.join(root, "include", "dnnl.h")):
                print("%s: no oneDNN there; scripts/setup --onednn fetches it, or set FEDLANE_ONEDNN_ROOT" % root,
                      file=sys.stderr)
                self.products = []
            else:
                self.products = [os.path.join(self.scratch, "rival_products")]
                lib = os.path.join(root, "lib")
                execute([os.environ.get("CC", "cc"), "-std=c17", "-O2", "-D_GNU_SOURCE", "-I" + os.path.join(root, "include"),
                         os.path.join(os.path.dirname(__file__), "rival_products.c"), "-o", self.products[0], "-L" + lib,
                         "-ldnnl", "-ldl", "-Wl,-rpath," + lib])
                self.products += self._openblas()
        return self.products

    def _openblas(self):
        """OpenBLAS's library as PyPI has it for the rivals' Python."""
        look = ("import glob, importlib.util as u\n"
                "s = u.find_spec('scipy_openblas32')\n"
                "print(*glob.glob(s.submodule_search_locations[0] + '/lib/*openblas*.so*') if s else '', sep='\\n')")
        out, _ = execute([self.python, "-c", look])
        found = out.split()
        if not found:
            print("%s has no scipy-openblas32: no figures of OpenBLAS" % self.python, file=sys.stderr)
        return found[:1]

# ---- jobs ----------------------------------------------------------------------------------------------------------------
def kernels(s, repetitions):
    """All lines of `fedlane bench` into the session; the peak of a core for the limits of the rest."""
    isa = None
    for line in s.bench("--benchmark_repetitions=%d" % repetitions):
        isa = isa or line.isa
        if line.name == "ceiling/%s/fma/threads:1" % isa:
            return {"gflops": line.gflops}
    raise Failure("fedlane bench has no line ceiling/%s/fma/threads:1" % isa)


def products(s, threads):
    command = s.rival_products()
    if not command:
        return {}
    threads = str(threads)
    out, _ = execute(command, dict(os.environ, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads))
    found = json.loads(out)
    s.versions["onednn"] = found.pop("version")
    return found


def optimizers(s, threads):
    budget = 1 << 13 if s.smoke else TORCH_PARAMETERS
    out, _ = execute([s.python, os.path.join(os.path.dirname(__file__), "torch_optimizers.py"), str(threads), str(budget)])
    found = json.loads(out)
    s.torch = found.pop("torch")
    return found


def lr_mnist(s):
    (_, summary), = s.run("performance/lr_mnist.yaml", 2, "federated.rounds=2000")[0]
    return {"round_ms": 1e3 * summary["seconds"] / summary["rounds"]}


def train(s, model):
    (_, summary), = s.run("performance/train.yaml", 1, "model=%s,federated.rounds=%d" % (model, ROUNDS[model]))[0]
    return {"samples_per_second": summary["samples_per_second"]}


def fifty(s, model, threads):
    (_, summary), = s.run("performance/fifty.yaml", threads, "model=%s,federated.rounds=%d" % (model, FIFTY_ROUNDS[model]))[0]
    split = summary["thread_seconds"]
    return {"other_percent": 100 * split["other"] / (sum(split.values()) - split["evaluation"])}


def quickstart(s):
    """All methods of the quickstart, one round after the other; sums over the methods, whose cohorts are the same."""
    seconds, bound = {}, 0
    for threads in (2, 1):
        runs, _ = s.run("quickstart/config.yaml", threads,
                        "federated.rounds=%d,federated.eval_every=0,federated.checkpoint_seconds=1000" % QUICKSTART_ROUNDS)
        seconds[threads] = sum(summary["seconds"] for _, summary in runs)
        bound = bound or runs[0][1]["scaling_bound"]
    speedup = seconds[1] / seconds[2]
    return {"seconds_1": seconds[1], "seconds_2": seconds[2], "speedup": speedup, "bound": bound}


def start(s, form):
    """From exec to the beginning of the first round. The round's line is written as soon as it and its evaluation are over."""
    ((folder, summary),), started = s.run("performance/train.yaml", 2, "model=mlp,federated.rounds=1", form)
    lines = os.path.join(folder, "rounds.jsonl")
    return {"seconds": os.stat(lines).st_mtime - started - summary["seconds"] - summary["seconds_evaluation"]}


def jobs(rivals):
    """[(name, function of the session)]; a rival stands beside what it is compared with."""
    made = [("peak", lambda s: kernels(s, 2)), ("lr_mnist", lr_mnist)]
    if rivals:
        made += [("products %d" % t, lambda s, t=t: products(s, t)) for t in (1, 2)]
        made += [("optimizers torch %d" % t, lambda s, t=t: optimizers(s, t)) for t in (1, 2)]
    if rivals:
        made += [("lr_mnist torch %d" % t, lambda s, t=t: s.loop("round", t, TORCH_ROUNDS)) for t in (1, 2)]
    for m in MODELS:
        made.append(("train " + m, lambda s, m=m: train(s, m)))
        if rivals:
            made.append(("train %s torch" % m, lambda s, m=m: s.loop("train", m, 1, TORCH_STEPS[m])))
    made += [("fifty %s %d" % (m, t), lambda s, m=m, t=t: fifty(s, m, t)) for m in FIFTY_ROUNDS for t in (1, 2)]
    made += [("start " + f, lambda s, f=f: start(s, f)) for f in ("raw", "gz")]
    return made + [("quickstart", quickstart)]


def measure(session, repetitions, warm):
    """{job: {number: [one value a repetition]}}. Every repetition begins with another job, so that a drift of the machine
    meets all of them; with `warm` a first one is not kept."""
    todo = jobs(session.python is not None)
    found = {}
    for r in range(-1 if warm else 0, repetitions):
        shift = (r + 1) * len(todo) // (repetitions + 1)
        for name, job in todo[shift:] + todo[:shift]:
            turn = "warm-up" if r < 0 else "repetition %d of %d" % (r + 1, repetitions)
            print("%s: %s" % (turn, name), file=sys.stderr, flush=True)
            values = job(session)
            for key, value in values.items() if r >= 0 else ():
                found.setdefault(name, {}).setdefault(key, []).append(value)
    return found
