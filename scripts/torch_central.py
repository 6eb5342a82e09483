"""Central training again by PyTorch's networks and optimizers, from Fedlane's initial weights, batches and learning rates.

`fedlane run --export-plan` hands over what is random; the loop is plain PyTorch. Prints, and with --csv writes, the test
accuracy of both after the last epoch, and how far the parameters are apart.
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from torch.nn import functional as F

import torch_replay
from measuring import torch_models


# What PyTorch's optimizers have no argument for, with the value at which they agree.
ONLY = {"adam": {"bias_correction": "yes", "eps_form": "corrected", "initial_accumulator": 0}, "rmsprop": {"form": "pytorch"}}


def optimizer(a, parameters):
    """torch.optim of a rule with the same meaning."""
    for key, value in ONLY.get(a["rule"], {}).items():
        if a[key] != value:
            raise SystemExit("torch_central: %s=%s of rule %s is not replayed; allowed: %s" % (key, a[key], a["rule"], value))
    rule, decay = a["rule"], a["weight_decay"]
    if rule == "sgd":
        return torch.optim.SGD(parameters, lr=a["lr"], weight_decay=decay)
    if rule == "momentum":
        return torch.optim.SGD(parameters, lr=a["lr"], momentum=a["momentum"], dampening=a["dampening"], weight_decay=decay,
                               nesterov=a["nesterov"] == "yes")
    if rule in ("adam", "adamw"):
        kind = torch.optim.AdamW if rule == "adamw" else torch.optim.Adam
        return kind(parameters, lr=a["lr"], betas=(a["beta1"], a["beta2"]), eps=a["eps"], weight_decay=decay,
                    amsgrad=a["amsgrad"] == "yes")
    if rule == "adagrad":
        return torch.optim.Adagrad(parameters, lr=a["lr"], lr_decay=a["adagrad_decay"], weight_decay=decay, eps=a["eps"],
                                   initial_accumulator_value=a["initial_accumulator"])
    if rule == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=a["lr"], alpha=a["beta2"], eps=a["eps"], weight_decay=decay,
                                   momentum=a["momentum"],
                                   centered=a["centred"] == "yes")
    raise SystemExit("torch_central: rule %s is not replayed; allowed: sgd, momentum, adam, adamw, adagrad, rmsprop" % rule)


def sentences(path, length):
    """Rows of bytes, cut or filled up with 0, and their labels; a first line whose label is no number is a heading."""
    with open(path, "rb") as f:
        lines = [line.rstrip(b"\r").split(b"\t") for line in f.read().split(b"\n") if line]
    lines = lines if lines[0][-1].isdigit() else lines[1:]
    tokens = np.frombuffer(b"".join(text[:length].ljust(length, b"\0") for text, _ in lines), np.uint8).reshape(-1, length)
    return torch.from_numpy(tokens.astype(np.int64)), torch.tensor([int(label) for _, label in lines])


def read_rows(plan, files):
    """(training inputs, labels, test inputs, labels): images as they are normalised, or sentences."""
    data = plan["config"]["data"]
    if data.get("format") == "sentences":
        return [part for path in files for part in sentences(path, int(data["length"]))]
    images, labels, test_images, test_labels = (torch_replay.read_idx(p) for p in files)

    def scaled(x):
        return ((torch.from_numpy(x.astype(np.float64) / 255.0) - plan["mean"]) / plan["std"]).float().unsqueeze(1)
    return scaled(images), torch.from_numpy(labels.astype(np.int64)), scaled(test_images), torch.from_numpy(
        test_labels.astype(np.int64))


def network(plan):
    name = plan["config"]["model"]
    if name in torch_replay.MODELS:
        return torch_replay.MODELS[name]()
    base, _, rank = name.partition("_lora")
    if base != "text_transformer" or not (rank or "0").isdigit():
        raise SystemExit("torch_central: model %s is not replayed; allowed: %s, text_transformer, text_transformer_loraRANK" % (
            name, ", ".join(torch_replay.MODELS)))
    text = torch_models.Text(length=int(plan["config"]["data"]["length"]))
    return torch_models.adapted(text, int(rank)) if rank else text


def begin(model, folder):
    """Gives the model the run's initial values, by name; returns its tensors in the order of ours."""
    with open(os.path.join(folder, "layout.json"), encoding="utf-8") as f:
        ours = json.load(f)["tensors"]
    values, state = np.fromfile(os.path.join(folder, "params.bin"), "<f4"), model.state_dict()
    if {t["name"] for t in ours} != set(state):
        raise SystemExit("torch_central: other tensors than PyTorch's: %s" % sorted({t["name"] for t in ours} ^ set(state)))
    for t in ours:
        state[t["name"]].copy_(torch.from_numpy(values[t["offset"]:t["offset"] + t["size"]].copy()).reshape(t["shape"]))
    return [state[t["name"]] for t in ours]


