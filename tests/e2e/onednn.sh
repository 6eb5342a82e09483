#!/usr/bin/env bash
# The backend onednn: a run that uses it says so, learns what the native one learns, and keeps to its threads; a run that does not
# never loads the library; without a plug-in, or with one that does not fit, the message says what to do.
# usage: onednn.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
bash "$source/tests/e2e/make_data.sh" "$scratch/data" 600 200 1
cd "$scratch"
cat > config.yaml <<'YAML'
data: {format: idx, train: data/train, test: data/t10k}
model: mlp
federated: {clients: 6, participation: 1, rounds: 4, batch_size: 32}
algorithms: [{name: fedavg, lr: 0.1}]
YAML
failed() { echo "onednn.sh: FAILED: $*" >&2; exit 1; }
refused() { # WHAT TEXT COMMAND...
  local what=$1 text=$2 code=0
  shift 2
  "$@" > out.txt 2> err.txt || code=$?
  [ $code = 2 ] || { cat err.txt >&2; failed "$what: exit code $code, expected 2"; }
  grep -qF -- "$text" err.txt || { cat err.txt >&2; failed "$what: no '$text'"; }
}
refused "a backend that there is not" "backend = 'mkl'; allowed: native|onednn" "$fedlane" run config.yaml --backend mkl

# A program that finds no plug-in beside it, or a wrong one.
mkdir -p alone/bin
cp "$fedlane" alone/bin/
refused "no plug-in" "scripts/setup --onednn" alone/bin/fedlane run config.yaml --backend onednn --out none
[ ! -e none ] || failed "a refused run left a folder"
alone/bin/fedlane info | grep -q '^onednn .*not in this build' || failed "info does not say that oneDNN is missing"
echo "no library" > alone/bin/fedlane-onednn.so
refused "a plug-in that is none" "cannot be loaded" alone/bin/fedlane run config.yaml --backend onednn
cat > old.c <<'C'
typedef struct { const char *registry; } plugin;
extern const plugin fl_onednn_plugin;
const plugin fl_onednn_plugin = { "void old();" };
C
"${CC:-cc}" -shared -fPIC old.c -o alone/bin/fedlane-onednn.so
refused "a plug-in of another build" "belongs to another build" alone/bin/fedlane run config.yaml --set backend=onednn

"$fedlane" run config.yaml --out native --threads 2 2> err.txt > out.txt || { cat err.txt >&2; failed "the native run"; }
if [ ! -e "$(dirname "$fedlane")/fedlane-onednn.so" ]; then
  echo "onednn: $("$fedlane" info | sed -n 's/^onednn *//p')"
  exit 77
fi
# The default run neither links nor opens it; LD_DEBUG writes every library that is looked for.
! ldd "$fedlane" | grep -q dnnl || failed "the program is linked to oneDNN"
LD_DEBUG=libs "$fedlane" run config.yaml --out quiet > out.txt 2> libraries.txt
grep -q 'calling init' libraries.txt || failed "the loader's log is empty"
! grep -qi dnnl libraries.txt || failed "a native run looked for oneDNN"
LD_DEBUG=libs "$fedlane" run config.yaml --backend onednn --out loud > out.txt 2> libraries.txt
grep -qi 'libdnnl' libraries.txt || failed "the loader's log does not name libdnnl in a run that uses it"

# One thread was asked for, so there is one, however many cores oneDNN sees; and two with two. Counted from the first round on:
# files are read by threads of their own.
threads_of() { # THREADS
  local most=0 now pid
  "$fedlane" run config.yaml --backend onednn --threads "$1" --set federated.rounds=150 --out "t$1" > out.txt 2> err.txt &
  pid=$!
  while kill -0 $pid 2> /dev/null; do
    if compgen -G "t$1/*/rounds.jsonl" > /dev/null; then
      now=$(ls "/proc/$pid/task" 2> /dev/null | wc -l)
      [ "$now" -le "$most" ] || most=$now
    fi
    sleep 0.02
  done
  wait $pid || { cat err.txt >&2; failed "a run with $1 threads"; }
  echo "$most"
}
for threads in 1 2; do
  most=$(threads_of $threads)
  [ "$most" -ge 1 ] || failed "$threads threads: the run was over before any was counted"
  [ "$most" -le $threads ] || failed "$threads threads were allowed, $most ran"
