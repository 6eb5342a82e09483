#!/usr/bin/env python3
"""A run's folder as a plan of plain lines for fedlane-replay, which has no JSON: the resolved configuration (run.json), the
data files and the clients' samples (partition.json), or what a population is made by. usage: replay.py NAME RUN_DIR CONFIG_DIR"""
import json, os, sys

name, run_dir, config_dir = sys.argv[1:]
run = json.load(open(os.path.join(run_dir, "run.json")))
config, data = run["config"], run["data"]
print("run", name)
if isinstance(config["model"], str):
    print("model", config["model"])
else:  # type; name; settings; what it reads
    for layer in config["model"]["layers"]:
        (kind, of), = layer.items()
        settings = ["%s=%s" % (k, v) for k, v in of.items() if k not in ("name", "from")]
        print("layer", "; ".join((kind, of["name"], " ".join(settings), " ".join(of.get("from", [])))))
print("seed", config["seed"])
for key in ("classes", "mean", "std"):
    print(key, repr(data[key]))
made = config["data"].get("format") == "synthetic"
text = config["data"].get("format") == "text"
if made:  # a population: the clients make their rows
    print("population", config["data"]["seed"])
    for key in ("min_samples", "max_samples", "label_skew"):
        print(key, repr(config["data"][key]))
    print("clients", config["federated"]["clients"])
elif text:  # rows of characters by their classes; every position has a label
    of, length = config["data"], int(config["data"]["length"])
    assert of["predict"] == "every" and of["stride"] in (0, length) and of["clients"] == "none" and of["test_part"] == 0, of
    known = {value: k for k, value in enumerate(data["class_values"])}
    print("length", length)
    for kind, file in zip(("train-row", "test-row"), data["files"]):
        characters = [known[b] for b in open(os.path.join(config_dir, file["path"]), "rb").read()]
        for at in range(0, len(characters) - length, length):
            print(kind, *characters[at:at + length + 1])
else:
    files = ("train-images", "train-labels", "test-images", "test-labels")
    assert len(data["files"]) == len(files), data["files"]
    for kind, file in zip(files, data["files"]):
        print(kind, os.path.join(config_dir, file["path"]))
if "training" in config:  # central: an epoch is a round
    print("central 1")
    for key, of in (("rounds", "epochs"), ("local_steps", "epoch_steps"), ("batch_size", "batch_size"),
                    ("eval_every", "eval_every")):
        print(key, repr(config["training"][of]))
else:
    for key in ("rounds", "participation", "local_epochs", "local_steps", "batch_size", "eval_every"):
        print(key, repr(config["federated"][key]))
    choices = {"sampling": ["uniform", "poisson", "fixed"], "availability": ["always", "bernoulli", "periodic"],
               "straggler_unit": ["epochs", "steps"]}
    for key, default in (("sampling", None), ("availability", None), ("available_part", 0.5), ("available_period", 24),
                         ("client_dropout", None), ("stragglers", None), ("straggler_unit", None), ("straggler_min", 1),
                         ("straggler_max", None)):  # a key at its default is not in the resolved configuration
        value = config["federated"].get(key, default)
        if value is not None:
            print(key, choices[key].index(value) if key in choices else repr(value))
method = config["algorithm"]
own = ("stack", "rule") if method["name"] == "custom" else ("name",)
for key, value in method.items():
    if key in own or key not in ("name", "stack", "rule"):
        print("set", key, value if isinstance(value, str) else repr(value))
for rows in [] if made else json.load(open(os.path.join(run_dir, "partition.json")))["index"]:
    print("client", len(rows), *rows)
