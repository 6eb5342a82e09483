#!/bin/bash
# The installed package, as a user meets it: docs/examples built out of tree with CMake and with pkg-config, run
# with every federated method. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
program=$1 source=$2 scratch=$3
build=$(dirname "$program")
rm -rf "$scratch"
mkdir -p "$scratch"
prefix=$scratch/prefix
cmake --install "$build" --prefix "$prefix" >"$scratch/install.log"
example=$source/docs/examples/objective

cmake -S "$example" -B "$scratch/cmake" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" >"$scratch/cmake.log"
cmake --build "$scratch/cmake" >>"$scratch/cmake.log"

libdir=$(dirname "$(find "$prefix" -name fedlane.pc)")
export PKG_CONFIG_PATH=$libdir
cc=${CC:-cc}
$cc -std=c17 -O1 -ffp-contract=off $(pkg-config --cflags fedlane) "$example/main.c" -o "$scratch/shared" \
  $(pkg-config --libs fedlane) -Wl,-rpath,"$(pkg-config --variable=libdir fedlane)"
$cc -std=c17 -O1 -ffp-contract=off $(pkg-config --cflags fedlane) "$example/main.c" -o "$scratch/static" \
  "$(pkg-config --variable=libdir fedlane)/libfedlane.a" $(pkg-config --libs --static fedlane | sed 's/-lfedlane//')

# The program exits non-zero when the loss does not fall; threads and the way of linking must not change a bit.
for method in "fedavg 0.05" "scaffold 0.05" "local_adamw 0.01" "fedadamw 0.01" "local_muon 0.02" "fedmuon 0.02" \
  "rule:adamw 0.01"; do
  "$scratch/cmake/objective" $method 1 >"$scratch/one"
  "$scratch/cmake/objective" $method 2 >"$scratch/two"
  "$scratch/shared" $method 2 >"$scratch/three"
  FEDLANE_MAX_CPU_ISA=scalar "$scratch/static" $method 2 >"$scratch/four"
  for other in two three four; do
    cmp "$scratch/one" "$scratch/$other" || { echo "install: $method: bits differ between builds or threads ($other)"; exit 1; }
  done
  grep -c '^round\|^epoch' "$scratch/one" | grep -qx 20 || { echo "install: $method: not 20 rounds"; exit 1; }
done

# The kernels alone: what no method takes yet (distances, gamma draws, a team's product) is of use to a caller all the same.
cmake -S "$source/docs/examples/kernels" -B "$scratch/kernels" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" \
  >>"$scratch/cmake.log"
cmake --build "$scratch/kernels" >>"$scratch/cmake.log"
"$scratch/kernels/kernels" >"$scratch/one"
"$scratch/kernels/kernels" scalar >"$scratch/two"
cmp "$scratch/one" "$scratch/two" || { echo "install: the example of the kernels has other bits in scalar form"; exit 1; }
grep -q '^nearest to all: client [013467], farthest: client [25]$' "$scratch/one" &&
  grep -q '^members: 0x1p+0 0x1p+0 0x0p+0 0x1p+0 0x1p+0 0x0p+0 0x1p+0 0x1p+0$' "$scratch/one" || {
  echo "install: the example of the kernels prints: $(cat "$scratch/one")"
  exit 1
}

if "$scratch/cmake/objective" fedavgg 2>"$scratch/error"; then
  echo "install: an unknown algorithm was accepted"
  exit 1
fi
grep -q fedavg "$scratch/error" || { echo "install: no nearest name in: $(cat "$scratch/error")"; exit 1; }

version=$("$prefix/bin/fedlane" --version)
grep -q "$(pkg-config --modversion fedlane)" <<<"$version" || {
  echo "install: program and package differ in version: $version"
  exit 1
}
test -x "$prefix/share/fedlane/report" || { echo "install: share/fedlane/report is missing"; exit 1; }
