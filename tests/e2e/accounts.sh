#!/usr/bin/env bash
# Every figure that a user reads (summary.json, the table at the end, what --dry-run announces, the report's tables) computed
# again from rounds.jsonl, the partition and the layout, by a program that shares no code with the one under test.
# usage: accounts.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
bash "$source/tests/e2e/make_data.sh" data 500 150 1
# 100 * 0.29 is 28.999999999999996 as a double, and 29 clients.
cat > config.yaml <<'EOF_CONFIG'
seeds: [1, 2, 3]
data: {format: idx, train: data/train-images-idx3-ubyte, test: data/t10k-images-idx3-ubyte}
partition: {name: dirichlet, dirichlet_alpha: 0.5, min_size: 1, seed: 4}
model: logistic
federated: {clients: 100, participation: 0.29, rounds: 7, local_epochs: 2, local_steps: 3, batch_size: 3, target_accuracy: 0.45}
algorithms:
  - {name: fedavg, lr: 0.02}
  - {name: scaffold, lr: 0.02}
  - {name: fedadamw, lr: 1e-4}
  - {name: fedmuon, lr: 1e-3, ns_steps: 1}
  - {name: topk_ef, lr: 0.02, topk_part: 0.1}
  - {name: fedbcgd, lr: 0.02, blocks: 3, bcgd_shared: 0}
EOF_CONFIG
"$fedlane" run config.yaml --out runs > table.txt 2> err.txt || { cat err.txt >&2; exit 1; }
"$fedlane" run config.yaml --dry-run > dry.json 2> err.txt || { cat err.txt >&2; exit 1; }
"$fedlane" run config.yaml --export-plan plan > out.txt 2> err.txt || { cat err.txt >&2; exit 1; }
"$fedlane" report runs --out report > out.txt 2> err.txt || { cat err.txt >&2; exit 1; }
python3 - << 'PY'
import csv, json, math, os, statistics, struct, sys

def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return json.load(f)

bad = []
def same(what, got, want):
    if isinstance(got, float) and isinstance(want, float) and math.isclose(got, want, rel_tol=1e-12):
        return
    if got != want:
        bad.append("%s: %r, must be %r" % (what, got, want))

D = 7850                       # 784-10 with biases
# Floats of a round's clients: up the model's change, SCAFFOLD's dc, FedAdamW's two block means, FedMuon's momentum, top-k's
# values with as many indices, FedBCGD's three blocks (10, 10 and 9 clients); down x, c, D, theta.
UP = {"fedavg": 29 * D, "scaffold": 29 * 2 * D, "fedadamw": 29 * (D + 2), "fedmuon": 29 * (D + 7840), "topk_ef": 29 * 2 * 785,
      "fedbcgd": 20 * 2617 + 9 * 2616}
DOWN = {"fedavg": D, "scaffold": 2 * D, "fedadamw": 2 * D + 2, "fedmuon": 2 * D + 7840, "topk_ef": D, "fedbcgd": D}
accuracy, reached, curved = {}, {}, {}
for name in sorted(os.listdir("runs")):
    if name == "suite.json":
        continue
    run, summary, plan = read("runs", name, "run.json"), read("runs", name, "summary.json"), read("plan", name, "plan.json")
    method, index = run["label"], read("runs", name, "partition.json")["index"]
    with open(os.path.join("runs", name, "rounds.jsonl")) as f:
        lines = [json.loads(line) for line in f]
    same(name + ": rounds", len(lines), 7)
    evaluations = samples = 0
    for r, (line, planned) in enumerate(zip(lines, plan["rounds"])):
        at = "%s, round %d: " % (name, r + 1)
        same(at + "cohort", line["cohort"], 29)
        same(at + "cohort of the plan", len(set(planned["cohort"])), 29)
        same(at + "lr", line["lr"], planned["lr"])
        if method in ("fedadamw", "fedmuon"):
            same(at + "lr", line["lr"], 0.5 * run["config"]["algorithm"]["lr"] * (1 + math.cos(math.pi * r / 7)))
        for client in planned["cohort"]:
            batches = planned["batches"][str(client)]
            same(at + "steps of client %d" % client, len(batches), min(3, 2 * math.ceil(len(index[client]) / 3)))
            evaluations += len(batches)
            samples += sum(map(len, batches))
            epoch = max(1, math.ceil(len(index[client]) / 3))
            for first in range(0, len(batches) - epoch + 1, epoch):
                rows = sum(batches[first:first + epoch], [])
                same(at + "an epoch of client %d" % client, sorted(rows), sorted(index[client]))
        same(at + "bytes_up", line["bytes_up"], 4 * UP[method])
        same(at + "bytes_down", line["bytes_down"], 4 * 29 * DOWN[method])
        same(at + "total_bytes_up", line["total_bytes_up"], 4 * UP[method] * (r + 1))
        same(at + "total_bytes_down", line["total_bytes_down"], 4 * 29 * DOWN[method] * (r + 1))
        same(at + "gradient_evaluations", line["gradient_evaluations"], evaluations)
        same(at + "samples", line["samples"], samples)
        wall = run["threads"] * (line["seconds"] + line["seconds_evaluation"])
        if not math.isclose(sum(line["thread_seconds"].values()), wall, rel_tol=1e-9):
            bad.append(at + "thread_seconds add up to %r, must be %r" % (sum(line["thread_seconds"].values()), wall))
    # 150 test rows: the last evaluation again, from the weights that were saved.
    with open(os.path.join("runs", name, "params.safetensors"), "rb") as f:
        raw = f.read()
    w = struct.unpack("<%df" % D, raw[8 + struct.unpack("<Q", raw[:8])[0]:])
    with open("data/t10k-images-idx3-ubyte", "rb") as f:
        pixels = f.read()[16:]
    with open("data/t10k-labels-idx1-ubyte", "rb") as f:
        labels = f.read()[8:]
    correct, loss = 0, 0.0
    for i, label in enumerate(labels):
        x = [(p / 255 - plan["mean"]) / plan["std"] for p in pixels[784 * i:784 * i + 784]]
        z = [sum(map(lambda a, b: a * b, w[784 * c:784 * c + 784], x)) + w[7840 + c] for c in range(10)]
        correct += z.index(max(z)) == label
        loss += max(z) + math.log(sum(math.exp(v - max(z)) for v in z)) - z[label]
    same(name + ": accuracy of the last round", lines[-1]["accuracy"], correct / 150)
    if not math.isclose(lines[-1]["test_loss"], loss / 150, rel_tol=1e-5):
        bad.append("%s: test_loss %r, must be about %r" % (name, lines[-1]["test_loss"], loss / 150))
    # The summary from the rounds.
    mean = statistics.fmean(line["accuracy"] for line in lines[-5:])
    first = next((line for line in lines if line["accuracy"] >= 0.45), None)
    same(name + ": accuracy", summary["accuracy"], mean)
    same(name + ": best_accuracy", summary["best_accuracy"], max(line["accuracy"] for line in lines))
    same(name + ": rounds_to_target", summary["rounds_to_target"], first and first["round"])
    same(name + ": seconds_to_target", summary["seconds_to_target"], first and first["seconds"])
    same(name + ": samples", summary["samples"], samples)
    for key in ("bytes_up", "bytes_down"):
        same("%s: %s" % (name, key), summary[key], lines[-1]["total_" + key])
    accuracy.setdefault(method, []).append(mean)
    reached.setdefault(method, []).append(first and first["round"])
    curved.setdefault(method, []).append([line["accuracy"] for line in lines])

