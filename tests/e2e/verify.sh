#!/usr/bin/env bash
# fedlane verify: what a result records (a run, a suite, the summary.json of a report; federated, central, a stack) is trained
# once more with other threads and another ISA and has the same bits; a changed hash, a changed round and other data are told.
# Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
. "$source/tests/e2e/try.bash"

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 200 60 1
bash "$source/tests/e2e/make_data.sh" "$scratch/other" 200 60 2
paths="data.train=$scratch/data/train,data.test=$scratch/data/t10k"
cat > "$scratch/config.yaml" <<END
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
partition: {name: dirichlet, dirichlet_alpha: 0.7, min_size: 1}
model: logistic
federated: {clients: 10, participation: 0.3, rounds: 5, local_epochs: 2, batch_size: 7, eval_every: 3, stragglers: 0.5}
algorithms: [{name: fedadamw, lr: [1e-3, 3e-3]}, {stack: [scaffold, sam], rule: momentum, lr: 0.05}]
END
cat > "$scratch/central.yaml" <<END
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
model: {name: small, layers: [{linear: {out: 12, name: fc1}}, relu, {linear: {out: 12}}, {add: {from: [relu1, linear1]}}, linear]}
training: {epochs: 3}
algorithms: [{rule: adamw, lr: 1e-3}]
END
try 0 run "$scratch/config.yaml" --out "$scratch/federated" --threads 2
try 0 run "$scratch/central.yaml" --out "$scratch/central"

try 0 verify "$scratch/federated" "$scratch/central/adamw-s1" --set "$paths" --threads 3 --isa scalar
told "4 of 4 runs have the recorded bits"
if python3 -c 'import matplotlib' 2> "$scratch/err"; then
  try 0 report "$scratch/federated" --out "$scratch/report"
  try 0 verify "$scratch/report/summary.json" --set "$paths"
  told "3 of 3 runs have the recorded bits"
fi

# Nothing says where the data lie; other data.
try 2 verify "$scratch/central"
told "data has format 'idx' but no 'train' (a path) (a result does not say where its files lie: --set data.train=PATH"
try 1 verify "$scratch/central" --set "data.train=$scratch/other/train,data.test=$scratch/other/t10k"
told "is not the recorded file"
told "0 of 1 runs have the recorded bits"

# A changed round, a changed hash.
cp -r "$scratch/central" "$scratch/changed"
sed -i '2s/"train_loss": [0-9]*\./"train_loss": 7./' "$scratch"/changed/*/rounds.jsonl
try 1 verify "$scratch/changed" --set "$paths"
told "first difference: round 2 (train_loss 7."
rm -r "$scratch/changed"
cp -r "$scratch/central" "$scratch/changed"
sed -i 's/"hash": "\(.\)/"hash": "\1\1\1/' "$scratch"/changed/*/summary.json
try 1 verify "$scratch/changed" --set "$paths"
told "same bits: no"

try 2 verify
told "verify takes a result or more"
try 2 verify "$scratch/central" --threads none
told "allowed: a whole number from 1 to 1024"
try 1 verify "$scratch/nothing"
told "$scratch/nothing"
try 1 verify "$scratch/config.yaml"
told "config.yaml"
echo "verify.sh: passed"
