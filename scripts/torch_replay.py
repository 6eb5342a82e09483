"""Replays Fedlane's runs in plain PyTorch and compares: python torch_replay.py [--config FILE] [--fedlane PROGRAM] ...

Written from the methods' equations (federated-adaptive 0, 2, 6, 12-16), not from Fedlane's C code, so that an error would
have to be made twice. Fedlane hands over only what is random: initial weights, client sizes, cohorts, batches
(`fedlane run --export-plan`). Pixels, schedules, gradients, clipping, steps, averaging, evaluation are done again here.
"""
import argparse
import csv
import gzip
import json
import math
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import torch_fixture

METHODS = ("fedavg", "scaffold", "local_adamw", "fedadamw", "local_muon", "fedmuon")


# ---- data and models ---------------------------------------------------------------------------------------------------
def read_idx(path):
    """An IDX file of unsigned bytes, raw or gzip, as a numpy array."""
    with open(path, "rb") as f:
        raw = f.read()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    zero, kind, ndim = struct.unpack(">HBB", raw[:4])
    if zero or kind != 8:
        raise SystemExit("%s: not an IDX file of bytes" % path)
    shape = struct.unpack(">%dI" % ndim, raw[4:4 + 4 * ndim])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)


class LeNet5(nn.Module):
    def __init__(self, features=400):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(features, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 200)
        self.fc2 = nn.Linear(200, 200)
        self.fc3 = nn.Linear(200, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Logistic(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.fc(x.flatten(1))


MODELS = {"lenet5": LeNet5, "mlp": Mlp, "logistic": Logistic}


# ---- local optimizers: lists of tensors in, the same tensors changed in place -------------------------------------------
class Sgd:
    """2: coupled decay, from the old y."""

    def __init__(self, a, y):
        self.decay = a["weight_decay"]

    def step(self, y, g, lr, decay_lr):
        for p, q in zip(y, g):
            p.copy_(p - lr * (q + self.decay * p))


class AdamW:
    """12, and 13 when v starts from shared block means: then its bias correction counts all rounds' steps (t)."""

    def __init__(self, a, y, v=None, t0=0, beta1=None, beta2=None, eps=None):
        self.beta1, self.beta2 = beta1 or a["beta1"], beta2 or a["beta2"]
        self.eps, self.decay = eps or a["eps"], a["weight_decay"]
        self.m = [torch.zeros_like(p) for p in y]
        self.v = [torch.full_like(p, b) for p, b in zip(y, v)] if v else [torch.zeros_like(p) for p in y]
        self.k, self.t0 = 0, t0
        self.global_m = a.get("m_index") == "global"

    def step(self, y, g, lr, decay_lr):
        self.k += 1
        t = self.t0 + self.k
        for p, q, m, v in zip(y, g, self.m, self.v):
            m.copy_(self.beta1 * m + (1 - self.beta1) * q)
            v.copy_(self.beta2 * v + (1 - self.beta2) * q * q)
            mhat = m / (1 - self.beta1 ** (t if self.global_m else self.k))
            vhat = v / (1 - self.beta2 ** t)
            p.copy_((1 - decay_lr * self.decay) * p - lr * mhat / (vhat.sqrt() + self.eps))


def newton_schulz(u, steps):
    """14: five times s -> 3.4445 s - 4.7750 s^3 + 2.0315 s^5 on the singular values of u / |u|_F."""
    x = u.T if u.shape[0] > u.shape[1] else u
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.T if u.shape[0] > u.shape[1] else x


class Muon:
    """14: matrices and kernels by momentum and Newton-Schulz, the rest by AdamW with its own constants."""

    def __init__(self, a, y, momentum=None):
        if a["muon_exclude"] != "none":
            raise SystemExit("torch_replay: muon_exclude=%s is not replayed, only none" % a["muon_exclude"])
        if a.get("ns_dtype", "fp32") != "fp32":
            raise SystemExit("torch_replay: ns_dtype=%s is not replayed, only fp32" % a["ns_dtype"])
        self.a = a
        self.matrix = [i for i, p in enumerate(y) if p.ndim >= 2]
        self.vector = [i for i, p in enumerate(y) if p.ndim < 2]
        self.m = [b.clone() for b in momentum] if momentum else [torch.zeros_like(y[i]) for i in self.matrix]
        self.adam = AdamW(a, [y[i] for i in self.vector], beta1=0.9, beta2=0.95, eps=1e-10)

    def step(self, y, g, lr, decay_lr):
        mu, lr_m = self.a["momentum"], lr * self.a["muon_lr_scale"]
        for i, m in zip(self.matrix, self.m):
            m.copy_(mu * m + (1 - mu) * g[i])
            u = (1 - mu) * g[i] + mu * m if self.a["nesterov"] == "yes" else m
            rows, columns = u.shape[0], u[0].numel()
            if u.ndim == 2 or self.a["muon_conv_scale"] == "matrix":
                factor = math.sqrt(max(1.0, rows / columns))
            else:
                factor = math.sqrt(max(1.0, u.shape[-2] / u.shape[-1]))
            o = newton_schulz(u.reshape(rows, columns), self.a["ns_steps"]).reshape(u.shape) * factor
            y[i].copy_((1 - lr_m * self.a["weight_decay"]) * y[i] - lr_m * o)
        self.adam.step([y[i] for i in self.vector], [g[i] for i in self.vector], lr, lr)


RULES = {"sgd": Sgd, "adamw": AdamW, "muon": Muon}


# ---- federated rounds --------------------------------------------------------------------------------------------------
class Replay:
    def __init__(self, plan_dir, files, dtype):
        with open(os.path.join(plan_dir, "plan.json"), encoding="utf-8") as f:
            self.plan = json.load(f)
        with open(os.path.join(plan_dir, "partition.json"), encoding="utf-8") as f:
            self.partition = json.load(f)["index"]
        with open(os.path.join(plan_dir, "layout.json"), encoding="utf-8") as f:
            layout = json.load(f)
        self.config = self.plan["config"]
        self.a, self.fed = self.config["algorithm"], self.config["federated"]
        if self.a["stack"] not in ("", "scaffold", "shared") or self.a["rule"] not in RULES or self.a["block_rule"] != "head":
            raise SystemExit("torch_replay: only the stacks '', scaffold, shared over sgd, adamw, muon, block_rule=head")
        self.dtype = dtype
        self.images, self.labels, self.test_images, self.test_labels = (read_idx(p) for p in files)
        self.model = MODELS[self.config["model"]]().to(dtype)
        self.y = list(self.model.parameters())
        mine = [(n, list(p.shape)) for n, p in self.model.named_parameters()]
        if mine != [(t["name"], t["shape"]) for t in layout["tensors"]]:
            raise SystemExit("torch_replay: the layout differs: %s here" % mine)
        self.x = split(np.fromfile(os.path.join(plan_dir, "params.bin"), "<f4"), self.y, dtype)
        zero = [torch.zeros_like(p) for p in self.x]
        self.c, self.c_client = zero, {}                     # SCAFFOLD
        self.direction, self.theta = [z.clone() for z in zero], None  # FedAdamW, FedMuon
        self.accuracy = []

    def inputs(self, images):
        x = torch.from_numpy(images.astype(np.float64) / 255.0)
        return ((x - self.plan["mean"]) / self.plan["std"]).to(self.dtype).unsqueeze(1)

    def lr(self, r):
        """0.3, r counted from 0."""
        rounds, a = self.fed["rounds"], self.a
        if a["lr_schedule"] == "cosine":
            return 0.5 * a["lr"] * (1 + math.cos(math.pi * r / rounds))
        return a["lr"] * (a["lr_decay"] ** r if a["lr_schedule"] == "exponential" else 1.0)

    def check_round(self, r, entry):
        """What the plan says of a round must follow from the configuration and the partition."""
        cohort, size = entry["cohort"], self.fed["batch_size"]
        assert len(cohort) == len(set(cohort)) == max(1, math.floor(self.fed["clients"] * self.fed["participation"] + 1e-9))
        assert abs(entry["lr"] - self.lr(r)) <= 1e-12 * self.a["lr"], (r, entry["lr"], self.lr(r))
        for i in cohort:
            batches, rows = entry["batches"][str(i)], self.partition[i]
            epoch = math.ceil(len(rows) / size)
            if self.fed["local_steps"] == 0:
                assert len(batches) == epoch * self.fed["local_epochs"]
            for e in range(0, len(batches) - epoch + 1, epoch or 1):
                assert sorted(sum(batches[e:e + epoch], [])) == sorted(rows), "client %d: an epoch is not its samples" % i

    def gradient(self, rows):
        """Mean loss's gradient, clipped as 0.4 says."""
        loss = F.cross_entropy(self.model(self.inputs(self.images[rows])), torch.from_numpy(self.labels[rows].astype(np.int64)))
        g = torch.autograd.grad(loss, self.y)
        clip = self.a["clip_norm"]
        if clip is not None and math.isfinite(clip):
            norm = math.sqrt(sum(float((q.double() ** 2).sum()) for q in g))
            g = [q * min(1.0, clip / (norm + 1e-6)) for q in g]
        return g

    def rule(self, r):
        """The client's optimizer, created anew each round (0.7), from the server's second-order state if that is shared."""
        a, kind = self.a, RULES[self.a["rule"]]
        if a["stack"] != "shared" or a["aggregate"] != "yes":
            return kind(a, self.x)
        if a["rule"] == "adamw":
            return AdamW(a, self.x, v=self.theta or [0.0] * len(self.x), t0=r * self.plan["local_steps"])
        return Muon(a, self.x, momentum=self.theta)

    def client(self, r, lr, i, batches):
        """K_i local steps; (model change, new minus old control, second-order state)."""
        shared, scaffold = self.a["stack"] == "shared", self.a["stack"] == "scaffold"
        alpha = self.a["alpha"] if shared else 0.0
        step_lr = (1 - alpha) * lr if shared and self.a["mix"] == "convex" else lr
        c_i = self.c_client.get(i, [torch.zeros_like(p) for p in self.x])
        rule = self.rule(r)
        with torch.no_grad():
            for p, q in zip(self.y, self.x):
                p.copy_(q)
        for rows in batches:
            g = self.gradient(np.asarray(rows))
            with torch.no_grad():
                if scaffold:
                    g = [q + c - ci for q, c, ci in zip(g, self.c, c_i)]
                rule.step(self.y, g, step_lr, lr)
                if shared:
                    for p, d in zip(self.y, self.direction):
                        p.copy_(p - alpha * lr * d)
        with torch.no_grad():
            change = [p - q for p, q in zip(self.y, self.x)]
            control = None
            if scaffold and batches:
                new = [ci - c - d / (len(batches) * lr) for ci, c, d in zip(c_i, self.c, change)]
                control = [n - ci for n, ci in zip(new, c_i)]
                self.c_client[i] = new
            theta = None
            if shared and self.a["aggregate"] == "yes":
                # block_rule=head is one block a tensor in these models, which have no attention.
                theta = [float(v.double().mean()) for v in rule.v] if self.a["rule"] == "adamw" else rule.m
        return change, control, theta

    def round(self, r):
        entry = self.plan["rounds"][r]
        self.check_round(r, entry)
        lr, cohort = self.lr(r), entry["cohort"]
        n = [len(self.partition[i]) for i in cohort]
        weight = [k / sum(n) if self.a["weights"] == "samples" else 1 / len(cohort) for k in n]
        total = [torch.zeros_like(p) for p in self.x]
        control, direction, thetas = [torch.zeros_like(p) for p in total], [torch.zeros_like(p) for p in total], []
        for i, w in zip(cohort, weight):
            batches = entry["batches"][str(i)]
            change, ci, theta = self.client(r, lr, i, batches)
            total = [s + w * d for s, d in zip(total, change)]
            if ci:
                control = [s + d for s, d in zip(control, ci)]
            if batches:
                direction = [s - d / (len(cohort) * len(batches) * lr) for s, d in zip(direction, change)]
            thetas.append(theta)
        self.x = [x + self.a["server_lr"] * d for x, d in zip(self.x, total)]
        self.c = [c + s / self.fed["clients"] for c, s in zip(self.c, control)]
        if self.a["stack"] == "shared":
            self.direction = direction
            if thetas[0] is not None:
                self.theta = [sum(t) / len(cohort) for t in zip(*thetas)]

    def evaluate(self):
        correct = 0
        with torch.no_grad():
            for p, q in zip(self.y, self.x):
                p.copy_(q)
            for first in range(0, len(self.test_labels), 1000):
                out = self.model(self.inputs(self.test_images[first:first + 1000]))
                correct += int((out.argmax(1).numpy() == self.test_labels[first:first + 1000]).sum())
        self.accuracy.append(correct / len(self.test_labels))

    def run(self, evaluate):
        for r in range(self.fed["rounds"]):
            self.round(r)
            if evaluate:
                self.evaluate()
        return np.concatenate([p.double().numpy().ravel() for p in self.x])


def split(flat, like, dtype):
    out, at = [], 0
    for p in like:
        out.append(torch.from_numpy(flat[at:at + p.numel()].copy()).to(dtype).reshape(p.shape))
        at += p.numel()
    assert at == len(flat)
    return out


# ---- Fedlane's side, and the comparison -------------------------------------------------------------------------------
def read_safetensors(path):
    with open(path, "rb") as f:
        raw = f.read()
    return np.frombuffer(raw, "<f4", offset=8 + struct.unpack("<Q", raw[:8])[0]).astype(np.float64)


def fedlane(args, model, rounds, out, option):
    """Runs Fedlane into `out`, unless that is there from an earlier time; under another name until it is whole."""
    if os.path.isdir(out):
        return
    part = out + ".part"
    shutil.rmtree(part, ignore_errors=True)
    command = [args.fedlane, "run", args.config, "--seeds", str(args.seed), "--threads", "1",
               "--set", "federated.rounds=%d,model=%s" % (rounds, model), option, part]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as e:
        raise SystemExit("torch_replay: %s: %s (build it, or name it with --fedlane)" % (args.fedlane, e.strerror))
    if done.returncode:
        raise SystemExit("torch_replay: %s\n%s" % (" ".join(command), done.stderr[-2000:]))
    os.rename(part, out)


def folders(root):
    """Run folders below root by method's name."""
    found = {}
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        for file in ("plan.json", "run.json"):
            if os.path.exists(os.path.join(path, file)):
                with open(os.path.join(path, file), encoding="utf-8") as f:
                    found[json.load(f)["config"]["algorithm"]["name"]] = path
    return found


def relative(a, b):
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def last5(values):
    return 100 * sum(values[-5:]) / len(values[-5:])


def jitter(replay):
    """Moves every initial weight by about one rounding of fp32, up or down."""
    torch.manual_seed(1)
    for p in replay.x:
        p.mul_(1 + 2.0 ** -24 * (2 * torch.randint(0, 2, p.shape) - 1))
    return replay


def compare(plan, done, rounds, row, long, sensitivity=False):
    """Fills row with the differences after `rounds` rounds."""
    with open(os.path.join(done, "run.json"), encoding="utf-8") as f:
        run = json.load(f)
    files = [e["path"] for e in run["data"]["files"]]
    row.update(cpu=run["machine"]["cpu"], isa=run["machine"]["isa_used"], commit=run["machine"]["commit"][:12],
               lr=run["config"]["algorithm"]["lr"])
    ours = read_safetensors(os.path.join(done, "params.safetensors"))
    start = np.fromfile(os.path.join(plan, "params.bin"), "<f4").astype(np.float64)
    replay = Replay(plan, files, torch.float32)
    theirs = replay.run(long)
    key = "_round%d" % rounds
    row["difference" + key] = "%.2e" % relative(ours, theirs)
    row["of_change" + key] = "%.2e" % (np.linalg.norm(ours - theirs) / np.linalg.norm(theirs - start))
    if not long:
        exact = Replay(plan, files, torch.float64).run(False)
        row["fedlane_to_fp64" + key] = "%.2e" % relative(ours, exact)
        row["torch_to_fp64" + key] = "%.2e" % relative(theirs, exact)
        if sensitivity:
            moved = jitter(Replay(plan, files, torch.float64)).run(False)
            row["sensitivity_fp64" + key] = "%.2e" % relative(moved, exact)
        return
    with open(os.path.join(done, "rounds.jsonl"), encoding="utf-8") as f:
        accuracy = [json.loads(line)["accuracy"] for line in f]
    row["accuracy_fedlane"], row["accuracy_torch"] = "%.2f" % last5(accuracy), "%.2f" % last5(replay.accuracy)
    row["accuracy_points"] = "%+.2f" % (last5(accuracy) - last5(replay.accuracy))


def write(path, rows):
    if not path:
        return
    columns = []
    for row in rows:
        columns += [k for k in row if k not in columns]
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".tmp", "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, columns, restval="-", lineterminator="\n")
        w.writeheader()
        w.writerows(rows)
    os.replace(path + ".tmp", path)


def fixture(args, here):
    """Writes what tests/e2e/torch.sh compares with: the runs of tests/fixtures/torch.yaml after 1 and 3 rounds, replayed in
    double precision from Fedlane's plans."""
    work = args.work or tempfile.mkdtemp(prefix="torch-fixture-")
    args.config = shutil.copy(os.path.join(here, "tests/fixtures/torch.yaml"), work)
    data = os.path.join(work, "data")
    subprocess.run(["bash", os.path.join(here, "tests/e2e/make_data.sh"), data, "120", "10", "1"], check=True)
    files = [os.path.join(data, "%s-%s-ubyte" % f) for f in (("train", "images-idx3"), ("train", "labels-idx1"),
                                                             ("t10k", "images-idx3"), ("t10k", "labels-idx1"))]
    kept = {}
    for rounds in (1, 3):
        kept[rounds] = {}
        for model in MODELS:
            plan = os.path.join(work, "plan-%s-%d" % (model, rounds))
            fedlane(args, model, rounds, plan, "--export-plan")
            for method, folder in folders(plan).items():
                replay = Replay(folder, files, torch.float64)
                start, names = [p.clone() for p in replay.x], [n for n, _ in replay.model.named_parameters()]
                replay.run(False)
                kept[rounds]["%s %s" % (model, method)] = {n: summary(p, q) for n, p, q in zip(names, replay.x, start)}
    lines = {r: ",\n".join('    "%s": %s' % (key, json.dumps(of)) for key, of in runs.items()) for r, runs in kept.items()}
    with open(args.fixture + ".tmp", "w", encoding="utf-8") as f:
        f.write('{"torch": "%s", "rounds": {\n%s\n}}\n' %
                (torch.__version__, ",\n".join('  "%d": {\n%s\n  }' % item for item in lines.items())))
    os.replace(args.fixture + ".tmp", args.fixture)
    if not args.work:
        shutil.rmtree(work)
    return 0


def summary(x, start):
    x, start = x.reshape(-1).tolist(), start.reshape(-1).tolist()
    numbers = [torch_fixture.norm(x), torch_fixture.norm([a - b for a, b in zip(x, start)])] + torch_fixture.project(x)
    return [float("%.9g" % v) for v in numbers]


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    p = argparse.ArgumentParser(description="Replays Fedlane's runs in plain PyTorch and compares.")
    p.add_argument("--config", default=os.path.join(here, "results/quickstart/config.yaml"))
    p.add_argument("--fedlane", default=os.path.join(here, "build/fedlane"), help="the program")
    p.add_argument("--models", default="lenet5,mlp")
    p.add_argument("--methods", default=",".join(METHODS))
    p.add_argument("--rounds", default="1,3,30", help="runs to compare; those of 5 rounds or more also by accuracy")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--csv", help="write the table here too")
    p.add_argument("--sensitivity", action="store_true",
                   help="short runs: also fp64 against fp64 from weights one fp32 rounding away")
    p.add_argument("--work",
                   help="keep plans and runs in this folder, and take them from it when there (default: a temporary one)")
    p.add_argument("--fixture", metavar="FILE", help="instead: write the fixture of the tests (tests/fixtures/torch.json)")
    args = p.parse_args()
    torch.set_num_threads(1)
    if args.fixture:
        return fixture(args, here)
    work = args.work or tempfile.mkdtemp(prefix="torch-replay-")
    rows = {(a, m): dict(method=a, model=m, seed=args.seed) for m in args.models.split(",") for a in args.methods.split(",")}
    for rounds in [int(r) for r in args.rounds.split(",")]:
        for model in args.models.split(","):
            plan, out = (os.path.join(work, "%s-%s-%d" % (kind, model, rounds)) for kind in ("plan", "run"))
            fedlane(args, model, rounds, plan, "--export-plan")
            fedlane(args, model, rounds, out, "--out")
            plans, runs = folders(plan), folders(out)
            for method in args.methods.split(","):
                row = rows[method, model]
                compare(plans[method], runs[method], rounds, row, rounds >= 5, args.sensitivity)
                row.update(torch=torch.__version__, python=platform.python_version())
                shown = ("method", "model", "difference", "of_change", "fedlane_to", "torch_to", "sensitivity", "accuracy")
                print(", ".join("%s %s" % i for i in row.items() if i[0].startswith(shown)), flush=True)
                write(args.csv, list(rows.values()))
    if not args.work:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
