#!/usr/bin/env bash
# What says whether two results are the same: the hash of the saved bytes, run_id, compare naming the first round and tensor that
# differ, --verify, --seeds, sweeps.
# usage: identity.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
fail() { echo "identity.sh: FAILED: $*" >&2; exit 1; }
bash "$source/tests/e2e/make_data.sh" data 200 70 1
cp -r data moved
cat > config.yaml <<'EOF_CONFIG'
seeds: [1]
data: {format: idx, train: data/train-images-idx3-ubyte, test: data/t10k-images-idx3-ubyte}
partition: {name: dirichlet, dirichlet_alpha: 0.5, min_size: 3, seed: 42}
model: logistic
federated: {clients: 6, participation: 0.5, rounds: 4, batch_size: 10, eval_every: 3}
algorithms: [{name: fedavg, lr: 0.05}, {name: fedadamw, lr: 1e-3}]
EOF_CONFIG
run() { "$fedlane" run config.yaml "$@" > out.txt 2> err.txt || { cat err.txt >&2; fail "run $*"; }; }
value() { sed -n "s/^ *\"$2\": \"\\{0,1\\}\\([^\",]*\\)\"\\{0,1\\},\\{0,1\\}\$/\\1/p" "$1"; }   # FILE KEY

# ---- hash, by a program that knows nothing of the format, and --seeds ---------------------------------------------
run --out one --threads 1 --seeds 5,7
[ "$(ls -d one/*/ | xargs -n 1 basename | tr '\n' ' ')" = "fedadamw-s5 fedadamw-s7 fedavg-s5 fedavg-s7 " ] ||
  fail "--seeds 5,7: $(ls one)"
for dir in one/*/; do
  # The data are the last 4*7850 bytes.
  [ "$(tail -c 31400 "$dir/params.safetensors" | sha256sum | cut -d ' ' -f 1)" = "$(value "$dir/summary.json" hash)" ] ||
    fail "$dir: hash is not that of the last 31400 bytes"
done
[ "$(value one/fedavg-s5/summary.json hash)" != "$(value one/fedavg-s7/summary.json hash)" ] ||
  fail "--seeds 5,7: both give the same hash"

# ---- run_id: what decides the bits, and nothing else ---------------------------------------------------------------------------
run --out two --threads 2 --isa scalar --seeds 7,5 --set federated.checkpoint_seconds=3,data.train=moved/train-images-idx3-ubyte
for dir in one/*/; do
  other=two/$(basename "$dir")
  for file in run summary; do
    [ "$(value "$dir/$file.json" run_id)" = "$(value "$other/$file.json" run_id)" ] ||
      fail "$other/$file.json: another run_id than $dir"
  done
done
"$fedlane" compare one two > out.txt 2> err.txt ||
  { cat out.txt err.txt >&2; fail "other threads, ISA and paths: the bits differ"; }
[ "$(grep -c 'same bits: yes$' out.txt)" = 4 ] || fail "compare: not four times the same bits: $(cat out.txt)"
grep -qE '^  threads: 1 \| 2$' out.txt && grep -q '^  isa_used: ' out.txt ||
  fail "compare: threads and ISA are not named: $(cat out.txt)"
ids=$("$fedlane" run config.yaml --dry-run --seeds 5,7 2> err.txt | value /dev/stdin run_id | sort)
[ "$ids" = "$(for dir in one/*/; do value "$dir/run.json" run_id; done | sort)" ] || fail "--dry-run shows other run_ids"
for change in federated.rounds=5 federated.batch_size=11 algorithms.lr=0.06 partition.seed=43 model=mlp model=mlp_9_8 \
              data.validation=0.2 data.validation=0.2,data.validation_from=clients data.scaling=unit; do
  "$fedlane" run config.yaml --dry-run --seeds 5,7 --set $change 2> err.txt | value /dev/stdin run_id > changed.txt
  [ "$(wc -l < changed.txt)" = 4 ] || fail "--set $change: $(wc -l < changed.txt) runs: $(cat err.txt)"
  ! grep -qF "$ids" changed.txt || fail "--set $change leaves a run_id"
done
# Inputs are scaled as asked, and the record says by what.
run --out scaled --seeds 5 --set data.scaling=symmetric,algorithms=fedavg
for what in mean std; do
  [ "$(value scaled/fedavg-s5/run.json $what)" = 0.5 ] || fail "data.scaling=symmetric: $what is not 0.5"
