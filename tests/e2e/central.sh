#!/usr/bin/env bash
# Central training from end to end: one hash on every ISA and number of threads; killed (kill -9) and resumed, the same; what it
# records of rounds, bytes and idle threads; what compare, report, --verify, --dry-run and --export-plan make of it.
# usage: central.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
set -m
fedlane=$1 source=$2 scratch=$3
fail() { echo "central.sh: FAILED: $*" >&2; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
bash "$source/tests/e2e/make_data.sh" data 600 100 1
cat > config.yaml <<'END'
data: {format: idx, train: data/train-images-idx3-ubyte, test: data/t10k-images-idx3-ubyte}
model: logistic
training: {epochs: 12, batch_size: 32, checkpoint_seconds: 0, target_accuracy: 0.5}
algorithms:
  - {rule: adamw, lr: 1e-3, lr_schedule: cosine, warmup: 10}
  - {stack: [sam, ema], rule: momentum, lr: 0.02, ema_decay: 0.95}
  - {stack: [swa], rule: sgd, lr: 0.05, swa_start: 3, unit: epoch}
END
run() { "$fedlane" run config.yaml "$@" > out.txt 2> err.txt || { cat err.txt >&2; fail "run $*"; }; }
hashes() { grep -h '"hash"\|"trajectory_hash"\|"status"' "$1"/*/summary.json; }

run --out reference --threads 1
[ "$(grep -c '"status": "done"' <<< "$(hashes reference)")" = 3 ] || fail "not three runs are done"
for isa in scalar avx2 avx512 neon; do
  "$fedlane" info --isa $isa > info.txt 2>&1 || continue
  for threads in 1 2 3; do
    [ "$isa $threads" != "scalar 1" ] || continue
    run --out "other" --threads $threads --isa $isa
    diff <(hashes reference) <(hashes other) || fail "$isa, $threads threads: other bits"
    rm -r other
  done
done
run --out two --threads 2
grep -q 'central training: 2 threads for its gradients and steps' err.txt || fail "the team is not told"
grep -q '"threads_per_client": 2' two/*/run.json || fail "the team is not recorded"

# Epochs are rounds; nothing is sent; the parts of all threads add up to threads x wall.
python3 - "$PWD" <<'END' || fail "the record"
import json, glob, sys
for path in glob.glob(sys.argv[1] + "/two/*/rounds.jsonl"):
    lines = [json.loads(line) for line in open(path)]
    assert [r["round"] for r in lines] == list(range(1, 13)), path
    twice = 2 if "sam" in path else 1
    for r in lines:
        assert r["cohort"] == 1 and r["total_bytes_up"] == r["total_bytes_down"] == 0 and r["bound"] == 1
        assert r["samples"] == 600 * r["round"] * twice and r["gradient_evaluations"] == 19 * r["round"] * twice
        wall, parts = r["seconds"] + r["seconds_evaluation"], r["thread_seconds"]
        assert abs(sum(parts.values()) - 2 * wall) <= 1e-6 + 1e-3 * wall, (path, parts, wall)
        assert min(parts.values()) >= 0, parts
    config = json.load(open(path.replace("rounds.jsonl", "run.json")))["config"]
    assert "federated" not in config and "partition" not in config and config["training"]["epochs"] == 12
END

# Killed at twelve instants, a checkpoint behind each epoch, and resumed; a run that ends before its kill is compared, and
# another begun; later starts get more time, for a busy machine. A checkpoint
# that a kill left behind proves that something was resumed.
export LC_ALL=C
kills=0 left=0
for ((i = 1; i <= 120 && (kills < 12 || left < 1); i++)); do
  if [ -d killed ]; then set -- --resume killed; else set -- --out killed; fi
  "$fedlane" run config.yaml --threads 2 "$@" > out.txt 2> err.txt &
  pid=$!
  sleep "0.$(printf '%03d' $((10 + i * 7 % (61 + 3 * i))))"
  kill -9 $pid 2> /dev/null || true
  code=0
  { wait $pid || code=$?; } 2> /dev/null
  if [ $code = 137 ]; then
    kills=$((kills + 1))
    for checkpoint in killed/*/checkpoint.bin; do
      [ ! -e "$checkpoint" ] || [ -e "$(dirname "$checkpoint")/summary.json" ] || left=$((left + 1))
    done
  else
    [ $code = 0 ] || { cat err.txt >&2; fail "exit code $code"; }
    diff <(hashes reference) <(hashes killed) || fail "killed and resumed: other bits"
    rm -r killed
  fi
done
echo "$kills kills, $left of them behind a checkpoint"
[ $kills -ge 12 ] && [ $left -ge 1 ] || fail "in $i starts only $kills were killed, $left behind a checkpoint"
if [ -d killed ]; then run --resume killed; else run --out killed; fi
diff <(hashes reference) <(hashes killed) || fail "killed and resumed: other bits"

# What the length of a run makes impossible is refused before the first run of the suite begins.
for wrong in 'stack: [swa], swa_start: 13/swa_start = 13; allowed: 1 to 12' 'warmup: 228/warmup = 228; allowed: 0 to 227'; do
  sed '/^algorithms/,$d' config.yaml > late.yaml
  echo "algorithms: [{rule: sgd}, {rule: sgd, ${wrong%%/*}}]" >> late.yaml
  code=0
  "$fedlane" run late.yaml --out late > out.txt 2> err.txt || code=$?
  [ $code = 2 ] || fail "${wrong%%/*}: exit code $code, expected 2"
  grep -qF -- "late.yaml:$(wc -l < late.yaml):" err.txt && grep -qF -- "${wrong#*/}" err.txt ||
    { cat err.txt >&2; fail "${wrong%%/*}: another message"; }
  [ ! -e late ] || fail "${wrong%%/*}: refused after something had run"
done

# More epochs: allowed where no schedule depends on their number, refused by name where one does.
run --out short --set training.epochs=5,algorithms.lr_schedule=constant
run --resume short --set training.epochs=12,algorithms.lr_schedule=constant
run --out long --set algorithms.lr_schedule=constant
for hash in $(grep -h '"hash"' long/*/summary.json | tr -d ' ,'); do
  grep -h '"hash"' short/*/summary.json | tr -d ' ,' | grep -qF "$hash" || fail "5 epochs and 7 more are not 12"
done
run --out cosine --set training.epochs=5
if "$fedlane" run config.yaml --resume cosine > out.txt 2> err.txt; then fail "a cosine of 5 epochs went on as one of 12"; fi
grep -q 'cannot resume with training.epochs 12 instead of 5: the learning-rate schedule' err.txt || fail "$(cat err.txt)"

# A report says epochs, in tables, captions, figures and their names; of central and federated runs together it says both.
{ sed '/^training/,$d' config.yaml
  echo 'federated: {clients: 2, rounds: 1, batch_size: 32, target_accuracy: 0.1}'
  echo 'algorithms: [fedavg]'; } > federated.yaml
"$fedlane" run federated.yaml --out apart > out.txt 2>&1 || fail "$(cat out.txt)"
report() { # PAGE FOLDERS...
  "$fedlane" report "${@:2}" --out "page-$1" > out.txt 2>&1 || fail "$(cat out.txt)"
}
heads() { # FOLDER WORDS: what both tables and a caption say
  [ "$(head -1 "page-$1/table.csv" | cut -d , -f 6)" = "$2 to target" ] &&
    grep -qF "evaluated: $2, seconds" "page-$1/targets-caption.tex" &&
    [ "$(head -1 "page-$1/targets.csv" | cut -d , -f 5)" = "$2" ] || fail "$1: not $2: $(head -1 "page-$1"/ta*.csv)"
}
FEDLANE_PYTHON=$scratch/none report apart apart
FEDLANE_PYTHON=$scratch/none report together apart reference
heads apart rounds
heads together "rounds or epochs"
if /usr/bin/python3 -c 'import matplotlib' 2> /dev/null; then
  report reference reference
else
  FEDLANE_PYTHON=$scratch/none report reference reference
fi
heads reference epochs
if [ -s page-reference/report.html ]; then
  head -1 page-reference/loss-epochs-idx-logistic.csv | grep -qx 'method,seeds,epoch,mean,min,max' || fail "no figure of epochs"
  grep -qF 'against epoch: idx, logistic.' page-reference/accuracy-epochs-idx-logistic-caption.tex || fail "no such caption"
  python3 - <<'END' || fail "the page says rounds"
import re, sys
text = re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]*>", " ", open("page-reference/report.html").read())
said = [text[max(0, m.start() - 60):m.end() + 20] for m in re.finditer(r"(?i)\brounds?\b", text)]
print(said)
sys.exit(bool(said) or "epochs to target" not in text)
END
fi

"$fedlane" compare reference killed >compared.txt && grep -q 'same bits: yes' compared.txt && grep -q ' s/epoch ' compared.txt ||
  fail "compare"
run --verify
run --dry-run
grep -q '"bytes_up": 0' out.txt || fail "--dry-run"
run --export-plan plan --set training.epochs=6
python3 - <<'END' || fail "the plan"
import json, glob
for path in glob.glob("plan/*/plan.json"):
    for r in json.load(open(path))["rounds"]:
        assert r["cohort"] == [0] and len(r["lr"]) == len(r["batches"]["0"]) == 19
        assert sorted(sum(r["batches"]["0"], [])) == list(range(600))
END
echo "central: one hash on every ISA and thread count, after kills, and in every command"
