#!/usr/bin/env bash
# A run that is killed (kill -9) at random instants and resumed, again and again, ends on the same bits as one that is not.
# usage: resume.sh FEDLANE SOURCE_DIR SCRATCH_DIR; RESUME_SEED repeats a sequence of instants, RESUME_KILLS asks for more.
set -euo pipefail
set -m   # without job control, bash starts background jobs with SIGINT ignored
fedlane=$1 source=$2 scratch=$3
kills_wanted=${RESUME_KILLS:-50} seed=${RESUME_SEED:-$((SECONDS + $$ + RANDOM))}
RANDOM=$seed
echo "random seed $seed"

fail() { echo "resume.sh: FAILED: $* (RESUME_SEED=$seed)" >&2; exit 1; }

rm -rf "$scratch"
mkdir -p "$scratch"
bash "$source/tests/e2e/make_data.sh" "$scratch/data" 600 100 1
# Methods with states for each client (one asks whether a client was there before), which outgrow their limit and go to a file;
# with a state that travels, a server rule with moments, points that are sent or evaluated in place of x; 12 clients, so some
# cohorts repeat a client soon.
cat > "$scratch/config.yaml" <<EOF
seeds: [1]
data: {format: idx, train: $scratch/data/train-images-idx3-ubyte, test: $scratch/data/t10k-images-idx3-ubyte,
       augment: crop_flip}
partition: {name: dirichlet, dirichlet_alpha: 0.5, seed: 42}
model: mlp
federated: {clients: 12, participation: 0.5, rounds: 40, local_epochs: 1, batch_size: 20, eval_every: 3, checkpoint_seconds: 0.05,
            client_state_memory: 2}
algorithms: [{name: fedlesam_s, lr: 0.05}, {name: fedadamw, lr: 1e-3}, {rule: sgd, lr: 0.05, server_rule: adam, server_lr: 0.01},
             {name: fedsmoo, lr: 0.05}, {name: fedacg, lr: 0.05}, {name: fedmoswa, lr: 0.05}]
EOF

# Folder, hash and trajectory_hash of every finished run in a result.
hashes() {
  local file
  for file in "$1"/*/summary.json "$1"/summary.json; do
    [ -f "$file" ] || continue
    echo "$(basename "$(dirname "$file")")" \
      "$(sed -n 's/^ *"\(hash\|trajectory_hash\|status\)": "\(.*\)".*/\2/p' "$file" | tr '\n' ' ')"
  done
}

# Starts the run in the background, as a new one or resumed, and leaves its process in $pid.
start() { # DIR
  if [ -d "$1" ]; then
    "$fedlane" run "$scratch/config.yaml" --resume "$1" > "$scratch/out.txt" 2> "$scratch/err.txt" &
  else
    "$fedlane" run "$scratch/config.yaml" --out "$1" > "$scratch/out.txt" 2> "$scratch/err.txt" &
  fi
  pid=$!
}

# The exit code of $pid into $code, without the shell's note about a killed job.
finish() { code=0; { wait "$pid" || code=$?; } 2> /dev/null; }

now_ms() { echo $(($(date +%s%N) / 1000000)); }

begin=$(now_ms)
start "$scratch/reference"
finish
whole=$(($(now_ms) - begin))
[ "$code" = 0 ] || { cat "$scratch/err.txt" >&2; fail "the uninterrupted run: exit code $code"; }
want=$(hashes "$scratch/reference")
[ "$(wc -l <<< "$want")" = 6 ] || fail "the uninterrupted run has not six summaries: $want"
echo "uninterrupted: $whole ms"
echo "$want"

check() { # DIR WHAT
  local got
  got=$(hashes "$1")
  [ "$got" = "$want" ] || fail "$2: want
$want
got
$got"
  "$fedlane" compare "$scratch/reference" "$1" > "$scratch/compare.txt" || { cat "$scratch/compare.txt" >&2; fail "$2: compare"; }
}

# A kill falls anywhere in the time of a whole run, so also into start-up, a checkpoint, the end.
window=$whole
[ "$window" -le 1200 ] || window=1200
kills=0 trials=0
while [ "$kills" -lt "$kills_wanted" ]; do
  dir=$scratch/killed-$trials
  for ((attempt = 0; ; attempt++)); do
    [ "$attempt" -lt 200 ] || fail "no end after 200 kills of one run"
    start "$dir"
    ms=$((RANDOM * window / 32768 + 1))
    sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
    kill -9 "$pid" 2> /dev/null || true
    finish
    [ "$code" != 0 ] || break
    [ "$code" = 137 ] || { cat "$scratch/err.txt" >&2; fail "resume number $attempt of run $trials: exit code $code"; }
    kills=$((kills + 1))
    # Late kills alone would never let a slow machine finish: after enough of them the run may end in peace.
    if [ "$kills" -ge "$kills_wanted" ]; then
      start "$dir"
      finish
      [ "$code" = 0 ] || { cat "$scratch/err.txt" >&2; fail "last resume of run $trials: exit code $code"; }
      break
    fi
  done
  check "$dir" "run $trials after kill -9"
  rm -rf "$dir"
  trials=$((trials + 1))
