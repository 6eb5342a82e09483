#!/usr/bin/env bash
# A million synthetic clients: bounded memory, the same bits with any number of threads, and, with SCAFFOLD's states in a file,
# after kill -9 at random instants; what a synthetic population cannot have is refused.
# usage: population.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
set -m
fedlane=$1 source=$2 scratch=$3
RANDOM=${POPULATION_SEED:-$((SECONDS + $$))}
fail() { echo "population.sh: FAILED: $*" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
cat > "$scratch/config.yaml" <<EOF
data: {format: synthetic}
model: logistic
federated: {clients: 1000000, participation: 0.0001, rounds: 40, batch_size: 50, eval_every: 10, client_state_memory: 4,
            checkpoint_seconds: 0.05, client_dropout: 0.1}
algorithms: [scaffold]
EOF
summary() { grep -E '"(hash|trajectory_hash|status)"' "$1/scaffold-s1/summary.json"; }

# Peak memory of the whole process, in KiB.
peak=$(python3 - "$fedlane" run "$scratch/config.yaml" --out "$scratch/whole" --threads 2 <<'PY'
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
assert status == 0, status
print(usage.ru_maxrss)
PY
)
# Far below what lists of all samples (400 MB), or the states of all clients (31 GB), would take.
[ "$peak" -le 200000 ] || fail "peak memory $peak KiB"
[ "$(stat -c %s "$scratch/whole/scaffold-s1/states.bin")" -gt 4000000 ] || fail "the states did not go to the file"
want=$(summary "$scratch/whole")
for threads in 1 3; do
  "$fedlane" run "$scratch/config.yaml" --out "$scratch/t$threads" --threads $threads --set federated.client_state_memory=1024 \
    > /dev/null 2>&1
  [ "$(summary "$scratch/t$threads")" = "$want" ] || fail "$threads threads, states in memory: other bits"
  [ ! -e "$scratch/t$threads/scaffold-s1/states.bin" ] || fail "states.bin without need"
done

kills=0
how=--out
for ((i = 0; i < 8; i++)); do
  "$fedlane" run "$scratch/config.yaml" $how "$scratch/killed" --threads 2 > /dev/null 2> "$scratch/err.txt" &
  pid=$!
  sleep "0.$((RANDOM % 6 + 3))"
  if kill -KILL $pid 2> /dev/null; then kills=$((kills + 1)); fi
  { wait $pid || true; } 2> /dev/null
  [ ! -d "$scratch/killed" ] || how=--resume
  [ ! -e "$scratch/killed/scaffold-s1/summary.json" ] || break
done
"$fedlane" run "$scratch/config.yaml" $how "$scratch/killed" --threads 1 > /dev/null 2> "$scratch/err.txt" ||
  { cat "$scratch/err.txt" >&2; fail "the resumed run"; }
[ "$(summary "$scratch/killed")" = "$want" ] || fail "after $kills kills: other bits"
echo "peak $peak KiB; same bits with 1, 2, 3 threads, states in memory or in a file, after $kills kills"

refused() { # MESSAGE SETTING
  if "$fedlane" run "$scratch/config.yaml" --set "$2" --out "$scratch/refused" > /dev/null 2> "$scratch/err.txt"; then
    fail "$2 was not refused"
  fi
  grep -qF "$1" "$scratch/err.txt" || { cat "$scratch/err.txt" >&2; fail "$2: not '$1'"; }
}
refused "partition beside 'format: synthetic'; allowed: none" partition=iid
refused "clients*max_samples below 2^32" federated.clients=100000000
refused "min_samples = 300, max_samples = 200" data.min_samples=300
refused "not beside 'format: synthetic'" data.train=x
refused "label_skew = '2'" data.label_skew=2
refused "label_skew would do nothing; allowed: only with format = synthetic" 'data={name: fashion_mnist, label_skew: 0.1}'
"$fedlane" run "$scratch/config.yaml" --export-plan "$scratch/plan" > /dev/null 2> "$scratch/err.txt" && fail "--export-plan"
grep -q "allowed: data in files, for a replay" "$scratch/err.txt" || fail "--export-plan: $(cat "$scratch/err.txt")"
"$source/scripts/population" --build "$(dirname "$fedlane")" --smoke --out "$scratch/measured" > "$scratch/table.md"
grep -q "^| scaffold | 100 |" "$scratch/table.md" || fail "scripts/population: $(cat "$scratch/table.md")"
