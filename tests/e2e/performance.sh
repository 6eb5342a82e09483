#!/usr/bin/env bash
# scripts/performance still works from end to end: tiny runs, one repetition, no rival. No figure is looked at, only that each
# is there. usage: performance.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
command -v python3 > /dev/null || { echo "python3 is not installed"; exit 77; }
build=$(dirname "$1") source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cp "$source/docs/performance.md" "$scratch/page.md"
fail() { echo "performance.sh: FAILED: $*" >&2; exit 1; }
performance() {
  "$source/scripts/performance" --build "$build" --out "$scratch/out" --page "$scratch/page.md" "$@" 2> "$scratch/stderr"
}

performance --smoke > "$scratch/stdout" || { cat "$scratch/stderr" >&2; fail "exit $?"; }
[ "$(cat "$scratch/stdout")" = "$(echo "$scratch"/out/*.json)" ] || fail "stdout does not name the result file"
result=$(cat "$scratch/stdout")
python3 - "$result" "${result%.json}.csv" "${result%.json}-kernels.csv" "$scratch/page.md" << 'PY'
import csv, json, math, sys
record, page = json.load(open(sys.argv[1])), open(sys.argv[4]).read()
for job, numbers in record["measurements"].items():
    for name, values in numbers.items():
        assert len(values) == 1 and math.isfinite(values[0]), (job, name, values)
for key in ("cpu", "commit", "compiler", "version", "isa_used"):
    assert record["machine"][key], key
table = list(csv.reader(open(sys.argv[2])))
assert len(table) == 15 and all(len(row) == len(table[0]) for row in table), table
kernels = list(csv.reader(open(sys.argv[3])))
assert {"sgd", "adamw", "NN 50x200x784", "TN 784x10x50"} <= {row[0] for row in kernels}, kernels
assert record["bench"]["ceiling/%s/fma/threads:1" % record["machine"]["isa_used"]]["ns"][0] > 0
for row in table + kernels:
    assert "| " + " | ".join(row) + " |" in page, row
PY

cp "$scratch/page.md" "$scratch/before.md"
performance --tables
cmp "$scratch/before.md" "$scratch/page.md" || fail "--tables writes another page from the same record"
if performance --smoke --build "$scratch"; then fail "a folder without the programs was accepted"; fi
grep -q "performance: $scratch/fedlane: not built" "$scratch/stderr" || fail "its message: $(cat "$scratch/stderr")"
if "$source/scripts/performance" --build "$build" --smoke 2> "$scratch/stderr"; then
  fail "--smoke would write over real figures"
fi
performance --smoke --only 'start raw' --out "$scratch/one" > "$scratch/stdout" ||
  { cat "$scratch/stderr" >&2; fail "--only"; }
cmp "$scratch/before.md" "$scratch/page.md" || fail "--only writes a page"
python3 -c 'import json, sys; sys.exit(list(json.load(open(sys.argv[1]))["measurements"]) != ["start raw"])' \
  "$(cat "$scratch/stdout")" ||
  fail "--only measures something else"
if performance --smoke --only ending; then fail "--only of no name was accepted"; fi
grep -q -- "--only ending: no measurement's name begins so; allowed: kernels, " "$scratch/stderr" || fail "the message of --only"
if "$source/scripts/performance" --build "$build" --only start 2> "$scratch/stderr"; then
  fail "--only would write over all figures"
fi

# The limit of two threads against one, scaling_bound, again from the plan: 40 unequal clients a round, longest first inside
# windows of 16 positions, each to the worker that is free first, three workers.
settings=model=logistic,federated.rounds=3,federated.participation=0.4,federated.eval_every=1
settings=$settings,partition.name=dirichlet,partition.dirichlet_alpha=0.3
for option in --export-plan --out; do
  "$1" run "$source/results/performance/train.yaml" --threads 3 --set "$settings" $option "$scratch/bound$option" \
    > "$scratch/stdout" 2> "$scratch/stderr" || { cat "$scratch/stderr" >&2; fail "fedlane run $option"; }
done
python3 - "$scratch"/bound--export-plan/* "$scratch"/bound--out/fedavg* << 'PY'
import json, sys
read = lambda *path: json.load(open("/".join(path)))
size = [len(rows) for rows in read(sys.argv[1], "partition.json")["index"]]
total = longest = 0
for r in read(sys.argv[1], "plan.json")["rounds"]:
    assert len(r["cohort"]) == 40
    free = [0] * 3
    for first in range(0, 40, 16):
        for n in sorted((size[i] for i in r["cohort"][first:first + 16]), reverse=True):
            free[free.index(min(free))] += n
    total, longest = total + sum(free), longest + max(free)
told = read(sys.argv[2], "summary.json")["scaling_bound"]
assert abs(total / longest - told) < 1e-9, (total / longest, told)
PY
