#!/usr/bin/env bash
# Results of several machines: one machine at two instruction sets, and a copy that says it comes from another CPU. compare and
# report keep times apart, name ratios, and count equal bits; scripts/machines writes a column.
# Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
. "$source/tests/e2e/try.bash"

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 400 60 1
config=$scratch/config.yaml
cat > "$config" <<END
seeds: [1, 2]
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
partition: {name: iid}
model: logistic
federated: {clients: 10, participation: 0.3, rounds: 4, batch_size: 7, target_accuracy: 0.05}
algorithms: [fedavg, scaffold]
END
try 0 run "$config" --out "$scratch/here" --threads 1
try 0 run "$config" --out "$scratch/scalar" --threads 1 --isa scalar
cp -r "$scratch/here" "$scratch/there"
# The copy: another CPU, twice the time, another last bit in one run of four.
python3 - "$scratch/there" <<'PY'
import glob, json, sys
for path in sorted(glob.glob(sys.argv[1] + "/*/run.json")):
    run = json.load(open(path))
    run["machine"]["cpu"] = "Other CPU"
    run["parts"][0]["cpu"] = "Other CPU"
    json.dump(run, open(path, "w"))
    folder = path[:-len("/run.json")]
    rounds = [json.loads(line) for line in open(folder + "/rounds.jsonl")]
    for r in rounds:
        r["seconds"] *= 2
    summary = json.load(open(folder + "/summary.json"))
    summary["seconds"] *= 2
    summary["seconds_to_target"] *= 2
    if folder.endswith("scaffold-s2"):
        rounds[-1]["train_loss"] += 2.0 ** -40
        summary["hash"] = "0" + summary["hash"][1:]
    json.dump(summary, open(folder + "/summary.json", "w"))
    open(folder + "/rounds.jsonl", "w").writelines(json.dumps(r) + "\n" for r in rounds)
PY

try 0 compare "$scratch/here" "$scratch/scalar"
told "same bits: 4 of 4 runs"
grep -q '^method  *s/round' "$scratch/out" || fail "no times by method"
try 1 compare "$scratch/here" "$scratch/there"
told "Other CPU"
told "same bits: 3 of 4 runs"
grep -Eq '^fedavg-s1 .* 2\.000  same bits: yes' "$scratch/out" || fail "the ratio of a run is not 2"
told "round 4 (train_loss"
grep -Eq '^fedavg .* 2\.000  .* 2\.000$' "$scratch/out" || fail "the ratio is not 2"

# The report: no time of one CPU in a line of the other's, ratios to the first, equal bits counted.
report() { try 0 report "$@"; }
try 0 report "$scratch/here" "$scratch/there" --out "$scratch/report"
python3 - "$scratch/report" <<'PY'
import csv, sys
rows = list(csv.reader(open(sys.argv[1] + "/machines.csv")))
speed, bits = rows[:rows.index([])], rows[rows.index([]) + 1:]
assert speed[0][2:6] == ["machine", "seeds", "seconds a round", "ratio"], speed[0]
assert [r[5] for r in speed[1:]] == ["1.00", "2.00"] * 2 and [r[7] for r in speed[1:]] == ["1.00", "2.00"] * 2, speed
assert all(("Other CPU" in r[2]) == (r[5] == "2.00") for r in speed[1:]), speed
assert bits[1][2] == "3 of 4", bits
table = list(csv.reader(open(sys.argv[1] + "/table.csv")))
assert len(table) == 5 and sum("Other CPU" in r[1] for r in table) == 2, table
page = open(sys.argv[1] + "/report.html").read()
assert "Across machines" in page and "3 of 4" in page
PY
# What a report keeps is compared by its hashes; its folder will do.
try 1 compare "$scratch/report" "$scratch/there"
try 0 report "$scratch/here" --out "$scratch/report-here"
[ ! -e "$scratch/report-here/machines.csv" ] || fail "one machine is compared with itself"
try 0 report "$scratch/there" --out "$scratch/report-there"
try 1 compare "$scratch/report-here" "$scratch/report-there/summary.json"
told "same bits: 3 of 4 runs"
told "hash "
try 0 compare "$scratch/report-here" "$scratch/scalar"
# A report of an earlier version, whose run_ids are others: label, seed and model say which run is meant.
sed 's/"run_id": "..../"run_id": "0000/' "$scratch/report-here/summary.json" > "$scratch/earlier.json"
! cmp -s "$scratch/report-here/summary.json" "$scratch/earlier.json" || fail "the run_ids are the same"
try 0 compare "$scratch/earlier.json" "$scratch/scalar"
told "same bits: 4 of 4 runs"
# Its labels have no model, which a sweep puts before the algorithm's keys.
try 0 run "$config" --out "$scratch/swept" --set 'seeds=1,model=[logistic,mlp_8],algorithms=[{rule: sgd, lr: [0.1, 0.2]}]'
grep -q '"label": "sgd model=mlp_8 lr=0.2"' "$scratch/swept/sgd_model=mlp_8_lr=0.2-s1/summary.json" || fail "another label"
try 0 report "$scratch/swept" --out "$scratch/report-swept"
sed 's/"run_id": "..../"run_id": "0000/' "$scratch/report-swept/summary.json" > "$scratch/earlier.json"
try 0 compare "$scratch/earlier.json" "$scratch/swept"
told "same bits: 4 of 4 runs"

