#!/usr/bin/env bash
# What was compiled, not what was written: disassembles the objects of every ISA and fails on an instruction whose result
# depends on the CPU or whose order of additions is not ours, on a function of the mathematics library besides fma and sqrt,
# on what a CPU of the set does not know; and on a registered kernel that does not compute in the registers of its set. Tries
# itself on assembled lines.
# usage: objects.sh FEDLANE SOURCE_DIR SCRATCH_DIR; the objects lie below FEDLANE's folder. For a cross build (check-neon.sh):
# MACHINE, and the TOOLS' prefix.
set -euo pipefail
build=$(dirname "$1")/CMakeFiles source=$2 scratch=$3 objdump=${TOOLS:-}objdump
rm -rf "$scratch"
mkdir -p "$scratch"
command -v "$objdump" > /dev/null || { echo "$objdump is not installed"; exit 77; }
machine=${MACHINE:-$(uname -m)}
assembler=${CC:-cc}
[ -z "${TOOLS:-}" ] || assembler=${TOOLS}gcc
failures=0
complain() { echo "objects.sh: $*" >&2; failures=$((failures + 1)); }

# Estimates, exponent arithmetic with rules of its own, horizontal sums; on AArch64 minimum and maximum, whose NaN rules differ.
banned='v?rcp(14|28)?[sp][sdh]|v?rsqrt(14|28)?[sp][sdh]|vscalef[sp][sdh]|vgetexp[sp][sdh]|vgetmant[sp][sdh]'
banned="$banned|vreduce[sp][sdh]|v?dpp[sd]|v?haddp[sd]|v?hsubp[sd]|vdpbf16ps|vexp2p[sd]"
banned="$banned|frecp[esx]|frsqrt[es]|fminn?m?|fmaxn?m?|fminn?m?[pv]|fmaxn?m?[pv]|fminnm[pv]|fmaxnm[pv]|faddp|bfdot|bfmmla"
# What a CPU without AVX does not know: AVX at any width, BMI and the like. (tzcnt it runs as its rep bsf.)
newer='v[a-z0-9]+|mulx[lq]?|s(hl|hr|ar)x[lq]?|rorx[lq]?|pdep|pext|bzhi[lq]?|andn[lq]?|bextr[lq]?|bls(i|r|msk)[lq]?'
newer="$newer|ad[co]x[lq]?|popcnt[lq]?|lzcnt[lq]?|movbe"

# Mnemonics and operands alone, so that neither addresses nor the names of symbols are taken for instructions.
disassemble() { "$objdump" -d --no-show-raw-insn "$1" | awk -F '\t' 'NF > 1 { print $2 " " $3 }' | sed 's/<[^>]*>//'; }
uses() { grep -qE "$2" "$1"; }                     # FILE PATTERN
mnemonic() { { grep -oE "^($2) " "$1" || true; } | sort | uniq -c | tr -s ' \n' ' '; }

# Words of <math.h>, with the suffixes f and l, and what a compiler makes of them (__exp_finite, _ZGV... of a vector library).
math='acosh?|asinh?|atanh?|atan2|cbrt|ceil|copysign|cosh?|erfc?|exp|exp2|exp10|expm1|fabs|fdim|floor|fmax|fmin|fmod|frexp|hypot'
math="$math|ilogb|ldexp|lgamma|lgamma_r|llrint|llround|log|log10|log1p|log2|logb|lrint|lround|modf|nan|nearbyint|nextafter|pow"
math="$math|remainder|remquo|rint|round|scalbn|scalbln|sinh?|sincos|tanh?|tgamma|trunc|j[01n]|y[01n]"
foreign="^(($math)[fl]?|__.*_finite|_ZGV.*|__svml.*|fmal|sqrtl)$"

