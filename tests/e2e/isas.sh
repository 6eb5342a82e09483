#!/usr/bin/env bash
# The choice of an instruction set: by mask (FEDLANE_MAX_CPU_ISA), and on emulated CPUs: one without AVX, on which an instruction
# of a wider set that leaked into an object for all CPUs would end the program, and one with AVX2 alone. Each must take the set
# that it can, and give the bits of this machine. usage: isas.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
check=$(dirname "$fedlane")/tests/fedlane-check
rm -rf "$scratch"
mkdir -p "$scratch"
bash "$source/tests/e2e/make_data.sh" "$scratch/data" 30 6 1
cd "$scratch"
# Little of everything: where there is no fma instruction, it is a call of 50 ns, emulated.
cat > config.yaml <<'YAML'
data: {format: idx, train: data/train, test: data/t10k}
model: [logistic, lenet5]
federated: {clients: 3, participation: 0.7, rounds: 1, batch_size: 3, local_steps: 1}
algorithms: [{name: fedadamw, clip_norm: 0.5}, {name: fedmuon, model: logistic},
  {stack: [scaffold], rule: momentum, model: logistic}]
YAML
failed() { echo "isas.sh: FAILED: $*" >&2; exit 1; }
hashes() { sed -n 's/^ *"\(label\|hash\|trajectory_hash\)": "\(.*\)".*/\1 \2/p' "$1"/*/summary.json; }
isa_of() { sed -n 's/^ *"isa_used": "\(.*\)".*/\1/p' "$1"/*/run.json | sort -u; }
same() { # DIR ISA [COMMAND...]: a run through COMMAND has the ISA and the bits of the first one
  local dir=$1 isa=$2
  shift 2
  "$@" "$fedlane" run config.yaml --out "$dir" --threads 2 > out.txt 2> err.txt || {
    cat err.txt >&2
    failed "$dir: the run ended with an error"
  }
  [ "$(isa_of "$dir")" = "$isa" ] || failed "$dir: '$(isa_of "$dir")' was used, expected '$isa'"
  hashes "$dir" > "$dir.txt"
  [ "$(grep -c '^hash' "$dir.txt")" = 4 ] || failed "$dir: not four hashes: $(cat "$dir.txt")"
  diff first.txt "$dir.txt" || failed "$dir: other bits than without a mask on this machine"
}

best=$("$fedlane" info --json | sed -n 's/^ *"isa_used": "\(.*\)".*/\1/p')
"$fedlane" run config.yaml --out first --threads 1 > out.txt 2> err.txt || { cat err.txt >&2; failed "the first run"; }
[ "$(isa_of first)" = "$best" ] || failed "'$(isa_of first)' was used, info says '$best'"
hashes first > first.txt
masks=''
for mask in scalar avx2 avx512 neon; do
  "$fedlane" info --isa $mask --json > info.txt 2> err.txt || continue
  same "mask-$mask" "$(sed -n 's/^ *"isa_used": "\(.*\)".*/\1/p' info.txt)" env FEDLANE_MAX_CPU_ISA=$mask
  masks="$masks $mask"
done
echo "masks:$masks, on $best"

[ "$(uname -m)" = x86_64 ] || { echo "emulated: only x86-64 has CPUs with less than this"; exit 77; }
command -v qemu-x86_64 > /dev/null || { echo "emulated: qemu-x86_64 is not installed"; exit 77; }
# What this emulator does not know of a CPU, and says so, has nothing to do with vectors.
emulated() { local cpu=$1; shift; qemu-x86_64 -cpu "$cpu" "$@" 2> >(grep -v "TCG doesn't support" >&2); }
export -f emulated
old() { emulated Nehalem "$@"; }
new() { emulated Haswell "$@"; }

# The emulator really refuses: 32 bytes at once end the program on the older CPU, on the newer one they do not.
cat > wide.c <<'C'
#include <immintrin.h>
#include <stdio.h>
int main(void) {
  volatile float x[8] = { 1.0f };
  const __m256 v = _mm256_loadu_ps((const float *)x);
  return _mm256_cvtss_f32(v) != 1.0f;
}
C
"${CC:-cc}" -O1 -mavx wide.c -o wide
new ./wide || failed "an AVX program does not run on the emulated CPU with AVX2"
code=0
{ old ./wide; } > /dev/null 2>&1 || code=$?
[ $code = 132 ] || failed "an AVX program on the emulated CPU without AVX ended with $code, not with an illegal instruction"

code=0
old "$fedlane" info --isa avx2 > out.txt 2> err.txt || code=$?
[ $code = 2 ] && grep -q 'the CPU does not report it' err.txt || {
  cat err.txt >&2
  failed "--isa avx2 without AVX: exit code $code"
}
code=0
new "$fedlane" info --isa avx512 > out.txt 2> err.txt || code=$?
[ $code = 2 ] && grep -q 'the CPU does not report it' err.txt || {
  cat err.txt >&2
  failed "--isa avx512 without it: exit code $code"
}

# The kernels that the older CPU takes (convolutions, slow there, come with LeNet-5 below). The AVX2 ones are not among these:
# this emulator reads masked lanes behind a guard page.
old "$check" --golden "$source/tests/golden/kernels.txt" step reduce random math factor matrix gemm_nn softmax_xent maxpool2 \
  > kernels.txt ||
  { cat kernels.txt; failed "kernels on the emulated CPU without AVX"; }
grep -q '^isa scalar against' kernels.txt || failed "the emulated CPU without AVX took: $(head -1 kernels.txt)"
same nehalem scalar old
same haswell avx2 new
echo "emulated: Nehalem: scalar, $(tail -1 kernels.txt) kernels; four runs there and on Haswell (avx2) with the bits of $best"
rm -rf "$scratch"
