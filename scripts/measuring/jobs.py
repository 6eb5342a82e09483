"""What is measured: each job runs a program once and gives numbers by name."""
import glob
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "reporting"))
import bench_lines  # noqa: E402

# What is trained, in batches of how many.
TRAININGS = (("logistic", 50), ("mlp", 50), ("lenet5", 50), ("lenet5", 10))
# Long enough for a clock, short enough for twenty minutes: rounds of train.yaml and of fifty.yaml, steps of the PyTorch loop.
ROUNDS = {"lenet5": 10, "mlp": 40, "logistic": 150}
FIFTY_ROUNDS = {"lenet5": 200, "mlp": 400}
TORCH_STEPS = {"lenet5": 400, "mlp": 2000, "logistic": 4000}
BENCH_REPETITIONS = 2
TORCH_ROUNDS = 50
CNN_ROUNDS = 3                                          # of pfl's CNN, on both sides
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
        self.machine = self.torch = self.programs = None
        self.versions, self.lines = {}, {}
        source = os.path.join(os.environ.get("FEDLANE_DATA") or "/usr/share/datasets", "fashion-mnist")
        self.data = {"raw": self._data("raw", source), "gz": self._data("gz", source)}
        self._images(os.path.join(self.data["raw"], "cifar-10", "cifar-10-batches-bin"))

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

    @staticmethod
    def _images(folder):
        """Drawn bytes in the form of CIFAR-10, which is not everywhere: a round takes as long on them."""
        os.makedirs(folder)
        draw = random.Random(1)
        for name in ["data_batch_%d.bin" % i for i in range(1, 6)] + ["test_batch.bin"]:
            with open(os.path.join(folder, name), "wb") as f:
                f.writelines(bytes([i % 10]) + draw.randbytes(3072) for i in range(10000))

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
            words += ("--sizes=4096", "--benchmark_min_time=0.00001", "--benchmark_repetitions=1")
            words = tuple(w.replace("{8,}", "+") for w in words)
            words += () if any("filter" in w for w in words) else ("--benchmark_filter=-(:512|:1024|:246)",)
        execute([self.fedlane, "bench", "--benchmark_out=" + path] + list(words))
        made = bench_lines.from_google(read_json(path))
        for line in made:
            before = self.lines.setdefault(line.name, line)
            if before is not line:
                bench_lines.join(before, line)
        return made

    def rivals(self, program, *words):
        """Numbers of a program of scripts/rivals, which are built once; none, and said why, where its library is missing."""
        if self.programs is None:
            self.programs = os.path.join(self.scratch, "rivals")
            os.makedirs(self.programs)
            done = subprocess.run([os.path.join(self.root, "scripts", "rivals"), "make", self.programs],
                                  stdout=subprocess.DEVNULL,
                                  env=dict(os.environ, FEDLANE_BUILD=os.path.dirname(self.fedlane)))
            if done.returncode:
                raise Failure("scripts/rivals make: exit %d" % done.returncode)
            self.openblas = self._openblas()
        path = os.path.join(self.programs, program)
        if not os.path.exists(path) or (program == "rival_decompositions" and not self.openblas):
            return {}
        found = json.loads(execute([path] + [str(w) for w in words] + self.openblas)[0])
        for library in ("onednn", "openblas"):
            if library in found:
                self.versions[library] = found.pop(library)
        found.pop("isa")
        return found

    def _openblas(self):
        """OpenBLAS's library as PyPI has it for the rivals' Python."""
        if os.environ.get("FEDLANE_OPENBLAS"):
            return [os.environ["FEDLANE_OPENBLAS"]]
        look = ("import glob, importlib.util as u\n"
                "s = u.find_spec('scipy_openblas32')\n"
                "print(*glob.glob(s.submodule_search_locations[0] + '/lib/*openblas*.so*') if s else '', sep='\\n')")
        out, _ = execute([self.python, "-c", look])
        found = out.split()
        if not found:
            print("%s has no scipy-openblas32: no figures of OpenBLAS" % self.python, file=sys.stderr)
        return found[:1]


# ---- jobs ----------------------------------------------------------------------------------------------------------------
def peak(s):
    """The peak of a core, for the limits of the rest."""
    lines = s.bench("--threads=1", "--benchmark_filter=^gemm_nn/[^/]*/m:128/n:128/k:128/", "--benchmark_repetitions=5")
    isa = lines[0].isa
    for line in lines:
        if line.name == "ceiling/%s/fma/threads:1" % isa:
            return {"gflops": line.gflops}
    raise Failure("fedlane bench has no line ceiling/%s/fma/threads:1" % isa)


def kernels(s, *words):
    """Lines of `fedlane bench` into the session."""
    s.bench("--benchmark_repetitions=%d" % BENCH_REPETITIONS, *words)
    return {}


