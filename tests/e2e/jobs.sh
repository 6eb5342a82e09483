#!/usr/bin/env bash
# Several runs at once (--jobs) and shards of a suite (--shard): the bits of one run after the other; times of runs beside others
# are marked and not shown; a signal stops all jobs, and the printed command goes on; a run that cannot be written ends the suite.
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
federated: {clients: 10, participation: 0.3, rounds: 4, batch_size: 7, checkpoint_seconds: 0}
algorithms: [fedavg, scaffold, {name: fedadamw, lr: [1e-3, 3e-3]}]
END
try 0 run "$config" --out "$scratch/one" --threads 1

try 0 run "$config" --out "$scratch/jobs" --jobs 3
grep -q '^fedadamw lr=3e-3 .* -  *[0-9]' "$scratch/out" || fail "times are shown"
grep -q '"timing": "shared"' "$scratch"/jobs/fedavg-s1/run.json || fail "timing is not marked"
grep -q '"timing": "shared"' "$scratch"/jobs/fedavg-s1/summary.json || fail "timing is not marked in summary.json"
grep -q timing "$scratch"/one/fedavg-s1/run.json && fail "timing is marked without --jobs"
try 0 compare "$scratch/one" "$scratch/jobs"

for k in 2 1 3; do try 0 run "$config" --out "$scratch/shards" --shard $k/3; done
try 0 compare "$scratch/one" "$scratch/shards"
[ "$(ls "$scratch/shards" | wc -l)" = 9 ] || fail "shards: $(ls "$scratch/shards")"

# A signal reaches every job; nothing runs on; the rest follows, at once or not.
sed 's/rounds: 4/rounds: 3000/' "$config" > "$scratch/long.yaml"
"$fedlane" run "$scratch/long.yaml" --out "$scratch/stopped" --jobs 2 > "$scratch/out" 2> "$scratch/err" &
pid=$!
until [ -e "$scratch/stopped/fedavg-s1/checkpoint.bin" ] && [ -e "$scratch/stopped/fedavg-s2/checkpoint.bin" ]; do
  kill -0 $pid 2> /dev/null || fail "ended by itself"
  sleep 0.05
done
kill -TERM $pid
code=0; wait $pid || code=$?
[ $code = 143 ] || fail "exit code $code after SIGTERM, not 143"
told "--jobs 2 --resume"
pgrep -f "$scratch/long.yaml" > /dev/null && fail "a job runs on: $(pgrep -fa "$scratch/long.yaml")"
[ -e "$scratch/stopped/fedavg-s1/summary.json" ] && fail "fedavg-s1 has ended"
try 0 run "$scratch/long.yaml" --resume "$scratch/stopped" --jobs 2 --set federated.rounds=3001,algorithms=fedavg
try 0 run "$scratch/long.yaml" --out "$scratch/through" --set federated.rounds=3001,algorithms=fedavg
try 0 compare "$scratch/through/fedavg-s1" "$scratch/stopped/fedavg-s1"
try 0 compare "$scratch/through/fedavg-s2" "$scratch/stopped/fedavg-s2"

# A file where a run's folder should be; data that are not there.
mkdir "$scratch/blocked"
: > "$scratch/blocked/scaffold-s1"
try 1 run "$config" --out "$scratch/blocked" --jobs 2
told "scaffold-s1"
try 1 run "$config" --out "$scratch/none" --jobs 2 --set "data.train=$scratch/nothing"
told "$scratch/nothing"
[ ! -e "$scratch/none" ] || fail "a folder without a run"

for bad in "--jobs 0" "--jobs two" "--shard 3/2" "--shard 0/2" "--shard 1" "--shard 1/2x" "--jobs 2 --verify" \
  "--shard 1/2 --dry-run"; do
  try 2 run "$config" --out "$scratch/none" $bad
  told "allowed"
done
echo "jobs.sh: passed"
