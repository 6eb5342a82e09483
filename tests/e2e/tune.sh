#!/usr/bin/env bash
# A search: the same trials and bits one by one, at once, in shards, after a kill; the choice is what Python makes of the table,
# by rows held out of each client; chosen.yaml trains as it is. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
. "$source/tests/e2e/try.bash"

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 400 60 1
config=$scratch/study/tune.yaml
mkdir "$scratch/study"
cat > "$config" <<END
seeds: [1, 2]
data: {format: idx, train: ../data/train, test: ../data/t10k}
partition: {name: iid}
model: logistic
federated: {clients: 10, participation: 0.3, rounds: 4, batch_size: 7, checkpoint_seconds: 0}
algorithms: [{name: fedavg, weight_decay: 100}, {name: fedprox, weight_decay: 100}, {stack: [scaffold], rule: adamw}]
tune:
  trials: 4
  validation: 0.2
  space:
    algorithms.lr: {log: [1e-3, 1e6]}
    algorithms.fedprox.mu: [0.01, 0.1, 1]
    algorithms.adamw.lr: {log: [1e-3, 0.1], points: 3}
END

try 0 tune "$config" --dry-run
told "11 trials of 3 methods, 22 runs; about"
told "fedavg: 4 trials"
[ ! -e fedlane-out ] || fail "a dry run has written something"

try 0 tune "$config" --out "$scratch/one" --threads 1
table=$scratch/one/tune.csv
[ "$(head -1 "$table")" = "method,trial,lr,mu,status,accuracy,chosen,hash" ] || fail "$(head -1 "$table")"
[ "$(grep -c ',yes,' "$table")" = 3 ] || fail "not one choice a method"
cp "$scratch/err" "$scratch/told"
grep -q 'diverged' "$table" || fail "no trial diverged at step sizes up to 1e6"
# The choice and every score again, from the trials' own files.
python3 - "$scratch/one" <<'PY'
import csv, hashlib, json, os, sys
out = sys.argv[1]
methods = {}
for row in csv.DictReader(open(f"{out}/tune.csv")):
    run = f"{out}/{row['method'].replace(' ', '_')}_trial={row['trial']}"
    runs = [json.load(open(f"{run}-s{seed}/summary.json")) for seed in (1, 2)]
    config = json.load(open(f"{run}-s1/run.json"))
    assert config["config"]["algorithm"]["lr"] == float(row["lr"]), row
    assert config["config"]["data"]["validation"] == 0.2 and config["config"]["data"]["validation_from"] == "clients"
    assert config["data"]["test"] == 80, config["data"]           # a fifth of each client's 40 rows, in place of the 60 test rows
    assert row["hash"] == hashlib.sha256("".join(r["hash"] for r in runs).encode()).hexdigest(), row
    bad = any(r["status"] == "diverged" for r in runs)
    assert bad == (row["status"] == "diverged"), row
    if not bad:
        assert abs(float(row["accuracy"]) - sum(r["accuracy"] for r in runs) / 2) < 1e-9, row
    methods.setdefault(row["method"], []).append((row, bad))
for rows in methods.values():
    best = max((r for r in rows if not r[1]), key=lambda r: float(r[0]["accuracy"]))[0]
    assert [r["trial"] for r, _ in rows if r["chosen"]] == [best["trial"]], rows
lr = {m: [r["lr"] for r, _ in rows] for m, rows in methods.items()}
names = list(lr)
assert lr[names[0]] == lr[names[1]], "methods that share a range try the same values"
assert lr[names[2]] == ["0.001", "0.01", "0.1"], lr
PY

# The chosen configuration: no search, no held-out rows, its paths from any folder; each method with its values.
chosen=$scratch/one/chosen.yaml
grep -q '^# Chosen by fedlane tune' "$chosen" || fail "no note of the search"
grep -q 'validation' <(grep -v '^#' "$chosen") && fail "the chosen configuration holds rows out"
(cd / && "$fedlane" run "$chosen" --out "$scratch/final" > "$scratch/out" 2> "$scratch/err") || fail "chosen.yaml does not run"
[ "$(ls -d "$scratch"/final/*-s1 | wc -l)" = 3 ] || fail "not three methods"
grep -q '"test": 60' "$scratch"/final/fedavg-s1/run.json || fail "the test rows are not back"
grep -q 'fedavg: .*widen the range' "$scratch/told" || fail "the end of a range is not told"
grep -q '^# fedavg: .*widen the range' "$chosen" || fail "the end of a range is not in the file"

