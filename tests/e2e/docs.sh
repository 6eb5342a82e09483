#!/bin/bash
# What the pages print is true. Blocks of code in docs/add-a-*.md are applied to a copy of the source tree, which is built and
# run; every whole configuration of README and docs resolves; docs/configuration.md is what the program writes (the commands of
# docs/results.md are recompute.sh's). The copy is built at -O1 and held to the golden hashes: an addition leaves them alone, and
# so does another level of optimisation. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
#
# After the language the line that opens a block says what to do with it (a reader does not see it):
#   file=PATH  a new file      append=PATH  at the end of it      into=PATH before=TEXT  before the first line that begins so
#   run        a script; fedlane and fedlane-check are found, files lie in one folder, and so do .yaml files
set -euo pipefail
program=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch/blocks" "$scratch/work"
fail() { echo "docs.sh: FAILED: $*" >&2; exit 1; }

# Blocks of one page as files: the first line holds page, line and what follows the language; indentation goes.
blocks() { # PAGE LANGUAGE-PATTERN
  awk -v page="$1" -v out="$scratch/blocks/" -v wanted="^($2)( |$)" -v start="$(find "$scratch/blocks" -type f | wc -l)" '
    !inside && /^ *```./ {
      indent = index($0, "`") - 1
      info = substr($0, indent + 4)
      inside = 1
      keep = info ~ wanted
      if (keep) { name = sprintf("%s%04d", out, start + ++n); print page ":" NR " " info > name }
      next
    }
    inside && /^ *```$/ { inside = 0; if (keep) close(name); next }
    inside && keep { print substr($0, indent + 1) > name }' "$source/$1"
}

tree=$scratch/tree
mkdir "$tree"
(cd "$source" && cp -r CMakeLists.txt cmake kernels models optimizers harness scripts tests docs "$tree")

for page in add-a-kernel add-a-method add-a-model add-a-data-set; do
  blocks "docs/$page.md" '[a-z]+ (file|into|append)=.*|[a-z]+ run'
done
ls "$scratch/blocks"/* > "$scratch/list" || fail "no page has a block"
while read -r block; do
  head=$(head -1 "$block")
  where=${head%% *} attribute=${head#* * }
  case $attribute in
    file=*.yaml) tail -n +2 "$block" > "$scratch/work/${attribute#file=}" ;;
    file=*)
      [ ! -e "$tree/${attribute#file=}" ] || fail "$where: ${attribute#file=} is there already"
      tail -n +2 "$block" > "$tree/${attribute#file=}" ;;
    append=*) tail -n +2 "$block" >> "$tree/${attribute#append=}" ;;
    into=*)
      path=${attribute#into=} anchor=${attribute#* before=}
      path=$tree/${path%% *}
      tail -n +2 "$block" > "$scratch/lines"
      anchor=$anchor awk 'BEGIN { anchor = ENVIRON["anchor"] }
        FNR == NR { lines = lines $0 "\n"; next }
        { s = $0; sub(/^ */, "", s) }
        !done && index(s, anchor) == 1 { printf "%s", lines; done = 1 }
        { print }
        END { exit !done }' "$scratch/lines" "$path" > "$scratch/edited" || fail "$where: no line of $path begins with '$anchor'"
      cp "$scratch/edited" "$path" ;;
  esac
done < "$scratch/list"

cmake -S "$tree" -B "$scratch/build" -DCMAKE_BUILD_TYPE=Release -DFEDLANE_OPT=-O1 -DFEDLANE_WERROR=ON \
  -DCMAKE_C_FLAGS="${DOCS_CFLAGS:-}" > "$scratch/build.log" 2>&1 &&
  cmake --build "$scratch/build" --target fedlane fedlane-check -j 2 >> "$scratch/build.log" 2>&1 || {
  grep -E 'error|warning' "$scratch/build.log" | head -20 >&2
  fail "the copy with what the pages print does not build; log: $scratch/build.log"
}
${CXX:-c++} -std=c++17 -fsyntax-only -D_GNU_SOURCE -I"$tree" -I"$scratch/build/include" "$tree/tests/unit/test_optimizers.cpp" ||
  fail "tests/unit/test_optimizers.cpp with the page's line does not compile"

PATH=$scratch/build:$scratch/build/tests:$PATH
cd "$scratch/work"
while read -r block; do
  head=$(head -1 "$block")
  case $head in
    *" sh run") tail -n +2 "$block" > script && sh -eu script > out 2>&1 || { cat out >&2; fail "${head%% *}"; } ;;
    *" python run") tail -n +2 "$block" > script && /usr/bin/python3 script > out 2>&1 || { cat out >&2; fail "${head%% *}"; } ;;
  esac
done < "$scratch/list"

# The equality that add-a-method.md states, and golden hashes that an addition leaves alone.
hash() { sed -n 's/^ *"hash": "\(.*\)".*/\1/p' "tried/$1/summary.json"; }
ls tried > out
[ "$(hash my_fedprox-s1)" = "$(hash fedavg-s1)" ] || fail "my_fedprox with my_mu 0 is not fedavg: $(cat out)"
[ "$(hash "my_fedprox__2-s1")" != "$(hash fedavg-s1)" ] || fail "my_mu has no effect"
fedlane-check --isa scalar --hash > "$tree/tests/golden/kernels.txt"
grep -v '^my_abs ' "$tree/tests/golden/kernels.txt" | cmp - "$source/tests/golden/kernels.txt" ||
  fail "one more kernel, or gcc at -O1, changed the hash of another"
bash "$tree/tests/golden/kernels.sh" "$scratch/build/fedlane" "$tree" "$scratch/kernels" || fail "an ISA has other hashes"
GOLDEN_THREADS=3 bash "$tree/tests/golden/runs.sh" "$scratch/build/fedlane" "$source" "$scratch/runs" ||
  fail "the runs' hashes"
fedlane list datasets | grep -q '^my_set ' || fail "my_set is not listed"

# Whole configurations anywhere; files with the names of docs/networks.md: a play of 254 speakers, sentences, images (10,000
# rows a file, as those published have, which lie nowhere on the disk).
rm "$scratch/blocks"/*
awk 'BEGIN {
  for (i = 1; i <= 254; i++) { printf "SPEAKER %d:\n", i; for (k = 0; k < 80; k++) printf "good words "; print "\n" }
}' > shakespeare.txt
for part in train dev; do printf 'sentence\tlabel\nmostly good\t1\nrather bad\t0\n' > sst2-$part.tsv; done
mkdir cifar-10-batches-bin
for batch in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
  truncate -s 30730000 cifar-10-batches-bin/$batch.bin
done
for page in README.md $(cd "$source" && ls docs/*.md); do blocks "$page" yaml; done
whole=0
for block in "$scratch/blocks"/*; do
  grep -q '^algorithms:' "$block" || continue
  tail -n +2 "$block" > whole.yaml
  command=run
  grep -q '^tune:' whole.yaml && command=tune
  fedlane $command whole.yaml --dry-run > out 2>&1 || { cat out >&2; fail "$(head -1 "$block"): the configuration is refused"; }
  whole=$((whole + 1))
done
[ "$whole" -ge 12 ] || fail "only $whole whole configurations found"

"$program" list --markdown | diff - "$source/docs/configuration.md" > "$scratch/out" || {
  head -20 "$scratch/out" >&2
  fail "docs/configuration.md is not what 'fedlane list --markdown' writes"
}
rm -rf "$scratch"
