#!/usr/bin/env bash
# init: FILE.safetensors. A run begins where another one ended; what is missing, has another shape or belongs to another model is
# named; the result counts the file by its content, and is verified with it.
# Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
. "$source/tests/e2e/try.bash"

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 200 60 1
paths="data.train=$scratch/data/train,data.test=$scratch/data/t10k"
cat > "$scratch/config.yaml" <<END2
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
model: mlp_12
training: {epochs: 2}
algorithms: [{rule: sgd, lr: 0.05}]
END2
run() { try 0 run "$scratch/config.yaml" --out "$scratch/$1" --set "$2"; }
evaluated() { sed -n 's/.*"test_loss": \([0-9.e-]*\),.*/\1/p' "$scratch/$1/sgd-s1/rounds.jsonl" | tail -1; }
hash() { sed -n 's/^ *"hash": "\(.*\)".*/\1/p' "$scratch/$1/sgd-s1/summary.json"; }

# With a step size of (almost) nothing the second run ends where the first did, whatever its seed.
run first training.epochs=2
weights=$scratch/first/sgd-s1/params.safetensors
run second "init=$weights,algorithms.lr=1e-30"
[ "$(hash first)" = "$(hash second)" ] || fail "a run that begins with the weights of another and does not move has other weights"
[ "$(evaluated first)" = "$(evaluated second)" ] || fail "the same weights have another test loss"
run none init=none
[ "$(hash first)" = "$(hash none)" ] || fail "init=none is not as without the key"
run third "init=$weights"
[ "$(hash first)" != "$(hash third)" ] || fail "init leaves no trace in a run that moves"
run lora "model=mlp_12_lora4,init=$weights,algorithms.lr=1e-30"
[ "$(evaluated first)" = "$(evaluated lora)" ] || fail "adapters over the weights of a model do not begin as that model"

# Adapters that were trained come back as they were, on the network itself with ilora, too, which forms new factors of the same
# product; another rank, or a model without adapters, is refused.
run adapted "model=mlp_12_lora4,init=$weights"
[ "$(evaluated adapted)" != "$(evaluated lora)" ] || fail "adapters that were trained are as they began"
adapters=$scratch/adapted/sgd-s1/params.safetensors
run again "model=mlp_12_lora4,init=$adapters,algorithms.lr=1e-30"
[ "$(hash again)" = "$(hash adapted)" ] || fail "a run that begins with adapters and does not move has others"
sed "/^training/d; s/^algorithms.*/federated: {clients: 4, rounds: 1}/" "$scratch/config.yaml" > "$scratch/clients.yaml"
echo "algorithms: [{name: ilora, lr: 1e-30, weight_decay: 0}]" >> "$scratch/clients.yaml"
try 0 run "$scratch/clients.yaml" --out "$scratch/ilora" --set "model=mlp_12_lora4,init=$adapters"
loss=$(sed -n 's/.*"test_loss": \([0-9.e-]*\),.*/\1/p' "$scratch/ilora/ilora-s1/rounds.jsonl")
awk -v a="$loss" -v b="$(evaluated adapted)" 'BEGIN { exit !(a - b < 1e-4 && b - a < 1e-4 && a > 0) }' ||
  fail "ilora from adapters begins with another test loss: $loss, not $(evaluated adapted)"
