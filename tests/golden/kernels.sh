#!/bin/sh
# Every kernel of every ISA that runs here gives the hashes of kernels.txt (NEON on another machine: e2e/check-neon.sh). Called
# by ctest: PROGRAM SOURCE_DIR WORK_DIR; fedlane-check lies in the tests folder beside PROGRAM.
set -u
check=$(dirname "$1")/tests/fedlane-check
golden=$2/tests/golden/kernels.txt
failed=0
case $(uname -m) in
  aarch64 | arm64) isas="scalar neon" ;;
  *) isas="scalar scalar+fma avx2 avx512" ;;
esac
for isa in $isas; do
  "$check" --isa "$isa" --golden "$golden"
  code=$?
  if [ $code -ne 0 ] && [ $code -ne 77 ]; then failed=1; fi
done
# --bench names elements, time, cycles and ratio; what they are depends on the machine.
rows=$("$check" --bench axpy gemm_nn softmax_xent | grep -cE '^(axpy|gemm_nn|softmax_xent) +[1-9][0-9]*( +[0-9]+\.[0-9]+){3}$')
if [ "$rows" != 3 ]; then
  echo "kernels.sh: --bench has $rows of three rows" >&2
  failed=1
fi
exit $failed