done
# Published figures are for the report: they decide no bit.
echo row,column,accuracy > published.csv
"$fedlane" run config.yaml --dry-run --seeds 5,7 --set published=published.csv 2> err.txt | value /dev/stdin run_id > changed.txt
[ "$(sort changed.txt)" = "$ids" ] || fail "published figures change a run_id: $(cat err.txt)"
# A long list is taken whole.
long=$(seq -s , 1000 1099)
[ "$("$fedlane" run config.yaml --dry-run --seeds "$long" 2> err.txt | grep -c '"run_id"')" = 200 ] ||
  fail "--seeds with 100 seeds: $(cat err.txt)"

# ---- a sweep is its runs one by one: nothing that one of them loads is used for another that needs something else ------
short=federated.rounds=1,algorithms=fedavg
run --out sweep --seeds 5 --set "data.validation=[0,0.2],partition.seed=[42,43],model=[logistic,mlp],$short"
run --out sweep-of-splits --seeds 5 --set \
  "data.validation=0.2,data.validation_from=[clients,rows],partition.seed=[42,43],model=[logistic,mlp],$short"
for validation in 0 0.2 0.2,data.validation_from=clients; do
  for seed in 42 43; do
    for model in logistic mlp; do
      run --out alone --seeds 5 --set data.validation=$validation,partition.seed=$seed,model=$model,$short
      id=$(value alone/fedavg-s5/summary.json run_id)
      twins=$(grep -l "\"run_id\": \"$id\"" sweep*/*/summary.json) || fail "no such run in a sweep: validation $validation"
      for twin in $twins; do
        for key in hash trajectory_hash; do
          [ "$(value alone/fedavg-s5/summary.json $key)" = "$(value "$twin" $key)" ] ||
            fail "validation $validation, partition $seed, $model: $key is not that of the same run in a sweep"
        done
      done
    done
  done
done

# ---- compare: the first round, column, tensor and element that differ ---------------------------------------------
differs() { # WANTED
  local code=0
  "$fedlane" compare one two > out.txt 2> err.txt || code=$?
  [ "$code" = 1 ] || fail "compare: exit code $code, must be 1: $(cat out.txt err.txt)"
  grep 'same bits: no, ' out.txt | grep -qF "$1" || fail "compare: no '$1' in: $(cat out.txt)"
  [ "$(grep -c 'same bits: yes$' out.txt)" = 3 ] || fail "compare: the other runs: $(cat out.txt)"
}
poke() { # FILE OFFSET_FROM_END BYTE
  printf '%b' "\\0$3" | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") - $2)) conv=notrunc 2> dd.txt
}
kept=two/fedavg-s5
cp -r $kept kept
poke $kept/params.safetensors $((4 * 10 - 4 * 3 - 1)) 177      # a byte of the fourth of ten biases, the last tensor
differs 'all rounds equal, tensor fc.bias (element 3)'
poke $kept/params.safetensors $((31400 - 4 * 800)) 177
differs 'all rounds equal, tensor fc.weight (element 800)'
sed -i '3s/"update_norm": [0-9]/"update_norm": 7/; 4s/"samples": 1/"samples": 2/' $kept/rounds.jsonl
differs 'round 3 (update_norm '
cp kept/params.safetensors $kept/
differs ', all tensors equal'
cp <(head -n 3 kept/rounds.jsonl) $kept/rounds.jsonl
differs 'round 4 (only one has it: 4 | 3 rounds), all tensors equal'
rm -r $kept
mv kept $kept
rm $kept/summary.json
"$fedlane" compare one two > out.txt 2> err.txt && fail "compare: an unfinished run was taken for a result"
grep -q "fedavg-s5' has no summary.json" err.txt || fail "compare: the unfinished run is not named: $(cat err.txt)"

# ---- --verify ------------------------------------------------------------------------------------------------------------------
run --verify --seeds 5
grep -qE "^fedavg, seed 5, 1 and 3 threads: $(value one/fedavg-s5/summary.json hash | cut -c 1-12) " out.txt ||
  fail "--verify: $(cat out.txt)"
[ "$(tail -n 1 out.txt)" = "same bits: yes" ] || fail "--verify: $(cat out.txt)"
run --verify --seeds 5 --threads 2
[ "$(grep -c ', 2 and 1 threads: ' out.txt)" = 2 ] || fail "--verify --threads 2: $(cat out.txt)"
rm -rf "$scratch"
