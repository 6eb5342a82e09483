#!/usr/bin/env bash
# fedlane partition: its lists, table and statistics against a program that shares no code with it, lists saved and loaded again,
# figures, refusals. usage: partition.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
fail() { echo "partition.sh: FAILED: $*" >&2; cat "$scratch/err.txt" >&2 || true; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
bash "$source/tests/e2e/make_data.sh" data 300 20 1
cat > c.yaml << 'YAML'
data: {format: idx, train: data}
partition: {name: dirichlet, dirichlet_alpha: 0.3, min_size: 1, seed: 7}
model: logistic
federated: {clients: 6, rounds: 2, batch_size: 10, participation: 0.5}
algorithms: [fedavg]
YAML
partition() { "$fedlane" partition c.yaml "$@" > out.txt 2> err.txt || fail "partition $*: exit code $?"; }

# Entropies and distances by the plain formulas, in doubles of the C library, from the lists and the labels alone.
cat > plain.py << 'PY'
import collections, csv, json, math, sys
with open("data/train-labels-idx1-ubyte", "rb") as f:
    label = list(f.read()[8:])
saved, stats = json.load(open("lists.json")), json.load(open("stats.json"))
table = [line.split() for line in open("out.txt")]
rows = list(csv.DictReader(open("stats.csv")))
near = lambda a, b, digits=1e-11: math.isclose(float(a), b, rel_tol=digits, abs_tol=digits)
assert saved["clients"] == len(saved["index"]) == len(rows) == stats["clients"]
overall, names = collections.Counter(label), ["samples", "classes", "effective_classes", "total_variation", "jensen_shannon"]
every, used = [], [s for lists in saved["index"] for s in lists]
for i, lists in enumerate(saved["index"]):
    count = collections.Counter(label[s] for s in lists)
    p = {c: count[c] / max(len(lists), 1) for c in overall}
    g = {c: n / len(label) for c, n in overall.items()}
    kl = lambda a: sum(a[c] * math.log2(a[c] / ((p[c] + g[c]) / 2)) for c in overall if a[c] > 0)
    want = [len(lists), len(count), math.exp(-sum(v * math.log(v) for v in p.values() if v)) if lists else 0,
            sum(abs(p[c] - g[c]) for c in overall) / 2 if lists else 0, (kl(p) + kl(g)) / 2 if lists else 0]
    one = stats["client"][i]
    for name, value in zip(names, want):
        assert near(one[name], value) and near(rows[i][name], value), (i, name, one[name], value)
    assert one["class_counts"] == [count[c] for c in range(10)] == [int(rows[i]["class_%d" % c]) for c in range(10)]
    if str(i) in (line[0] for line in table[3:]):
        shown = next(line for line in table[3:] if line[0] == str(i))[1:]
        assert all(near(a, b, 1e-4) for a, b in zip(shown, want)), (shown, want)
    every.append(want)
for k, name in enumerate(names):
    column = [one[k] for one in every]
    want = {"min": min(column), "mean": sum(column) / len(column), "max": max(column)}
    assert all(near(stats["summary"][name][key], v) for key, v in want.items()), name
    assert all(near(next(t for t in table if t[0] == key)[1 + k], v, 1e-4) for key, v in want.items()), name
assert stats["class_counts"] == [overall[c] for c in range(10)] and stats["samples"] == len(label)
assert stats["assigned"] == len(used) and stats["distinct"] == len(set(used))
assert stats["disjoint"] == saved["disjoint"] == (len(used) == len(set(used)))
assert stats["complete"] == saved["complete"] == (len(set(used)) == len(label))
assert table[0][:2] == ["idx,", "partition"] and table[1] == ["SHA-256", stats["sha256"]]
PY
cases=0
for settings in '' partition.name=iid,federated.clients=7 federated.clients=40,partition.dirichlet_alpha=2 \
    partition.name=shard partition.name=pathological,partition.classes_per_client=3 \
    partition.name=dirichlet_client partition.name=dirichlet_rounded,partition.dirichlet_alpha=0.05; do
  case $settings in *name=*) sed 's/^partition:.*/partition: {seed: 7}/' c.yaml > other.yaml;; *) cp c.yaml other.yaml;; esac
  "$fedlane" partition other.yaml ${settings:+--set "$settings"} --save lists.json --stats stats.json > out.txt 2> err.txt ||
    fail "$settings: exit code $?"
  "$fedlane" partition other.yaml ${settings:+--set "$settings"} --stats stats.csv > again.txt
  cmp -s out.txt again.txt || fail "$settings: another table the second time"
  python3 plain.py 2> err.txt || fail "$settings: not what the lists and labels say"
  # Loaded again: the same lists, and the same run.
  clients=$(python3 -c 'import json; print(json.load(open("lists.json"))["clients"])')
  sed 's/^partition:.*/partition: {name: file, path: lists.json}/' c.yaml > file.yaml
  "$fedlane" partition file.yaml --set "federated.clients=$clients" --save loaded.json > loaded.txt 2> err.txt ||
    fail "$settings: its own file refused"
  cmp -s lists.json loaded.json || fail "$settings: saved, loaded, saved: other lists"
  [ "$(sed 1d out.txt)" = "$(sed 1d loaded.txt)" ] || fail "$settings: another table from its own file"
  cases=$((cases + 1))
