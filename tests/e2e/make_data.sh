#!/usr/bin/env bash
# Makes a small IDX data set with no other program than awk: N_TRAIN and N_TEST images of 28x28 in 10 classes, each class a
# bright block at its own place over noise, so that a model learns it in a few rounds. The same arguments give the same bytes.
# usage: make_data.sh OUT_DIR N_TRAIN N_TEST SEED
set -euo pipefail
if [ $# -ne 4 ]; then
  echo "usage: make_data.sh OUT_DIR N_TRAIN N_TEST SEED" >&2
  exit 2
fi
mkdir -p "$1"

# Bytes are made by the shell's printf: awks differ in what they write for a byte 0 or above 127.
bytes() {
  local line
  while IFS= read -r line; do printf '%b' "$line"; done
}

# Awk's own rand() differs between awks; this generator's products stay below 2^53.
idx() { # IMAGES|LABELS N SEED
  LC_ALL=C awk -v what="$1" -v n="$2" -v seed="$3" '
    function draw(below) { state = (state * 16807) % 2147483647; return int(state / 64) % below }
    function number(v,   i, s) { s = ""; for (i = 16777216; i >= 1; i /= 256) s = s octal[int(v / i) % 256]; return s }
    BEGIN {
      for (i = 0; i < 256; i++) octal[i] = sprintf("\\0%03o", i)
      state = seed * 7919 % 2147483646 + 1
      for (i = 0; i < 20; i++) draw(2)
      if (what == "labels") {
        printf "%s%s\n", number(2049), number(n)
        for (i = 0; i < n; i++) printf "%s%s", octal[i % 10], i % 64 == 63 || i == n - 1 ? "\n" : ""
        exit
      }
      printf "%s%s%s%s\n", number(2051), number(n), number(28), number(28)
      for (i = 0; i < n; i++) {
        top = 2 + 13 * int(i % 10 / 5); left = 1 + i % 5 * 5
        for (y = 0; y < 28; y++)
          for (x = 0; x < 28; x++) {
            v = draw(96)
            if (y >= top && y < top + 9 && x >= left && x < left + 6) v += draw(160)
            printf "%s", octal[v]
          }
        printf "\n"
      }
    }'
}

idx images "$2" "$4" | bytes > "$1/train-images-idx3-ubyte"
idx labels "$2" "$4" | bytes > "$1/train-labels-idx1-ubyte"
idx images "$3" "$(($4 + 1000))" | bytes > "$1/t10k-images-idx3-ubyte"
idx labels "$3" "$(($4 + 1000))" | bytes > "$1/t10k-labels-idx1-ubyte"