# The file says alpha, which no tensor shows: another one is refused, and one that the file does not say is the model's.
about() { # FILE: what its header says of the adapters
  python3 -c 'import json, struct, sys
raw = open(sys.argv[1], "rb").read()
m = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
print(m.get("lora_alpha"), m.get("lora_rank"))' "$1"
}
rewrite() { # FROM TO NEW: __metadata__ as NEW
  python3 -c 'import json, struct, sys
raw = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", raw[:8])[0]
head = json.loads(raw[8:8 + n])
head["__metadata__"] = json.loads(sys.argv[3])
text = json.dumps(head).encode()
open(sys.argv[2], "wb").write(struct.pack("<Q", len(text)) + text + raw[8 + n:])' "$@"
}
[ "$(about "$adapters")" = "4 4" ] || fail "the header of rank 4: $(about "$adapters")"
[ "$(about "$weights")" = "None None" ] || fail "a file without adapters says alpha: $(about "$weights")"
cat > "$scratch/own_lora4_alpha6.yaml" <<END2
layers: [{linear: {out: 12, name: fc1}}, relu, {linear: {name: fc2}}]
END2
run six "model=mlp_12_lora4_alpha6,init=$weights"
run own "model=$scratch/own_lora4_alpha6.yaml,init=$weights"
for name in six own; do
  file=$scratch/$name/sgd-s1/params.safetensors
  [ "$(about "$file")" = "6 4" ] || fail "the header of rank 4 and alpha 6: $(about "$file")"
  try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$file,model=mlp_12_lora4"
  told "'$file': its adapters were trained with alpha = 6, model mlp_12_lora4 has alpha = 4: the same tensors would be another"
  told "allowed: the file's alpha, which the model's name says as _loraRANK_alphaALPHA"
  run "again-$name" "model=mlp_12_lora4_alpha6,init=$file,algorithms.lr=1e-30"
  [ "$(hash "again-$name")" = "$(hash "$name")" ] || fail "a run that begins with adapters of alpha 6 has others"
done
rewrite "$scratch/six/sgd-s1/params.safetensors" "$scratch/silent.safetensors" '{"format": "pt"}'
run silent "model=mlp_12_lora4,init=$scratch/silent.safetensors,algorithms.lr=1e-30"
[ "$(hash silent)" = "$(hash six)" ] || fail "adapters of a file that says no alpha are not taken as they are"
[ "$(evaluated silent)" != "$(evaluated six)" ] || fail "another alpha is the same network"
for said in '"big"' 6 '"0"' '"nan"'; do
  rewrite "$scratch/six/sgd-s1/params.safetensors" "$scratch/wrong.safetensors" "{\"lora_alpha\": $said}"
  try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "model=mlp_12_lora4,init=$scratch/wrong.safetensors"
  told "wrong.safetensors: lora_alpha = '"
  told "allowed: a number above 0"
done
try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$adapters,model=mlp_12_lora3"
told "tensor 'fc1.lora_A': shape 4x784; allowed: 3x784"
try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$adapters"
told "has a tensor 'fc1.lora_A', which the model has not; allowed: adapters, of a model with them (NAME_loraR)"

# By content, not by place: the same run_id from a copy; verified with it.
cp "$weights" "$scratch/copy.safetensors"
run copy "init=$scratch/copy.safetensors"
id() { sed -n 's/^ *"run_id": "\(.*\)".*/\1/p' "$scratch/$1/sgd-s1/run.json"; }
[ "$(id third)" = "$(id copy)" ] || fail "the place of the file changes the run_id"
[ "$(id third)" != "$(id first)" ] || fail "init does not change the run_id"
try 0 verify "$scratch/third" --set "$paths,init=$scratch/copy.safetensors"
try 2 verify "$scratch/third" --set "$paths"
told "init: "

# What does not fit.
try 2 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$scratch/none"
told "init: "
told "allowed: a safetensors file, or none"
try 2 run "$scratch/config.yaml" --out "$scratch/x" --set "init=[none,$weights]"
told "init is a list; allowed: one safetensors file, or none"
try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$weights,model=mlp_13"
told "tensor 'fc1.weight': shape 12x784; allowed: 13x784"
try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$weights,model=mlp_12_12"
told "tensor 'fc2.weight': shape 10x12; allowed: 12x12"
try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$weights,model=logistic"
told "has no tensor 'fc.weight' (10x784), which the model needs; it has fc1.weight, fc1.bias, fc2.weight, ..."
try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$scratch/config.yaml"
told "is not a safetensors file"
printf 'PK\003\004 and what torch.save puts behind' > "$scratch/model.pt"
try 1 run "$scratch/config.yaml" --out "$scratch/x" --set "init=$scratch/model.pt"
told "model.pt' is not a safetensors file"
told "it is an archive, as torch.save makes: safetensors.torch.save_file(model.state_dict(), FILE)"
echo "init.sh: passed"
