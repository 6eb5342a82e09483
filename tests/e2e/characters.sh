#!/usr/bin/env bash
# Recurrent networks over text, and losses of a configuration: the same bits on every instruction set with 1 and 3 threads; what
# does not fit is refused with its place. usage: characters.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 scratch=$3
fail() { echo "characters.sh: FAILED: $*" >&2; cat "$scratch/err.txt" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
awk 'BEGIN {
  for (x = i = 1; i <= 2000; i++) { x = (x * 1103 + 12345) % 65536; printf "%c", 97 + (x % 7 < 5 ? i % 9 : x % 11) } }' \
  > text.txt
cat > c.yaml << 'YAML'
seeds: [1]
data: {format: text, train: text.txt, length: 21, stride: 7, test_part: 0.1}
model: each.yaml
federated: {clients: 5, participation: 1, rounds: 2, local_epochs: 1, batch_size: 18}
algorithms: [{name: fedavg, lr: 0.5}, {name: fedadamw, lr: 0.01}]
YAML
cat > each.yaml << 'YAML'
layers:
  - embedding: {tokens: 11, out: 5}
  - lstm: {hidden: 19}
  - lstm: {hidden: 8, output: labels}
  - linear
  - cross_entropy: {smoothing: 0.1, weights: [1, 2, 1, 1, 1, 1, 0.5, 1, 1, 1, 3], ignore: 2}
YAML
cat > last.yaml << 'YAML'
layers:
  - embedding: {tokens: 11, out: 5}
  - gru: {hidden: 19}
  - gru: {hidden: 8, output: last}
  - linear
  - multi_margin
YAML
for model in each last; do
  predict=$([ $model = last ] && echo last || echo every)
  first=
  for isa in scalar avx2 avx512 neon; do
    "$fedlane" info --isa $isa > /dev/null 2>&1 || continue
    for threads in 1 3; do
      rm -rf out
      "$fedlane" run c.yaml --set model=$model.yaml,data.predict=$predict --isa $isa --threads $threads --out out \
        > out.txt 2> err.txt || fail "$model, $isa: exit code $?"
      got=$(cat out/*/summary.json | grep '"hash"\|"trajectory_hash"')
      [ "$(wc -l <<< "$got")" = 4 ] || fail "$model, $isa: two runs with two hashes each are wanted"
      [ "${first:=$got}" = "$got" ] || fail "$model, $isa, $threads threads: other bits"
    done
  done
done
refused() { # PATTERN SET
  local code=0
  "$fedlane" run c.yaml --set "$2" --out no > out.txt 2> err.txt || code=$?
  [ "$code" = 1 ] && grep -q -e "$1" err.txt || fail "--set $2: exit code $code, wanted '$1'"
}
refused 'last.yaml:5:5: model last, layer linear1: its output is a vector of 11; allowed: .* 21 labels' model=last.yaml
sed 's/0.5, //' each.yaml > short.yaml
refused 'short.yaml:6:5: model short, layer cross_entropy1: weights = 10 numbers; allowed: 11' model=short.yaml
refused 'model lenet5, layer conv1: it reads tokens, 21; allowed: an image' model=lenet5

# An algorithm is restricted to a network of a file by its name, and by the file, of which other runs may be, or none.
cp each.yaml again.yaml
sed 's/^model.*/model: [each.yaml, again.yaml]/
     s/^algorithms.*/algorithms: [{name: fedavg, model: each}, {name: fedadamw, model: [again.yaml, lenet5]}]/' c.yaml > both.yaml
runs() { "$fedlane" run both.yaml --dry-run "$@" 2> err.txt | sed -n 's/^ *"label": "\(.*\)",/\1/p' | tr '\n' ','; }
[ "$(runs)" = "fedavg model=each.yaml,fedadamw model=again.yaml," ] || fail "algorithms of two files: $(runs)"
[ "$(runs --set model=again.yaml,algorithms.fedavg.model=each.yaml)" = "fedadamw," ] || fail "algorithms of one file of two"
"$fedlane" run both.yaml --set federated.rounds=1,data.predict=every --out two > out.txt 2> err.txt ||
  fail "two files: exit code $?"
"$fedlane" report two --out two/report > out.txt 2> err.txt || fail "report: exit code $?"
grep -q '^"text, each",fedavg,1,' two/report/table.csv && grep -q '^"text, again",fedadamw,1,' two/report/table.csv ||
  fail "the table names methods otherwise: $(cat two/report/table.csv)"
mkdir "in another"
cp again.yaml "in another/again.yaml"
sed 's/^model.*/model: [each.yaml, in another\/again.yaml]/
     s/^algorithms.*/algorithms: [{rule: sgd, lr: [0.1, 0.2]}]/' c.yaml > swept.yaml
"$fedlane" run swept.yaml --set federated.rounds=1,data.predict=every --out swept > out.txt 2> err.txt ||
  fail "blanks: exit code $?"
"$fedlane" report swept --out swept/report > out.txt 2> err.txt || fail "report with blanks: exit code $?"
[ "$(sed -n 's/^"text, \([a-z]*\)",\([^,]*\),1,.*/\1 \2/p' swept/report/table.csv | sort | tr '\n' ',')" = \
  "again sgd lr=0.1,again sgd lr=0.2,each sgd lr=0.1,each sgd lr=0.2," ] ||
  fail "a file's name with a blank stays behind the methods': $(cat swept/report/table.csv)"
sed -i 's/model: each}/model: none.yaml}/' both.yaml
"$fedlane" run both.yaml --dry-run > out.txt 2> err.txt && fail "a file that is not there is taken"
grep -q "none.yaml: cannot open" err.txt || fail "a file that is not there is not named"
rm -rf "$scratch"