# The table: mean and sample deviation over seeds; "inf" when a seed missed the target.
table = {line.split()[0]: line.split() for line in open("table.txt") if line.split()[0] in UP}
same("methods of the table", sorted(table), sorted(UP))
for method, words in table.items():
    same("table, %s: seeds" % method, words[1], "3")
    want = "%.2f +- %.2f" % (100 * statistics.fmean(accuracy[method]), 100 * statistics.stdev(accuracy[method]))
    same("table, %s: accuracy" % method, " ".join(words[2:5]), want)
    same("table, %s: rounds to the target" % method, words[5],
         "inf" if None in reached[method] else "%.1f" % statistics.fmean(reached[method]))
    if statistics.stdev(accuracy[method]) < 1e-3:
        bad.append("%s: the deviation over seeds is too small to tell one formula from another" % method)
if not any(None in r for r in reached.values()) or all(None in r for r in reached.values()):
    bad.append("the target must be reached by all seeds of some methods and missed by a seed of another: %r" % reached)

# The report's tables and curves from the same files; "inf" where a seed missed the target.
def rows(name):
    with open("report/%s.csv" % name, encoding="utf-8") as f:
        return list(csv.DictReader(f))

def spread(values, form):
    return (form + " \u00b1 " + form) % (statistics.fmean(values), statistics.stdev(values))

made, targets = ({line["method"]: line for line in rows(name)} for name in ("table", "targets"))
for name, found in (("table", made), ("targets", targets)):
    same("methods of the report's " + name, sorted(found), sorted(UP))
for method in UP:
    hit = [r for r in reached[method] if r is not None]
    every = len(hit) == 3
    same("report, %s: accuracy" % method, made[method]["accuracy (%)"], spread([100 * a for a in accuracy[method]], "%.2f"))
    same("report, %s: rounds to the target" % method, made[method]["rounds to target"],
         "%.1f" % statistics.fmean(hit) if every else "inf")
    same("report, %s: seeds that reached it" % method, targets[method]["reached"], "%d of 3" % len(hit))
    same("report, %s: rounds with their deviation" % method, targets[method]["rounds"], spread(hit, "%.1f") if every else "inf")
curves = {(line["method"], int(line["round"])): line for line in rows("accuracy-rounds-idx-logistic")}
same("points of the curves", sorted(curves), sorted((method, r) for method in UP for r in range(1, 8)))
for (method, r), line in curves.items():
    at = [100 * curve[r - 1] for curve in curved[method]]
    for column, want in (("mean (%)", statistics.fmean(at)), ("min (%)", min(at)), ("max (%)", max(at))):
        if not math.isclose(float(line[column]), want, rel_tol=1e-9):
            bad.append("curve of %s, round %d, %s: %s, must be %r" % (method, r, column, line[column], want))

# --dry-run announces what the runs then sent.
for run in read("dry.json")["runs"]:
    summary = read("runs", run["folder"], "summary.json")
    same("--dry-run, %s: run_id" % run["folder"], run["run_id"], summary["run_id"])
    same("--dry-run, %s: cohort" % run["folder"], run["cohort"], 29)
    for key in ("bytes_up", "bytes_down"):
        same("--dry-run, %s: %s" % (run["folder"], key), run[key], summary[key])
        same("--dry-run, %s: %s_per_round" % (run["folder"], key), 7 * run[key + "_per_round"], summary[key])
for line in bad[:20]:
    print("accounts.sh: FAILED:", line, file=sys.stderr)
print("%d runs, %d complaints" % (sum(map(len, accuracy.values())), len(bad)))
sys.exit(bool(bad))
PY
rm -rf "$scratch"