# At once, in shards, resumed: the same table.
same() { cmp "$table" "$1/tune.csv" && cmp "$chosen" "$1/chosen.yaml" || fail "$1: another choice"; }
try 0 tune "$config" --out "$scratch/jobs" --jobs 3
same "$scratch/jobs"
try 0 tune "$config" --out "$scratch/shards" --shard 2/2
told "trials are not there yet"
[ ! -e "$scratch/shards/tune.csv" ] || fail "a choice before all trials are there"
try 0 tune "$config" --out "$scratch/shards" --shard 1/2
same "$scratch/shards"
"$fedlane" tune "$config" --out "$scratch/killed" > "$scratch/out" 2> "$scratch/err" &
pid=$!
until [ -e "$scratch/killed/fedavg_trial=2-s1/summary.json" ] || ! kill -0 $pid 2> /dev/null; do sleep 0.01; done
kill -KILL $pid 2> /dev/null || true
wait $pid || true
rm -f "$scratch/killed/tune.csv"
before=$(stat -c %Y.%i "$scratch/killed/fedavg_trial=1-s1/summary.json")
try 0 tune "$config" --resume "$scratch/killed"
told "finished already"
[ "$before" = "$(stat -c %Y.%i "$scratch/killed/fedavg_trial=1-s1/summary.json")" ] || fail "a finished trial was run again"
same "$scratch/killed"

# More trials begin with those that are there; a trial is a result like any other; a signal tells how to go on.
try 0 tune "$config" --resume "$scratch/killed" --set tune.trials=5
[ "$(grep -c 'finished already' "$scratch/err")" = 22 ] || fail "more trials: not the first ones again"
[ "$(grep -c '^fedavg,' "$scratch/killed/tune.csv")" = 5 ] || fail "not five trials"
try 0 verify "$scratch/one/fedprox_trial=2-s1" --set "data.train=$scratch/data/train,data.test=$scratch/data/t10k"
mkdir "$scratch/stopped" && cp "$table" "$chosen" "$scratch/stopped"
"$fedlane" tune "$config" --out "$scratch/stopped" --set federated.rounds=100000 > "$scratch/out" 2> "$scratch/err" &
pid=$!
until [ -e "$scratch/stopped/fedavg_trial=1-s1/rounds.jsonl" ]; do
  kill -0 $pid 2> /dev/null || fail "ended by itself"
  sleep 0.01
done
kill -TERM $pid
code=0; wait $pid || code=$?
[ $code = 143 ] || fail "exit code $code after SIGTERM, not 143"
[ ! -e "$scratch/stopped/tune.csv" ] && [ ! -e "$scratch/stopped/chosen.yaml" ] || fail "an earlier search's choice is there"
told "to continue: fedlane tune $config --set federated.rounds=100000 --resume $scratch/stopped"

# By the loss, on one seed; a method none of whose trials ends is left out, and told.
try 1 tune "$config" --out "$scratch/loss" --seeds 3 --set 'algorithms=[{name: fedavg, weight_decay: 100},fedprox]' \
  --set 'tune.space={algorithms.fedavg.lr: [1e5, 1e6], algorithms.fedprox.mu: [0.1, 0.2]},tune.metric=loss'
told "none: every trial diverged"
grep -q '^# fedavg is left out' "$scratch/loss/chosen.yaml" || fail "not told in the file"
grep -q 'name: fedavg' "$scratch/loss/chosen.yaml" && fail "a method without a choice"
grep -q '^method,trial,lr,mu,status,loss,chosen,hash' "$scratch/loss/tune.csv" || fail "no loss"

# Central training holds rows out of all, and has one method a rule; two networks, one of them in a file, are two problems.
printf 'layers:\n  - linear: {out: 5}\n  - relu\n  - linear\n' > "$scratch/study/net.yaml"
cat > "$scratch/study/central.yaml" <<END
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
model: [logistic, net.yaml]
training: {epochs: 2, batch_size: 20}
algorithms: [{rule: momentum}, {rule: adamw, model: logistic}]
tune: {trials: 2, space: {algorithms.lr: [0.01, 0.02], algorithms.momentum.momentum: [0.5]}}
END
try 0 tune "$scratch/study/central.yaml" --out "$scratch/central"
[ "$(wc -l < "$scratch/central/tune.csv")" = 7 ] || fail "not 6 trials"
[ "$(grep -c 'model: logistic' "$scratch/central/chosen.yaml")" = 2 ] || fail "models are not told apart"
try 0 run "$scratch/central/chosen.yaml" --dry-run
grep -q '^3 runs' "$scratch/err" || fail "not three runs"

try 2 run "$config" --dry-run
told "allowed: in fedlane tune"
try 2 tune "$config" --verify
told "allowed"
try 2 tune "$config" --resume "$scratch/nothing"
told "no such folder"
try 2 tune "$config" --set tune.trials=0
told "tune.trials=0"
echo "tune.sh: passed"
