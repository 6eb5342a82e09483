#!/usr/bin/env bash
# The lists of every partitioner against partitions.txt, which scripts/golden --accept writes. On NEON: e2e/check-neon.sh.
# usage: partitions.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
"$(dirname "$1")/tests/fedlane-partitions" | diff "$2/tests/golden/partitions.txt" - ||
  { echo "partitions.sh: FAILED: other partitions than tests/golden/partitions.txt" >&2; exit 1; }
