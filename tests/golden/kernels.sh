#!/bin/sh
# Every kernel gives the hashes of kernels.txt on one ISA, or on every ISA that runs here (NEON on another machine:
# e2e/check-neon.sh). usage: kernels.sh PROGRAM SOURCE_DIR WORK_DIR [ISA]; fedlane-check lies in the tests folder beside PROGRAM.
# Exit 77: the machine cannot run the ISA; without one, those that it cannot run are named.
set -u
check=$(dirname "$1")/tests/fedlane-check
golden=$2/tests/golden/kernels.txt

one() { # ISA
  "$check" --isa "$1" --golden "$golden" || return $?
  # --bench names elements, time, cycles and ratio; what they are depends on the machine.
  rows=$("$check" --isa "$1" --bench axpy gemm_nn softmax_xent |
    grep -cE '^(axpy|gemm_nn|softmax_xent) +[1-9][0-9]*( +[0-9]+\.[0-9]+){3}$')
  [ "$rows" = 3 ] || { echo "kernels.sh: --isa $1 --bench has $rows of three rows" >&2; return 1; }
}

if [ $# -ge 4 ]; then
  one "$4"
  exit $?
fi
case $(uname -m) in
  aarch64 | arm64) isas="scalar neon" ;;
  *) isas="scalar scalar+fma avx2 avx512" ;;
esac
failed=0
for isa in $isas; do
  one "$isa"
  case $? in
    0) ;;
    77) echo "kernels.sh: $isa was left out: this machine cannot run it" ;;
    *) failed=1 ;;
  esac
done
exit $failed
