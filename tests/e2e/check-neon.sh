#!/bin/bash
# NEON on any machine: cross build, every kernel's check under qemu, and whole runs of all six methods (the example) that
# must print what the native build prints. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
program=$1 source=$2 scratch=$3
build=$(dirname "$program")
if [ "$(uname -m)" = aarch64 ]; then
  echo "this machine has NEON: its build checks it"
  exit 77
fi
for tool in aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-aarch64; do
  command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
mkdir -p "$scratch"
cross=$scratch/build
cmake -S "$source" -B "$cross" -DCMAKE_TOOLCHAIN_FILE="$source/scripts/aarch64.cmake" -DCMAKE_BUILD_TYPE=Release \
  -DFEDLANE_KERNELS_ONLY=ON -DFEDLANE_WERROR=ON >"$scratch/build.log" 2>&1 &&
  cmake --build "$cross" --target fedlane-check fedlane-example -j 2 >>"$scratch/build.log" 2>&1 || {
  tail -40 "$scratch/build.log"
  exit 1
}
emulate="qemu-aarch64 -L /usr/aarch64-linux-gnu"
$emulate "$cross/fedlane-check" --isa neon

headers=$build/include
${CC:-cc} -std=c17 -O1 -ffp-contract=off -I"$headers" "$source/docs/examples/objective/main.c" -o "$scratch/native" \
  "$build/libfedlane.a" -fopenmp -lpthread -lm $([ -e /usr/include/numa.h ] && echo -lnuma)
for method in "fedavg 0.05" "scaffold 0.05" "local_adamw 0.01" "fedadamw 0.01" "local_muon 0.02" "fedmuon 0.02"; do
  "$scratch/native" $method 2 >"$scratch/native.out"
  $emulate "$cross/fedlane-example" $method 2 >"$scratch/neon.out"
  cmp "$scratch/native.out" "$scratch/neon.out" || { echo "check-neon: $method: bits differ from the native run"; exit 1; }
done
echo "neon: all kernels, and six whole runs equal to the native ones"
