#!/bin/bash
# Every kernel of every ISA that runs here gives the hashes of kernels.txt. Called by ctest: PROGRAM SOURCE_DIR WORK_DIR;
# fedlane-check lies in the tests folder beside PROGRAM.
set -u
check=$(dirname "$1")/tests/fedlane-check
golden=$2/tests/golden/kernels.txt
failed=0
for isa in scalar scalar+fma avx2 avx512 neon; do
  "$check" --isa "$isa" --golden "$golden"
  code=$?
  if [ $code -ne 0 ] && [ $code -ne 77 ]; then failed=1; fi
done
exit $failed