# Kernels: by name without the instruction set; the best repetition; each by its own ceiling.
cat > "$scratch/a.json" <<'END'
{"context": {"machine_cpu": "CPU A"}, "benchmarks": [
 {"name": "dot/avx512/n:1024/threads:1", "run_type": "iteration", "ns/element": 0.3, "ceiling_ns/element": 0.1},
 {"name": "dot/avx512/n:1024/threads:1", "run_type": "iteration", "ns/element": 0.2, "ceiling_ns/element": 0.1},
 {"name": "dot/scalar/n:1024/threads:1", "run_type": "iteration", "ns/element": 0.9, "ceiling_ns/element": 0.1},
 {"name": "dot/avx512/n:1024/threads:1_best", "run_type": "aggregate", "ns/element": 0.1},
 {"name": "ceiling/avx512/fma/threads:1", "run_type": "iteration", "ns/element": 0.1}]}
END
cat > "$scratch/b.json" <<'END'
{"machine": {"cpu": "CPU B"}, "bench": {
 "dot/neon/n:1024/threads:1": {"ns": [0.9, 0.8], "ceiling_ns": 0.2, "ceiling": "", "bytes": 8, "flops": 2, "paired": []},
 "exp/neon/n:1024/threads:1": {"ns": [1], "ceiling_ns": 0, "ceiling": "", "bytes": 8, "flops": 0, "paired": []}}}
END
try 0 compare "$scratch/a.json" "$scratch/b.json"
grep -Eq '^dot/n:1024/threads:1 +0\.2 +0\.8 +4\.000 +50\.0 % +25\.0 % +avx512 \| neon$' "$scratch/out" ||
  fail "not the kernel's line"
told "1 kernels of both, geometric mean of the ratios 4.000"
echo '{"benchmarks": []}' > "$scratch/none.json"
try 1 compare "$scratch/none.json" "$scratch/a.json"
told "no kernels; allowed"
try 1 compare "$scratch/here" "$scratch/data"
told "not a result"

# What follows times kernels, which says nothing under a sanitizer.
[ -z "${UBSAN_OPTIONS:-}" ] || exit 0

# The command of the front page, small: two columns, the table between its marks and nowhere else.
printf 'before\n<!-- machines: written by scripts/machines -->\nSTALE\n<!-- end of machines -->\nafter\n' > "$scratch/page.md"
export FEDLANE_BUILD=$(dirname "$fedlane") FEDLANE_MACHINES=$scratch/machines FEDLANE_MACHINES_PAGE=$scratch/page.md
export FEDLANE_MACHINES_CONFIG=$config FEDLANE_MACHINES_FILTER='^sgd/'
[ -x "$FEDLANE_BUILD/fedlane-bench" ] || { echo "machines.sh: no fedlane-bench: scripts/machines not tried"; exit 77; }
"$source/scripts/machines" --name whole > "$scratch/out" 2> "$scratch/err" || fail "scripts/machines"
"$source/scripts/machines" --name capped --isa scalar > "$scratch/out" 2> "$scratch/err" || fail "scripts/machines --isa scalar"
[ "$(ls "$scratch/machines" | wc -l)" = 2 ] || fail "not two machines"
grep -q '^| same bits as the first | - | 2 of 2 runs |$' "$scratch/page.md" || fail "$(cat "$scratch/page.md")"
grep -q '^| 1 kernels near the core' "$scratch/page.md" || fail "no kernels: $(cat "$scratch/page.md")"
[ "$(head -1 "$scratch/page.md") $(tail -1 "$scratch/page.md")" = "before after" ] || fail "the page around the table"
! grep -q STALE "$scratch/page.md" || fail "the old table is there"
try 0 compare "$scratch/machines/whole" "$scratch/machines/capped"
told "same bits: 2 of 2 runs"
told "kernels of both"
! "$source/scripts/machines" --isa 2> "$scratch/err" || fail "--isa without a value"
! "$source/scripts/machines" --fast 2> "$scratch/err" || fail "--fast"
told "allowed: --isa"
echo "machines.sh: passed"
