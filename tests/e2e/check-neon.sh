#!/bin/bash
# NEON on any machine: cross build; under qemu every kernel against the scalar form and against tests/golden/kernels.txt, and
# every run of tests/golden/runs.txt, which the library replays from the folders that the program leaves (the program needs
# libraries that a cross compiler does not bring); then whole runs of the installed example, which must print what the native
# build prints. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
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
  cmake --build "$cross" --target fedlane-check fedlane-replay fedlane-partitions \
    fedlane-example -j 2 >>"$scratch/build.log" 2>&1 || {
  tail -40 "$scratch/build.log"
  exit 1
}
MACHINE=aarch64 TOOLS=aarch64-linux-gnu- bash "$source/tests/e2e/objects.sh" "$cross/fedlane" "$source" "$scratch/objects"
emulate="qemu-aarch64 -L /usr/aarch64-linux-gnu"
$emulate "$cross/fedlane-check" --isa neon
$emulate "$cross/fedlane-check" --isa neon --golden "$source/tests/golden/kernels.txt"

for run in "$build/tests/fedlane-partitions" "$emulate $cross/fedlane-partitions"; do
  $run >"$scratch/partitions.txt"
  diff "$source/tests/golden/partitions.txt" "$scratch/partitions.txt" ||
    { echo "check-neon: $run: other partitions"; exit 1; }
done

# The program's own runs, natively; their folders are what is replayed, in the order of runs.txt.
golden=$source/tests/golden/runs.txt
bash "$source/tests/golden/runs.sh" "$program" "$source" "$scratch/runs" --print >"$scratch/program.txt"
main=$scratch/runs/main
rm -rf "$scratch/plans"
mkdir "$scratch/plans"
plans=()
while read -r name _; do
  plan=$scratch/plans/${name//\//-}
  python3 "$source/tests/golden/replay.py" "$name" "$main/out-${name%%/*}/${name#*/}" "$main" >"$plan"
  plans+=("$plan")
done <"$scratch/program.txt"
same() { # WHAT FILE
  diff "$golden" "$2" || { echo "check-neon: $1: bits differ from tests/golden/runs.txt"; exit 1; }
}
same "program, native" "$scratch/program.txt"
"$build/tests/fedlane-replay" 2 "${plans[@]}" >"$scratch/native.txt"
same "library, native" "$scratch/native.txt"
$emulate "$cross/fedlane-replay" 2 "${plans[@]}" >"$scratch/neon.txt"
same "library, NEON, 2 threads" "$scratch/neon.txt"
# Emulated arithmetic is slow: the other numbers of threads only for one of the small models.
golden=$scratch/logistic.txt
grep '^logistic/' "$source/tests/golden/runs.txt" >"$golden"
for threads in 1 3; do
  $emulate "$cross/fedlane-replay" $threads "$scratch"/plans/logistic-* >"$scratch/neon.txt"
  same "library, NEON, $threads threads" "$scratch/neon.txt"
done

headers=$build/include
${CC:-cc} -std=c17 -O1 -ffp-contract=off -I"$headers" "$source/docs/examples/objective/main.c" -o "$scratch/native" \
  "$build/libfedlane.a" -fopenmp -lpthread -lm $([ -e /usr/include/numa.h ] && echo -lnuma)
for method in "fedavg 0.05" "scaffold 0.05" "local_adamw 0.01" "fedadamw 0.01" "local_muon 0.02" "fedmuon 0.02"; do
  "$scratch/native" $method 2 >"$scratch/native.out"
  $emulate "$cross/fedlane-example" $method 2 >"$scratch/neon.out"
  cmp "$scratch/native.out" "$scratch/neon.out" || { echo "check-neon: $method: bits differ from the native run"; exit 1; }
done
echo "neon: all kernels; ${#plans[@]} golden runs with 2 threads, $(wc -l <"$golden") with 1 and 3; six runs of the example"