def replay(folder, files):
    """(accuracy after the last epoch, parameters as one array)."""
    with open(os.path.join(folder, "plan.json"), encoding="utf-8") as f:
        plan = json.load(f)
    a = plan["config"]["algorithm"]
    if a["stack"]:
        raise SystemExit("torch_central: the stack '%s' is not replayed; allowed: none" % a["stack"])
    x, y, test_x, test_y = read_rows(plan, files)
    model = network(plan)
    tensors = begin(model, folder)
    parameters = [p for p in model.parameters() if p.requires_grad]
    opt, clip = optimizer(a, parameters), a["clip_norm"]
    for epoch in plan["rounds"]:
        seen = sorted(i for batch in epoch["batches"]["0"] for i in batch)
        assert plan["config"]["training"].get("epoch_steps") or seen == list(range(len(y))), "an epoch is not all rows once"
        for rows, lr in zip(epoch["batches"]["0"], epoch["lr"]):
            opt.param_groups[0]["lr"] = lr
            opt.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            if math.isfinite(float(clip.replace(".inf", "inf") if isinstance(clip, str) else clip)):
                torch.nn.utils.clip_grad_norm_(parameters, float(clip))
            opt.step()
    correct = 0
    with torch.no_grad():
        for first in range(0, len(test_y), 1000):
            correct += int((model(test_x[first:first + 1000]).argmax(1) == test_y[first:first + 1000]).sum())
    return correct / len(test_y), np.concatenate([t.numpy().reshape(-1) for t in tensors]).astype(np.float64)


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    p = argparse.ArgumentParser(description="Central runs against PyTorch's optimizers.")
    p.add_argument("--config", default=os.path.join(here, "results/central/config.yaml"))
    p.add_argument("--fedlane", default=os.path.join(here, "build/fedlane"), help="the program")
    p.add_argument("--set", default=[], action="append", help="as of fedlane run")
    p.add_argument("--csv", help="write the table here too")
    args = p.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory(prefix="torch-central-") as work:
        common = [args.fedlane, "run", args.config] + [w for s in args.set for w in ("--set", s)]
        for option, out in (("--export-plan", "plan"), ("--out", "run")):
            done = subprocess.run(common + [option, os.path.join(work, out)], capture_output=True, text=True)
            if done.returncode:
                raise SystemExit("torch_central: %s" % done.stderr[-2000:])
        for name in sorted(os.listdir(os.path.join(work, "plan"))):
            run_dir = os.path.join(work, "run", name)
            with open(os.path.join(run_dir, "run.json"), encoding="utf-8") as f:
                run = json.load(f)
            with open(os.path.join(run_dir, "rounds.jsonl"), encoding="utf-8") as f:
                ours = json.loads(f.readlines()[-1])["accuracy"]
            theirs, x = replay(os.path.join(work, "plan", name), [e["path"] for e in run["data"]["files"]])
            mine = torch_replay.read_safetensors(os.path.join(run_dir, "params.safetensors"))
            rows.append({"run": run["label"], "seed": run["seeds"]["run"], "epochs": run["config"]["training"]["epochs"],
                         "accuracy_fedlane": "%.2f" % (100 * ours), "accuracy_torch": "%.2f" % (100 * theirs),
                         "points": "%+.2f" % (100 * (ours - theirs)), "difference": "%.2e" % torch_replay.relative(mine, x),
                         "cpu": run["machine"]["cpu"], "isa": run["machine"]["isa_used"],
                         "commit": run["machine"]["commit"][:12], "torch": torch.__version__})
            print(", ".join("%s %s" % item for item in list(rows[-1].items())[:7]), flush=True)
            torch_replay.write(args.csv, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