# Complaints about one object, one a line. KIND: baseline and generic (nothing newer than SSE), scalar_fma, avx2, avx512,
# neon; other kinds only for the mnemonics.
inspect() { # OBJECT KIND
  local text=$scratch/text symbols=$scratch/symbols found
  disassemble "$1" > "$text"
  found=$(mnemonic "$text" "$banned")
  [ -z "$found" ] || echo "banned instruction:$found"
  "${TOOLS:-}nm" -u "$1" | awk '{ print $NF }' > "$symbols"
  # floor and ceil are exact, and some compilers call them where others inline; kernels do without.
  [ "$2" != generic ] || sed -i -E '/^(floor|ceil)$/d' "$symbols"
  found=$(grep -E "$foreign" "$symbols" | tr '\n' ' ' || true)
  [ -z "$found" ] || echo "function of the mathematics library: $found"
  case $2 in
    baseline | generic)
      found=$(mnemonic "$text" "$newer")
      [ -z "$found" ] || echo "newer instruction in the baseline:$found" ;;
    scalar_fma | avx2) ! uses "$text" '%zmm|%k[0-7]' || echo "AVX-512 register" ;;
  esac
}

# The wide registers must compute as well, in every kernel: one compiled without its intrinsics would be right, and slow.
demand() { # FOLDER SUFFIX SET [OPS_DEF]
  python3 "$source/tests/e2e/symbols.py" "$objdump" "${4:-$source/kernels/ops.def}" "$1" "$2" "$3"
}

check_folder() { # FOLDER KIND
  local object found count=0
  while read -r object; do
    found=$(inspect "$object" "$2")
    [ -z "$found" ] || complain "${object#"$build"/}: $found"
    count=$((count + 1))
  done < <(find "$build/$1.dir" -name '*.o' | sort)
  [ "$count" -ge 10 ] || complain "$1: only $count objects below $build/$1.dir"
  case $2 in
    avx512) found=$(demand "$build/$1.dir" "$2" zmm) ;;
    avx2) found=$(demand "$build/$1.dir" "$2" ymm) ;;
    neon) found=$(demand "$build/$1.dir" "$2" neon) ;;
    baseline | scalar) found=$(demand "$build/$1.dir" scalar any) ;;
    scalar_fma) found=$(demand "$build/$1.dir" "$2" any) ;;
    *) found='' ;;
  esac
  [ -z "$found" ] || complain "$1: $found"
  echo "$1: $count objects"
}