done
echo "kill -9: $kills kills over $trials runs, same hashes"

# A new run into a finished folder, killed in its first moments, when it clears what the old one left: either the old result is
# whole, or a resume makes it again; never the old summary over rounds that are gone.
dir=$scratch/again
cp -r "$scratch/reference" "$dir"
for ((i = 0; i < 12; i++)); do
  "$fedlane" run "$scratch/config.yaml" --out "$dir" > "$scratch/out.txt" 2> "$scratch/err.txt" &
  pid=$!
  sleep "$(printf '0.%03d' $((RANDOM * 120 / 32768 + 5)))"
  kill -9 "$pid" 2> /dev/null || true
  finish
  "$fedlane" run "$scratch/config.yaml" --resume "$dir" > "$scratch/out.txt" 2> "$scratch/err.txt" ||
    { cat "$scratch/err.txt" >&2; fail "resume of a new run that was killed in a finished folder"; }
  check "$dir" "a new run killed in a finished folder"
done
rm -rf "$dir"
echo "kill -9 of a new run in a finished folder: 12 times, same hashes"

# SIGINT and SIGTERM finish the round, save, and say how to go on.
for signal in INT:130 TERM:143; do
  name=${signal%:*} expected=${signal#*:} code=0
  for ((attempt = 0; attempt < 5 && code == 0; attempt++)); do
    dir=$scratch/signal-$name-$attempt
    start "$dir"
    until compgen -G "$dir/*/rounds.jsonl" > /dev/null || ! kill -0 "$pid" 2> /dev/null; do sleep 0.002; done
    sleep 0.02
    kill -s "$name" "$pid" 2> /dev/null || true
    finish
  done
  [ "$code" = "$expected" ] || { cat "$scratch/err.txt" >&2; fail "SIG$name: exit code $code, must be $expected"; }
  grep -q -e '--resume' "$scratch/err.txt" "$scratch/out.txt" || fail "SIG$name: no word of --resume"
  # What a checkpoint was made with must not change under it.
  if compgen -G "$dir/*/checkpoint.bin" > /dev/null; then
    code=0
    "$fedlane" run "$scratch/config.yaml" --resume "$dir" --set federated.batch_size=10 > "$scratch/out.txt" \
      2> "$scratch/err.txt" || code=$?
    [ "$code" = 1 ] && grep -q batch_size "$scratch/err.txt" || {
      cat "$scratch/err.txt" >&2
      fail "changed batch_size: exit code $code"
    }
  fi
  start "$dir"
  finish
  [ "$code" = 0 ] || { cat "$scratch/err.txt" >&2; fail "resume after SIG$name: exit code $code"; }
  check "$dir" "resume after SIG$name"
  echo "SIG$name: exit code $expected, resumed, same hashes"
done

# A finished run goes on with more rounds, whatever the interval of its checkpoints, to the bits of all rounds at once.
long() {
  local set=federated.checkpoint_seconds=1000,federated.rounds=$1,algorithms.lr_schedule=constant
  "$fedlane" run "$scratch/config.yaml" --set "$set" "${@:2}" > "$scratch/out.txt" 2> "$scratch/err.txt" ||
    { code=$?; cat "$scratch/err.txt" >&2; fail "$1 rounds: exit code $code"; }
}
long 9 --out "$scratch/nine"
long 6 --out "$scratch/six"
long 9 --resume "$scratch/six"
[ "$(grep -c 'continued after round 6' "$scratch/err.txt")" = 6 ] || {
  cat "$scratch/err.txt" >&2
  fail "6 rounds to 9: began anew"
}
[ "$(hashes "$scratch/six")" = "$(hashes "$scratch/nine")" ] || fail "6 rounds to 9: other hashes than 9 at once"
echo "6 rounds, then 9: same hashes as 9 at once"

# Killed after the checkpoint of the round that stops a run, and before its summary: a resume stops there too.
early=federated.stop_at_target=true,federated.target_accuracy=0.3
"$fedlane" run "$scratch/config.yaml" --set $early --out "$scratch/early" > "$scratch/out.txt" 2> "$scratch/err.txt" ||
  { cat "$scratch/err.txt" >&2; fail "stop_at_target"; }
want=$(hashes "$scratch/early")
grep -q stopped <<< "$want" || fail "no run stopped at its target: $want"
rm "$scratch"/early/*/summary.json "$scratch"/early/*/params.safetensors
"$fedlane" run "$scratch/config.yaml" --set $early --resume "$scratch/early" > "$scratch/out.txt" 2> "$scratch/err.txt" ||
  { cat "$scratch/err.txt" >&2; fail "resume of a stopped run"; }
[ "$(hashes "$scratch/early")" = "$want" ] ||
  fail "a resumed run did not stop where it had stopped: want $want, got $(hashes "$scratch/early")"
echo "stopped at the target, killed, resumed: same hashes"
rm -rf "$scratch"
