#!/usr/bin/env bash
# The figure of FSGDM's filter: docs/figures/fsgdm-filter.csv is what fedlane-filter measures, on every ISA that runs here, and
# the kernel's gain is the formula's. usage: filter.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
filter=$(dirname "$1")/tests/fedlane-filter source=$2 scratch=$3
fail() { echo "filter.sh: FAILED: $*" >&2; exit 1; }
mkdir -p "$scratch"
for isa in scalar avx2 avx512 neon; do
  FEDLANE_MAX_CPU_ISA=$isa "$filter" > "$scratch/now.csv" 2> "$scratch/err" || { echo "not run: $isa"; continue; }
  diff "$source/docs/figures/fsgdm-filter.csv" "$scratch/now.csv" > "$scratch/out" || {
    head -5 "$scratch/out" >&2
    fail "$isa: docs/figures/fsgdm-filter.csv is not what fedlane-filter prints; scripts/filters makes it anew"
  }
  ran=yes
done
[ "${ran:-no}" = yes ] || fail "no ISA ran"
awk -F, 'NR > 1 { n++; e = $5/$4 - 1; if (e < 0) e = -e; if (e > worst) worst = e }
  END {
    printf "%d gains, kernel within %.1e of the formula\n", n, worst
    exit !(n == 390 && worst < 5e-6)
  }' "$source/docs/figures/fsgdm-filter.csv" ||
  fail "the kernel's gain is not the formula's"
rm -rf "$scratch"