done

python3 - native loud <<'PY'
import glob, json, sys
native, loud = ({n: json.load(open(glob.glob(d + "/*/%s.json" % n)[0])) for n in ("run", "summary")} for d in sys.argv[1:])
def want(what, got, expected):
    if got != expected:
        sys.exit("onednn.sh: FAILED: %s is %r, expected %r" % (what, got, expected))
want("native: backend", native["run"]["backend"], {"name": "native"})
want("native: reproducible", native["run"]["reproducible"], True)
b = loud["run"]["backend"]
want("onednn: name", b["name"], "onednn")
want("onednn: operations", b["operations"], [
    "gemm_nn", "gemm_nt", "gemm_tn", "gemm_nn_add", "gemm_tn_add", "conv_forward", "conv_grad_weight", "conv_grad_input",
    "conv_pool", "conv_pool_back", "maxpool2", "maxpool2_back", "max_pool", "max_pool_back", "avg_pool", "avg_pool_back",
    "layer_norm", "layer_norm_back", "batch_norm"])
want("onednn: calls of native kernels", loud["summary"]["native_calls"], {})
want("native: calls of native kernels", native["summary"].get("native_calls"), None)
want("onednn: version", int(b["version"].split(".")[0]) >= 3, True)
want("onednn: configuration", loud["run"]["config"]["backend"], "onednn")
for f in "run", "summary":
    want("onednn: %s: reproducible" % f, loud[f]["reproducible"], False)
want("onednn: reasons", [r for r in loud["run"]["reasons"] if "oneDNN" in r and "gemm_nt" in r], loud["run"]["reasons"])
want("one run_id for two backends", native["run"]["run_id"] != loud["run"]["run_id"], True)
a, c = native["summary"], loud["summary"]
# Four rounds of other rounding: the losses agree to five digits; and equal hashes would mean that oneDNN was not used.
want("losses close", abs(a["final_loss"] - c["final_loss"]) < 1e-4 * a["final_loss"], True)
want("accuracies close", abs(a["accuracy"] - c["accuracy"]) <= 0.01, True)
want("oneDNN used", a["hash"] != c["hash"], True)
PY
# Networks of all layers that oneDNN takes, by one thread, by clients on two, and centrally by a team of two: after a step of each
# client they are what the native kernels make of them to five digits, though with other bits, and they learn as much (a maximum
# or a ReLU that falls to the other side moves a gradient by more than rounding). No call goes back to those kernels.
cat > images.yaml <<'YAML'
layers:
  - conv: {out: 8, kernel: 5, pad: 2}
  - relu
  - max_pool
  - conv: {out: 16, kernel: 3, stride: 2, groups: 4, bias: no}
  - batch_norm
  - relu
  - max_pool
  - max_pool: {kernel: 3, stride: 1, pad: 1}
  - conv: {out: 16, kernel: 3, pad: 1}
  - avg_pool: {kernel: 2, stride: 1}
  - group_norm: {groups: 2}
  - relu
  - linear: {out: 32}
  - layer_norm
  - gelu
  - linear
YAML
cat > letters.yaml <<'YAML'
layers:
  - embedding: {tokens: 11, out: 5}
  - lstm: {hidden: 19}
  - lstm: {hidden: 8}
  - linear
YAML
awk 'BEGIN {
  for (x = i = 1; i <= 2000; i++) { x = (x * 1103 + 12345) % 65536; printf "%c", 97 + (x % 7 < 5 ? i % 9 : x % 11) } }' \
  > text.txt
