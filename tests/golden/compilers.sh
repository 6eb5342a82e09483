#!/usr/bin/env bash
# The golden hashes are no compiler's: program and fedlane-check built by clang at -O2 (the preset) are held to kernels.txt and
# runs.txt as the build under test is; gcc's at -O1 are e2e/docs.sh's. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
source=$2 scratch=$3
command -v clang > /dev/null || { echo "clang is not installed"; exit 77; }
mkdir -p "$scratch"
cd "$source"   # where the presets are
build=$scratch/clang
cmake --preset clang -B "$build" -DFEDLANE_WERROR=ON > "$scratch/clang.log" 2>&1 &&
  cmake --build "$build" --target fedlane fedlane-check -j 2 >> "$scratch/clang.log" 2>&1 || {
  tail -40 "$scratch/clang.log"
  exit 1
}
"$build/fedlane" --version | head -1
bash "$source/tests/golden/kernels.sh" "$build/fedlane" "$source" "$scratch/kernels"
# A compiler may write additions as instructions that are banned; gcc's are looked at in the build under test.
bash "$source/tests/e2e/objects.sh" "$build/fedlane" "$source" "$scratch/objects"
# More threads than there are cores; other numbers are for the build under test.
GOLDEN_THREADS=3 bash "$source/tests/golden/runs.sh" "$build/fedlane" "$source" "$scratch/runs"