done
partition --save lists.json
for config in c file; do
  "$fedlane" run $config.yaml --set federated.clients=6 --out "run-$config" > out.txt 2> err.txt || fail "run $config.yaml"
done
results() { grep -h '"trajectory_hash"' "$1"/*/summary.json; }
[ "$(results run-c)" = "$(results run-file)" ] || fail "a run on the saved lists has other bits"
cmp -s lists.json run-c/*/partition.json || fail "a run's partition.json is not what --save writes"

# Several partitions of a configuration: a table each, once.
partition --set "partition.seed=[7,8],federated.rounds=[1,2]"
[ "$(grep -c ^SHA-256 out.txt)" = 2 ] || fail "two partitions, $(grep -c ^SHA-256 out.txt) tables"

if python3 -c 'import matplotlib' 2> /dev/null || /usr/bin/python3 -c 'import matplotlib' 2> /dev/null; then
  partition --plot figures --stats stats.json
  cmp -s stats.json figures/partition.json || fail "--plot and --stats differ"
  for f in bars dots distances; do
    for ending in csv svg pdf; do [ -s figures/partition-$f.$ending ] || fail "no figure partition-$f.$ending"; done
  done
  python3 - << 'PY' 2> err.txt || fail "the figures' points are not the statistics"
import csv, json
clients = json.load(open("stats.json"))["client"]
bars = {(int(r["client"]), int(r["class"])): int(r["samples"]) for r in csv.DictReader(open("figures/partition-bars.csv"))}
assert bars == {(i, c): n for i, one in enumerate(clients) for c, n in enumerate(one["class_counts"])}
dots = {(int(r["client"]), int(r["class"])): int(r["samples"]) for r in csv.DictReader(open("figures/partition-dots.csv"))}
assert dots == {k: n for k, n in bars.items() if n}
PY
fi

# The figure of the documentation, from the command that makes it.
"$source/scripts/partitioners" "$fedlane" --out . 2> err.txt || fail "scripts/partitioners: exit code $?"
for ending in csv svg; do
  cmp -s partitioners.$ending "$source/docs/figures/partitioners.$ending" ||
    fail "docs/figures/partitioners.$ending: not what is made now"
done

refused() { # CODE PATTERN ARGUMENT...
  local want=$1 pattern=$2 code=0
  shift 2
  "$fedlane" partition "$@" > out.txt 2> err.txt || code=$?
  [ "$code" = "$want" ] && grep -q -e "$pattern" err.txt || fail "partition $*: exit code $code, wanted $want and '$pattern'"
  cases=$((cases + 1))
}
refused 2 'takes one configuration, 0 given'
refused 2 'takes one configuration, 2 given' c.yaml d.yaml
refused 2 'nowhere.yaml: cannot open' nowhere.yaml
refused 2 usage c.yaml --bogus
refused 2 'empty path; allowed: a file, a file, a folder' c.yaml --save ''
refused 2 "did you mean 'dirichlet'" c.yaml --set partition.name=dirichlt
refused 2 'dirichlet_alpha' c.yaml --set partition.dirichlet_alpha=0
rm -f none.json none.csv
refused 2 'c.yaml has several partitions; allowed: one' c.yaml --set 'partition.seed=[7,8]' --save none.json
refused 2 'c.yaml has several partitions; allowed: one' c.yaml --set 'partition.seed=[7,8]' --stats none.csv
[ ! -e none.json ] && [ ! -e none.csv ] || fail "a refused --save or --stats left a file"
sed -e '/^federated/d' -e 's/^partition.*/training: {epochs: 1}/' -e 's/fedavg/{rule: sgd}/' c.yaml > central.yaml
refused 2 "central training has no partition; allowed: 'federated'" central.yaml
sed -e '/^partition/d' -e 's/^data.*/data: {format: synthetic}/' c.yaml > synthetic.yaml
refused 2 'data of format synthetic have no partition' synthetic.yaml
# What the files and the data do not allow is a failure, as in a run.
refused 1 'no/lists.json: cannot be written' c.yaml --save no/lists.json
refused 1 "cannot write 'no/stats.csv'" c.yaml --stats no/stats.csv
refused 1 'min_size = 100 for 6 clients needs 600 samples, the data have 300' c.yaml --set partition.min_size=100
refused 1 'lists.json: clients: 6, but the configuration has 5' file.yaml --set federated.clients=5
echo "$cases cases"
rm -rf "$scratch"