sed 's/model: mlp/model: images.yaml/; s/rounds: 4/rounds: 3/; s/lr: 0.1/lr: 0.05/' config.yaml > images_run.yaml
cat > letters_run.yaml <<'YAML'
data: {format: text, train: text.txt, length: 21, stride: 7, test_part: 0.1, predict: every}
model: letters.yaml
federated: {clients: 5, participation: 1, rounds: 3, batch_size: 18}
algorithms: [{name: fedavg, lr: 0.5}]
YAML
for f in images letters; do
  sed '/^federated/d; s/^algorithms.*/training: {epochs: 2, batch_size: 50}\nalgorithms: [{rule: sgd, lr: 0.05}]/' ${f}_run.yaml \
    > ${f}_central.yaml
  sed 's/rounds: 3/rounds: 1, local_steps: 1/' ${f}_run.yaml > ${f}_step.yaml
  for run in step.1 step.2 run.1 run.2 central.1 central.2; do
    for backend in native onednn; do
      "$fedlane" run ${f}_${run%.*}.yaml --threads ${run#*.} --backend $backend --out nets/$f.$run.$backend \
        > out.txt 2> err.txt || { cat err.txt >&2; failed "$f, $run, $backend"; }
    done
  done
done
"$fedlane" run images_run.yaml --backend onednn --set algorithms.fedavg.lr=1e6 --out nets/diverges > out.txt 2> err.txt ||
  { cat err.txt >&2; failed "a run that diverges"; }
python3 - <<'PY'
import glob, json, sys
def summary(name):
    return json.load(open(glob.glob("nets/%s/*/summary.json" % name)[0]))
def want(what, good):
    if not good:
        sys.exit("onednn.sh: FAILED: " + what)
for net in "images", "letters":
    for run in "step.1", "step.2", "run.1", "run.2", "central.1", "central.2":
        a, b = (summary("%s.%s.%s" % (net, run, backend)) for backend in ("native", "onednn"))
        what = "%s, %s: loss %r, native %r, accuracy %r, %r; native calls %r" % (
            net, run, b["final_loss"], a["final_loss"], b["accuracy"], a["accuracy"], b["native_calls"])
        print(what)
        limit = 1e-5 if run[:4] == "step" else 0.01
        want(what, abs(a["final_loss"] - b["final_loss"]) < limit * a["final_loss"])
        want(what, abs(a["accuracy"] - b["accuracy"]) <= 0.03)
        want(what, a["hash"] != b["hash"] and b["native_calls"] == {})
diverged = summary("diverges")
want("not seen to diverge: %r" % diverged["status"], diverged["status"] == "diverged")
# oneDNN's pooling would lose the NaN.
want("native calls of a run with NaN: %r" % diverged["native_calls"], diverged["native_calls"].get("conv_pool", 0) > 0)
PY
# The programs that time oneDNN beside ours can still be built.
library=$("$fedlane" info | sed -n 's/^onednn *[^,]*, \([^;]*\);.*/\1/p')
root=$(dirname "$(dirname "$library")")
if [ -e "$root/include/dnnl.h" ]; then
  mkdir rivals
  FEDLANE_BUILD=$(dirname "$fedlane") FEDLANE_ONEDNN_ROOT=$root "$source/scripts/rivals" make "$PWD/rivals"
  for program in products convolutions layers; do
    [ -x rivals/rival_$program ] || failed "scripts/rivals make: no rival_$program"
  done
fi
# A checkpoint of one backend is not continued by the other; both may stand in one suite.
refused_code=0
"$fedlane" run config.yaml --resume loud --set federated.rounds=5 > out.txt 2> err.txt || refused_code=$?
[ $refused_code != 0 ] && grep -q 'backend' err.txt || {
  cat err.txt >&2
  failed "a run of the backend onednn was continued by the native one"
}
"$fedlane" run config.yaml --set "backend=[native,onednn]" --out both > out.txt 2> err.txt
[ "$(ls both | grep -c 'backend=')" = 2 ] || failed "a sweep over backends made $(ls both)"
rm -rf "$scratch"