# ---- itself: each text must bring the complaint ---------------------------------------------------------------------
tries=0
try() { # KIND COMPLAINT ASSEMBLY
  printf '.text\n.globl f\nf:\n%b\nret\n' "$3" > "$scratch/try.s"
  "$assembler" -c "$scratch/try.s" -o "$scratch/try.o" || { complain "self-test: cannot assemble: $3"; return; }
  local got
  got=$(inspect "$scratch/try.o" "$1")
  tries=$((tries + 1))
  if [ -z "$2" ]; then
    [ -z "$got" ] || complain "self-test: $3: no complaint expected, got: $got"
  else
    case $got in *"$2"*) ;; *) complain "self-test: $3: '$2' expected, got: '$got'" ;; esac
  fi
}
# Six kernels: here computes in the register, near calls a function that does, far one that does not, gone is not there, and copy
# moves alone, as transpose may.
try_kernels() { # SET COMPLAINTS ASSEMBLY...
  local set=$1 want=$2 got
  shift 2
  mkdir -p "$scratch/kernels"
  printf 'FL_OP(a, %s, void,\n' here near far gone copy transpose > "$scratch/ops.def"
  { echo .text; printf '%b\n' "$@"; } > "$scratch/kernels.s"
  "$assembler" -c "$scratch/kernels.s" -o "$scratch/kernels/kernels.o"
  got=$(demand "$scratch/kernels" x "$set" "$scratch/ops.def" | cut -d ' ' -f 1 | tr '\n' ' ')
  [ "$got" = "$want " ] || complain "self-test: kernels without $set: '$want' expected, got '$got'"
  tries=$((tries + 1))
}
if [ "$machine" = x86_64 ]; then
  for instruction in 'rcpps %xmm0, %xmm1' 'rsqrtps %xmm0, %xmm1' 'vrcpss %xmm0, %xmm1, %xmm2' 'vrcp14ps %zmm0, %zmm1' \
    'vrsqrt14pd %zmm0, %zmm1' 'vscalefps %zmm0, %zmm1, %zmm2' 'vgetexpps %zmm0, %zmm1' 'vreduceps $1, %zmm0, %zmm1' \
    'dpps $1, %xmm0, %xmm1' 'vdpps $1, %ymm0, %ymm1, %ymm2' 'haddps %xmm0, %xmm1' 'vhaddpd %ymm0, %ymm1, %ymm2' \
    'vdpbf16ps %zmm0, %zmm1, %zmm2'; do
    try avx512 'banned instruction' "$instruction"
  done
  for instruction in 'vaddss %xmm0, %xmm1, %xmm2' 'vmovups (%rdi), %xmm1' 'mulx %rax, %rbx, %rcx' 'shlx %rax, %rbx, %rcx' \
    'andn %rax, %rbx, %rcx' 'vzeroupper' 'vfmadd213ps %xmm0, %xmm1, %xmm2' 'vaddps %zmm0, %zmm1, %zmm2'; do
    try baseline 'newer instruction' "$instruction"
    try generic 'newer instruction' "$instruction"
  done
  try baseline '' 'addss %xmm0, %xmm1\nshl %cl, %eax\nrep bsf %eax, %ebx\ncall fmaf'
  try avx2 'AVX-512' 'vaddps %zmm0, %zmm1, %zmm2'
  try avx512 'mathematics library' 'call expf'
  try avx512 'mathematics library' 'call __exp_finite'
  try avx512 '' 'call fmaf\ncall sqrt\ncall memset\ncall fl_log_avx512\nvfmadd213ps %zmm0, %zmm1, %zmm2\nvsqrtps %zmm0, %zmm1'
  try_kernels zmm 'fl_far_x fl_gone_x fl_copy_x' \
    '.globl fl_copy_x\nfl_copy_x: vmovups (%rdi), %zmm0\nvmovups %zmm0, (%rsi)\nvaddps %ymm0, %ymm1, %ymm2\nret' \
    '.globl fl_transpose_x\nfl_transpose_x: vshufps $1, %zmm0, %zmm1, %zmm2\nret' \
    '.globl fl_here_x\nfl_here_x: vaddps %zmm0, %zmm1, %zmm2\nret\n.globl fl_near_x\nfl_near_x: call helper\nret' \
    '.globl fl_far_x\nfl_far_x: call other\nret\nhelper: vaddps %zmm0, %zmm1, %zmm2\nret\nother: vaddps %ymm0, %ymm1, %ymm2\nret'
else
  for instruction in 'frecpe v0.4s, v1.4s' 'frsqrte s0, s1' 'fmin v0.4s, v1.4s, v2.4s' \
    'fmaxnm s0, s1, s2' 'faddp v0.4s, v1.4s, v2.4s'; do
    try neon 'banned instruction' "$instruction"
  done
  try neon '' 'fmla v0.4s, v1.4s, v2.4s'
  try neon 'mathematics library' 'bl expf'
  try_kernels neon 'fl_far_x fl_gone_x fl_copy_x' \
    '.globl fl_copy_x\nfl_copy_x: mov v0.16b, v1.16b\nfadd s0, s1, s2\nret' \
    '.globl fl_transpose_x\nfl_transpose_x: zip1 v0.4s, v1.4s, v2.4s\nret' \
    '.globl fl_here_x\nfl_here_x: fadd v0.4s, v1.4s, v2.4s\nret\n.globl fl_near_x\nfl_near_x: bl helper\nret' \
    '.globl fl_far_x\nfl_far_x: bl other\nret\nhelper: fadd v0.4s, v1.4s, v2.4s\nret\nother: fadd s0, s1, s2\nret'
fi
echo "self-test: $tries assembled texts"

# ---- the build ----------------------------------------------------------------------------------------------------------
if [ "$machine" = x86_64 ]; then
  check_folder fl_isa_scalar baseline
  check_folder fl_isa_scalar_fma scalar_fma
  check_folder fl_isa_avx2 avx2
  check_folder fl_isa_avx512 avx512
  check_folder fl_generic generic
else
  check_folder fl_isa_scalar scalar
  check_folder fl_isa_neon neon
  check_folder fl_generic other
fi
echo "$failures complaints"
[ "$failures" = 0 ]
