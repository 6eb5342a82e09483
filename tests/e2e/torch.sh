#!/usr/bin/env bash
# Every method and model against PyTorch in double precision, from what scripts/torch_replay --fixture left in tests/fixtures.
# Unlike a golden hash, this fixture cannot be made to agree with a wrong Fedlane. usage: torch.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
cp "$source/tests/fixtures/torch.yaml" "$scratch/"
bash "$source/tests/e2e/make_data.sh" "$scratch/data" 120 10 1
compare() { PYTHONDONTWRITEBYTECODE=1 python3 "$source/scripts/torch_fixture.py" "$source/tests/fixtures/torch.json" "$@"; }
run() { # NAME SETTINGS
  "$fedlane" run "$scratch/torch.yaml" --out "$scratch/$1" --set "$2" > "$scratch/out.txt" 2> "$scratch/err.txt" ||
    { cat "$scratch/err.txt" >&2; exit 1; }
}
code=0
for rounds in 1 3; do
  run $rounds federated.rounds=$rounds
  compare $rounds "$scratch/$rounds" || code=1
done
[ $code = 0 ] || { echo "torch.sh: FAILED: too far from the replay in tests/fixtures/torch.json" >&2; exit 1; }

# The comparison can fail: one round more, a smaller step, and a missing run are each too far.
refused() { # WHAT ROUNDS DIR
  if compare "$2" "$3" > "$scratch/out.txt" 2>&1; then echo "torch.sh: FAILED: $1 was accepted" >&2; exit 1; fi
}
refused "the result of 3 rounds for that of 1" 1 "$scratch/3"
run other federated.rounds=1,algorithms.lr=0.0099
refused "another learning rate" 1 "$scratch/other"
rm -r "$scratch/1/"*scaffold*mlp*
refused "a result without SCAFFOLD" 1 "$scratch/1"
grep -q 'no run of mlp scaffold' "$scratch/out.txt" || { echo "torch.sh: FAILED: the missing run is not named" >&2; exit 1; }
rm -rf "$scratch"