def small_pages(s):
    """What streams from memory, on pages of 4 KiB: the steps and a few others at the largest size."""
    return kernels(s, "--pages=4k", "--benchmark_filter=^(sgd|momentum|adamw|lion|sum|dot|scale|add)/[^/]*/n:[0-9]{8,}/")


def steps(s, threads):
    """The steps that PyTorch has, right beside it."""
    return kernels(s, "--threads=%d" % threads,
                   "--benchmark_filter=^(sgd|momentum|adamw|rmsprop)/[^/]*/(plain/)?n:(4096|61706|[0-9]{8,})/")


def optimizers(s, threads):
    budget = 1 << 13 if s.smoke else TORCH_PARAMETERS
    # huge pages for PyTorch's arrays, too, which it does not ask for by itself
    out, _ = execute([s.python, os.path.join(os.path.dirname(__file__), "torch_optimizers.py"), str(threads), str(budget)],
                     dict(os.environ, THP_MEM_ALLOC_ENABLE="1"))
    found = json.loads(out)
    s.torch = found.pop("torch")
    return found


def lr_mnist(s):
    (_, summary), = s.run("performance/lr_mnist.yaml", 2, "federated.rounds=2000")[0]
    return {"round_ms": 1e3 * summary["seconds"] / summary["rounds"]}


def cnn_pfl(s):
    (_, summary), = s.run("performance/cnn_pfl.yaml", 2, "federated.rounds=%d" % CNN_ROUNDS)[0]
    return {"round_ms": 1e3 * summary["seconds"] / summary["rounds"]}


def train(s, model, batch):
    settings = "model=%s,federated.batch_size=%d,federated.rounds=%d" % (model, batch, ROUNDS[model] * batch // 50 or 1)
    (_, summary), = s.run("performance/train.yaml", 1, settings)[0]
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
    """[(name, function of the session, in how many repetitions)]; a rival stands beside what it is compared with. 0: in all, and
    once before them; what takes long and repeats itself within is measured fewer times."""
    made = [("kernels", kernels, 1), ("pages of 4 KiB", small_pages, 1), ("peak", peak, 0), ("lr_mnist", lr_mnist, 0)]
    if rivals:
        made += [("lr_mnist torch %d" % t, lambda s, t=t: s.loop("round", "lr_mnist", t, TORCH_ROUNDS), 0) for t in (1, 2)]
    made.append(("cnn_pfl", cnn_pfl, 0))
    if rivals:
        made += [("cnn_pfl torch %d" % t, lambda s, t=t: s.loop("round", "cnn_pfl", t, CNN_ROUNDS), 0) for t in (1, 2)]
        made += [("products %d" % t, lambda s, t=t: s.rivals("rival_products", t), 3) for t in (1, 2)]
        made += [("decompositions", lambda s: s.rivals("rival_decompositions"), 3)]
        for t in (1, 2):
            made += [("steps %d" % t, lambda s, t=t: steps(s, t), 2),
                     ("optimizers torch %d" % t, lambda s, t=t: optimizers(s, t), 2)]
    for m, b in TRAININGS:
        made.append(("train %s %d" % (m, b), lambda s, m=m, b=b: train(s, m, b), 0))
        if rivals:
            made.append(("train %s %d torch" % (m, b), lambda s, m=m, b=b: s.loop("train", m, b, 1, TORCH_STEPS[m]), 0))
    made += [("fifty %s %d" % (m, t), lambda s, m=m, t=t: fifty(s, m, t), 0) for m in FIFTY_ROUNDS for t in (1, 2)]
    made += [("start " + f, lambda s, f=f: start(s, f), 0) for f in ("raw", "gz")]
    return made + [("quickstart", quickstart, 0)]


def measure(session, repetitions, warm, only=""):
    """{job: {number: [one value a repetition]}}, of jobs whose names begin with `only`. Every repetition begins
    with another job, so that a drift of the machine meets all of them; with `warm` a first one is not kept."""
    all_jobs = jobs(session.python is not None)
    todo = [job for job in all_jobs if job[0].startswith(only)]
    if not todo:
        names = ", ".join(name for name, _, _ in all_jobs)
        raise Failure("--only %s: no measurement's name begins so; allowed: %s" % (only, names))
    found = {}
    for r in range(-1 if warm else 0, repetitions):
        shift = (r + 1) * len(todo) // (repetitions + 1)
        for name, job, times in todo[shift:] + todo[:shift]:
            if times and not 0 <= r < times:
                continue
            turn = "warm-up" if r < 0 else "repetition %d of %d" % (r + 1, repetitions)
            print("%s %s: %s" % (time.strftime("%H:%M:%S"), turn, name), file=sys.stderr, flush=True)
            values = job(session)
            for key, value in values.items() if r >= 0 else ():
                found.setdefault(name, {}).setdefault(key, []).append(value)
    return found
