#!/usr/bin/env bash
# One model on several threads: mini GPT, LeNet-5, an LSTM and a residual network, central and one client a round, have one hash
# with any number of threads; the record says how many; two clients on five threads have two each; the thread-seconds add up; an
# account of kernels changes nothing. usage: team.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
fail() { echo "team.sh: FAILED: $*" >&2; [ ! -e "$scratch/err.txt" ] || cat "$scratch/err.txt" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
bash "$source/tests/e2e/make_data.sh" data 200 60 1
awk 'BEGIN {
  for (x = i = 1; i <= 1500; i++) { x = (x * 1103 + 12345) % 65536; printf "%c", 97 + (x % 7 < 5 ? i % 9 : x % 11) } }' \
  > text.txt
idx='{format: idx, train: data/train-images-idx3-ubyte, test: data/t10k-images-idx3-ubyte}'
text='{format: text, train: text.txt, length: 9, stride: 7, test_part: 0.1}'
lstm='{layers: [embedding: {tokens: 11, out: 8}, lstm: {hidden: 48}, linear]}'
sed -n '/^model:/,/^federated/p' "$source/tests/golden/team.yaml" | sed '1d;$d' > residual.yaml
many='federated: {clients: 3, participation: 0.34, rounds: 2, local_steps: 2, batch_size: 30}'
all='training: {epochs: 1, batch_size: 50}'

config() { # NAME DATA MODEL TRAINING ALGORITHM
  printf 'seeds: [1]\ndata: %s\nmodel: %s\n%s\nalgorithms: [%s]\n' "$2" "$3" "$4" "$5" > "$1.yaml"
  case $4 in federated*) echo 'partition: {name: iid}' >> "$1.yaml" ;; esac
}
config gpt "$text" mini_gpt "$all" '{rule: adamw, lr: 1e-3}'
config lstm "$text" "$lstm" "$all" '{rule: sgd, lr: 0.1}'
config gpt_client "$text" mini_gpt "$many" '{name: fedadamw, lr: 1e-3}'
config lenet "$idx" lenet5 "$all" '{rule: adamw, lr: 1e-3}'
config residual_client "$idx" residual.yaml "$many" '{name: fedavg, lr: 0.05}'

hashes() { grep -h '"hash"\|"trajectory_hash"' "$1"/*/summary.json; }
for name in gpt lstm gpt_client lenet residual_client; do
  for threads in 1 2 3 5; do
    rm -rf "out$threads"
    "$fedlane" run $name.yaml --threads $threads --out "out$threads" > out.txt 2> err.txt || fail "$name, $threads threads"
    diff <(hashes out1) <(hashes "out$threads") || fail "$name, $threads threads: other bits"
    grep -q "\"threads_per_client\": $threads" "out$threads"/*/run.json || fail "$name: not $threads threads a client"
  done
done

# Two of three clients on five threads: two teams of two, one thread waits.
sed -i 's/participation: 0.34/participation: 0.67/' residual_client.yaml
for threads in 1 5; do
  rm -rf "out$threads"
  "$fedlane" run residual_client.yaml --threads $threads --out "out$threads" > out.txt 2> err.txt || fail "two clients"
done
diff <(hashes out1) <(hashes out5) || fail "two clients on five threads: other bits"
grep -q '"threads_per_client": 2' out5/*/run.json || fail "two clients on five threads: no teams of two"
grep -q '5 threads\|2 threads for each client' err.txt || fail "the teams are not told"
python3 - << 'END' || fail "the thread-seconds"
import glob, json
for path in glob.glob("out5/*/rounds.jsonl"):
    for line in open(path):
        r = json.loads(line)
        wall = r["seconds"] + r["seconds_evaluation"]
        assert abs(sum(r["thread_seconds"].values()) - 5 * wall) <= 1e-6 + 1e-3 * wall, r
        assert min(r["thread_seconds"].values()) >= 0, r
END

"$fedlane" profile residual_client.yaml --threads 5 --rounds 1 --out accounts > out.txt 2> err.txt || fail "profile"
echo "one client on 1, 2, 3 and 5 threads: one hash"
