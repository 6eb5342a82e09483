#!/usr/bin/env bash
# A run that is resumed with another number of threads: thread-seconds add up round by round, run.json names the parts, and
# nothing shows its times as if one machine had made them. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "parts.sh: FAILED: $*" >&2; exit 1; }
bash "$source/tests/e2e/make_data.sh" "$scratch/data" 400 200 1
cat > "$scratch/config.yaml" <<END
seeds: [1]
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
partition: {name: iid}
model: logistic
federated: {clients: 10, participation: 0.5, rounds: 4, batch_size: 10, target_accuracy: 0.01}
algorithms: [{name: fedavg, lr: 0.01, lr_schedule: constant}]
END
run() {
  "$fedlane" run "$scratch/config.yaml" "$@" \
    > "$scratch/out" 2> "$scratch/err" || {
    cat "$scratch/err" >&2
    fail "run $*"
  }
}
run --out "$scratch/plain" --threads 1 --set federated.rounds=10
run --out "$scratch/parts" --threads 3
run --resume "$scratch/parts" --threads 3 --set federated.rounds=6       # the same again: no part of its own
run --resume "$scratch/parts" --threads 1 --isa scalar --set federated.rounds=10
grep -q 'fedavg .* 1\.0  *-  *-  ' "$scratch/out" || fail "the table shows times: $(cat "$scratch/out")"

python3 - "$scratch" << 'PY'
import json, math, os, sys
def read(folder, name):
    with open(os.path.join(sys.argv[1], folder, "fedavg-s1", name)) as f:
        return [json.loads(line) for line in f] if name.endswith("l") else json.load(f)
run, summary, lines = read("parts", "run.json"), read("parts", "summary.json"), read("parts", "rounds.jsonl")
parts = run["parts"]
def must(what, ok):
    if not ok:
        sys.exit("parts.sh: FAILED: %s: %r" % (what, parts))
must("two parts", [(p["threads"], p["from_round"]) for p in parts] == [(3, 1), (1, 7)])
must("the part's ISA", parts[1]["isa"] == run["machine"]["isa_used"] and parts[1]["isa"].startswith("scalar"))
must("the part's CPU", parts[0]["cpu"] == run["machine"]["cpu"])
must("summary.json counts them", summary["parts"] == 2 and read("plain", "summary.json")["parts"] == 1)
must("one part", [(p["threads"], p["from_round"]) for p in read("plain", "run.json")["parts"]] == [(1, 1)])
before, want = {"seconds": 0, "seconds_evaluation": 0, "thread_seconds": {}}, 0
for line in lines:
    threads = [p["threads"] for p in parts if p["from_round"] <= line["round"]][-1]
    want += threads * sum(line[k] - before[k] for k in ("seconds", "seconds_evaluation"))
    for k, v in line["thread_seconds"].items():
        must("round %d: %s falls to %r" % (line["round"], k, v), v >= before["thread_seconds"].get(k, 0))
    total = sum(line["thread_seconds"].values())
    must("round %d: thread_seconds %r, want %r" % (line["round"], total, want), math.isclose(total, want, rel_tol=1e-9))
    before = line
PY

"$fedlane" compare "$scratch/plain" "$scratch/parts" > "$scratch/out" || fail "compare: $(cat "$scratch/out")"
grep -q '^fedavg-s1 .* -  same bits: yes' "$scratch/out" || fail "compare shows a ratio of times: $(cat "$scratch/out")"
grep -q 'parts: .*"from_round":7' "$scratch/out" || fail "compare does not name the parts: $(cat "$scratch/out")"
if /usr/bin/python3 -c 'import matplotlib' 2> /dev/null; then
  "$fedlane" report "$scratch/parts" --out "$scratch/page" > "$scratch/out" || fail "report"
  grep -q ',fedavg,1,[^,]*,1.0,-,-,' "$scratch/page/table.csv" || fail "the report shows times: $(cat "$scratch/page/table.csv")"
  [ ! -e "$scratch/page/time.csv" ] && ! compgen -G "$scratch/page/*-seconds-*" > /dev/null || fail "the report draws times"
  grep -q 'its times are left out' "$scratch/page/report.html" || fail "the report does not say why there are no times"
  "$fedlane" report "$scratch/plain" "$scratch/parts" --out "$scratch/both" > "$scratch/out" || fail "report of both"
  grep -q 'threads=3+1' "$scratch/both/table.csv" || fail "the parts are not in the label: $(cat "$scratch/both/table.csv")"
fi
rm -rf "$scratch"
