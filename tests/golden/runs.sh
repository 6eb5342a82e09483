#!/usr/bin/env bash
# Whole training runs against runs.txt, which scripts/golden --accept writes: nine clients of unequal size (one of 20, a whole
# batch; one smaller than a batch; one with a single sample; one with none; partial last batches), all methods, every number
# of threads and every ISA that runs here. Then the other side: method, seed and one flipped label byte change the hash.
# NEON under an emulator: e2e/check-neon.sh. With GOLDEN_SLOW=1 (a sanitizer's build) only 3 threads
# and no scalar form, which would take an hour. GOLDEN_THREADS: other numbers of threads.
# usage: runs.sh FEDLANE SOURCE_DIR SCRATCH_DIR [--print]; --print writes what runs.txt should hold, by the scalar form, and
# leaves the runs' folders in SCRATCH_DIR/main/out-MODEL.
set -euo pipefail
fedlane=$1 source=$2 scratch=$3 mode=${4:-}
golden=$source/tests/golden/runs.txt
rm -rf "$scratch"
mkdir -p "$scratch"

fail() { echo "runs.sh: FAILED: $*" >&2; exit 1; }

# 200 samples, dealt with a stride so that every client sees several classes; the data are sorted by class modulo 10.
clients() {
  awk 'BEGIN {
    n = split("37 20 7 1 0 45 50 26 14", size, " ")
    printf "{\"clients\": %d, \"index\": [", n
    for (i = 1; i <= n; i++) {
      printf("%s[", (i > 1) ? ", " : "")
      for (k = 0; k < size[i]; k++) printf("%s%d", k ? ", " : "", (at++ * 73) % 200)
      printf "]"
    }
    printf "]}\n" }'
}

# Words of a few letters from a small generator, the same on every machine.
text() { # FILE CHARACTERS SEED
  awk -v n="$2" -v state="$3" 'BEGIN {
    letters = "etaoinshr  "
    for (i = 0; i < n; i++) {
      state = (state * 4096 + 150889) % 714025
      printf "%s", (i % 60 == 59) ? "\n" : substr(letters, 1 + int(state / 714025 * 11), 1)
    }
  }' > "$1"
}

prepare() { # DIR
  mkdir -p "$1"
  cp "$source"/tests/golden/*.yaml "$1"
  clients > "$1/clients.json"
}

# "model/run hash trajectory_hash" of every run of a configuration into a file.
runs() { # DIR MODEL FILE ARGUMENTS...
  local dir=$1 model=$2 file=$3 summary; shift 3
  rm -rf "$dir/out-$model"
  "$fedlane" run "$dir/$model.yaml" --out "$dir/out-$model" "$@" > "$dir/stdout" 2> "$dir/stderr" || {
    cat "$dir/stderr" >&2
    fail "$model $*"
  }
  for summary in "$dir/out-$model"/*/summary.json; do
    grep -q '"status": "done"' "$summary" || fail "$model $*: $summary is not done"
    echo "$model/$(basename "$(dirname "$summary")") $(sed -n 's/^ *"hash": "\(.*\)".*/\1/p' "$summary")" \
      "$(sed -n 's/^ *"trajectory_hash": "\(.*\)".*/\1/p' "$summary")"
  done | LC_ALL=C sort > "$file"
  [ "$(awk 'NF == 3 && length($2) == 64 && length($3) == 64' "$file" | wc -l)" = "$(wc -l < "$file")" ] && [ -s "$file" ] ||
    fail "$model $*: not every run has its two hashes: $(cat "$file")"
}

main=$scratch/main
prepare "$main"
bash "$source/tests/e2e/make_data.sh" "$main/data" 200 60 1
text "$main/data/train.txt" 1601 1 # 200 rows of 8 characters and one behind the last; 60 rows
text "$main/data/test.txt" 481 2
models="adapters central central_lenet5 dropout dropped lenet5 logistic lora methods mlp partial"
models="$models population recurrent team tokens vision"

if [ "$mode" = --print ]; then
  for model in $models; do
    runs "$main" $model "$scratch/one" --isa scalar --threads 1
    cat "$scratch/one"
  done
  exit 0
fi
[ -z "$mode" ] || fail "unknown argument $mode; allowed: --print"
[ -s "$golden" ] || fail "$golden is missing; scripts/golden --accept makes it"

ran='' count=0 numbers=${GOLDEN_THREADS:-1 2 3}
case $(uname -m) in
  aarch64 | arm64) isas="scalar neon" ;;
  *) isas="scalar avx2 avx512" ;;
esac
if [ "${GOLDEN_SLOW:-0}" = 1 ]; then isas=${isas#scalar } numbers=3; fi
for isa in $isas; do
  if ! "$fedlane" info --isa $isa > "$scratch/info" 2>&1; then
    echo "not run: $isa: $(tail -1 "$scratch/info")"
    continue
  fi
  ran="$ran $isa"
  for threads in $numbers; do
    for model in $models; do
      runs "$main" $model "$scratch/got" --isa $isa --threads $threads
      grep "^$model/" "$golden" > "$scratch/want" || true
      diff "$scratch/want" "$scratch/got" || fail "$model, $isa, $threads threads: bits differ from tests/golden/runs.txt"
      count=$((count + $(wc -l < "$scratch/got")))
    done
  done
done
echo "ISAs that ran:$ran; numbers of threads: $numbers; $count runs equal to tests/golden/runs.txt"

# Nothing that decides the bits may be without effect: no two golden runs share a hash, so method and seed change it ...
twice=$(cut -d ' ' -f 2 "$golden" | sort | uniq -d)
[ -z "$twice" ] || fail "several runs of tests/golden/runs.txt have the hash $twice"
[ "$(grep -c '^logistic/fedavg-s[12] ' "$golden")" = 2 ] || fail "tests/golden/runs.txt has not two seeds of logistic/fedavg"

# ... and so does one label of the training rows; one of the test rows changes the trajectory alone.
flip() { # FILE INDEX: label l becomes (l + 1) % 10; an IDX file of labels has a header of 8 bytes
  local label
  label=$(od -An -tu1 -j $((8 + $2)) -N 1 "$1" | tr -d ' ')
  printf '%b' "\\0$(printf '%03o' $(((label + 1) % 10)))" | dd of="$1" bs=1 seek=$((8 + $2)) conv=notrunc 2> "$scratch/dd"
}
grep '^logistic/' "$golden" > "$scratch/want"
for flipped in train t10k; do
  dir=$scratch/$flipped
  prepare "$dir"
  cp -r "$main/data" "$dir/data"
  flip "$dir/data/$flipped-labels-idx1-ubyte" 41
  [ "$(cmp -l "$main/data/$flipped-labels-idx1-ubyte" "$dir/data/$flipped-labels-idx1-ubyte" | wc -l)" = 1 ] ||
    fail "not one byte of $flipped labels was changed"
  runs "$dir" logistic "$scratch/got"
  while read -r name hash trajectory && read -r name_now hash_now trajectory_now <&3; do
    [ "$name" = "$name_now" ] || fail "$name_now where $name was expected"
    [ "$trajectory" != "$trajectory_now" ] || fail "$name: a flipped label of $flipped left the trajectory hash"
    case $flipped in
      train) [ "$hash" != "$hash_now" ] || fail "$name: a flipped label of $flipped left the hash" ;;
      *) [ "$hash" = "$hash_now" ] || fail "$name: a flipped label of $flipped changed the parameters" ;;
    esac
  done < "$scratch/want" 3< "$scratch/got"
done
echo "method, seed and one flipped label each change the hash"
rm -rf "$scratch"
