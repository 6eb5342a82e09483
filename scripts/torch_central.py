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


def inputs(images, plan):
    return ((torch.from_numpy(images.astype(np.float64) / 255.0) - plan["mean"]) / plan["std"]).float().unsqueeze(1)


def replay(folder, files):
    """(accuracy after the last epoch, parameters as one array)."""
    with open(os.path.join(folder, "plan.json"), encoding="utf-8") as f:
        plan = json.load(f)
    a = plan["config"]["algorithm"]
    if a["stack"]:
        raise SystemExit("torch_central: the stack '%s' is not replayed; allowed: none" % a["stack"])
    images, labels, test_images, test_labels = (torch_replay.read_idx(p) for p in files)
    x, y = inputs(images, plan), torch.from_numpy(labels.astype(np.int64))
    model = torch_replay.MODELS[plan["config"]["model"]]()
    parameters = list(model.parameters())
    start = torch_replay.split(np.fromfile(os.path.join(folder, "params.bin"), "<f4"), parameters, torch.float32)
    with torch.no_grad():
        for p, q in zip(parameters, start):
            p.copy_(q)
    opt, clip = optimizer(a, parameters), a["clip_norm"]
    for epoch in plan["rounds"]:
        seen = sorted(i for batch in epoch["batches"]["0"] for i in batch)
        assert seen == list(range(len(labels))), "an epoch is not all rows once"
        for rows, lr in zip(epoch["batches"]["0"], epoch["lr"]):
            opt.param_groups[0]["lr"] = lr
            opt.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            if math.isfinite(float(clip.replace(".inf", "inf") if isinstance(clip, str) else clip)):
                torch.nn.utils.clip_grad_norm_(parameters, float(clip))
            opt.step()
    correct = 0
    with torch.no_grad():
        for first in range(0, len(test_labels), 1000):
            out = model(inputs(test_images[first:first + 1000], plan))
            correct += int((out.argmax(1).numpy() == test_labels[first:first + 1000]).sum())
    return correct / len(test_labels), np.concatenate([p.detach().numpy().reshape(-1) for p in parameters]).astype(np.float64)


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
