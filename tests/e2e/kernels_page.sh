#!/usr/bin/env bash
# docs/kernels.md is what scripts/kernels-page makes of the registry, this build and the committed results.
# usage: kernels_page.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
build=$(dirname "$1") source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
FEDLANE_BUILD=$build "$source/scripts/kernels-page" --print > "$scratch/kernels.md"
diff "$source/docs/kernels.md" "$scratch/kernels.md" > "$scratch/diff" || {
  head -20 "$scratch/diff" >&2
  echo "kernels_page.sh: FAILED: docs/kernels.md is not what scripts/kernels-page writes" >&2
  exit 1
}
