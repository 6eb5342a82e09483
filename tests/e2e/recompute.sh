#!/usr/bin/env bash
# The sums that a result carries, recomputed by the very commands of docs/results.md; the same run_id for the same data under
# another path and none for other data; and a result that depends on the clock says so. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "recompute.sh: FAILED: $*" >&2; exit 1; }

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 200 60 1
bash "$source/tests/e2e/make_data.sh" "$scratch/other" 200 60 2
cp -r "$scratch/data" "$scratch/copy"
cat > "$scratch/config.yaml" <<END
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
partition: {name: dirichlet, dirichlet_alpha: 0.7, min_size: 1}
model: logistic
federated: {clients: 10, participation: 0.29, rounds: 4, batch_size: 7, eval_every: 3}
algorithms: [{name: fedadamw, lr: 3.3e-3, weight_decay: 0.3333333333333333}]
END
run() { # DIR ARGUMENTS...
  local dir=$1; shift
  "$fedlane" run "$scratch/config.yaml" --out "$dir" "$@" > "$scratch/out" 2> "$scratch/err" || {
    cat "$scratch/err" >&2
    fail "run $*"
  }
}
value() { # DIR FILE KEY
  sed -n "s/^ *\"$3\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$1"/*/"$2" | head -1
}
run "$scratch/one"

# Every fenced python or sh block of the page that prints a sum, run inside the result's folder.
awk -v dir="$scratch" '/^```(sh|python)$/ { name = dir "/block" ++n "." substr($0, 4); next } /^```$/ { name = ""; next }
  name != "" { print > name }' "$source/docs/results.md"
printed=
for block in "$scratch"/block*; do
  case $block in
    *.sh) one=$(cd "$scratch"/one/*/ && bash "$block") ;;
    *) one=$(cd "$scratch"/one/*/ && python3 "$block") ;;
  esac || fail "$block: $(cat "$block")"
  printed="$printed $one"
done
for key in run_id hash trajectory_hash; do
  stated=$(value "$scratch/one" summary.json $key)
  [ -n "$stated" ] && [[ " $printed " == *" $stated "* ]] ||
    fail "$key is $stated; the commands of docs/results.md print:$printed"
done

run "$scratch/two" --set "data.train=$scratch/copy/train,data.test=$scratch/copy/t10k" --threads 1
[ "$(value "$scratch/one" run.json run_id)" = "$(value "$scratch/two" run.json run_id)" ] || fail "the path is in run_id"
run "$scratch/three" --set "data.train=$scratch/other/train"
[ "$(value "$scratch/one" run.json run_id)" != "$(value "$scratch/three" run.json run_id)" ] ||
  fail "other data have the same run_id"
code=0
"$fedlane" run "$scratch/config.yaml" --resume "$scratch/one" --set "data.train=$scratch/other/train" > "$scratch/out" \
  2> "$scratch/err" || code=$?
[ "$code" = 1 ] && grep -q 'SHA-256' "$scratch/err" || fail "resumed on other data: exit code $code: $(cat "$scratch/err")"

# What --dry-run announces is what the run does.
"$fedlane" run "$scratch/config.yaml" --dry-run > "$scratch/plan" 2> "$scratch/err"
for key in bytes_up bytes_down run_id; do
  announced=$(grep -m1 "\"$key\"" "$scratch/plan" | tr -dc '0-9a-f"' )
  done_=$(grep -m1 "\"$key\"" "$scratch"/one/*/summary.json | tr -dc '0-9a-f"')
  [ "$announced" = "$done_" ] || fail "$key: --dry-run says $announced, the run $done_"
done

run "$scratch/budget" --set federated.time_budget=100
grep -q '"reproducible": false' "$scratch"/budget/*/summary.json && grep -q 'time_budget' "$scratch"/budget/*/run.json ||
  fail "a run with a time_budget says that it is reproducible"
rm -rf "$scratch"
