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
want("onednn: operations", b["operations"], ["gemm_nn", "gemm_nt", "gemm_tn"])
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
