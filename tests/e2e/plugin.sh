#!/usr/bin/env bash
# A user's own rule and stage as a shared object: docs/examples/my_method, built against the installed package, trains LeNet-5 to
# the same bits with 1, 2 and 3 threads, on another instruction set, and over kill -9; it is listed, checked and recorded; another
# binary is refused by a resume and told by verify; a rule that depends on the thread is caught by --verify; what cannot be loaded
# is refused; a program registers a rule in memory; docs/examples/from_python.py drives the library.
# Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
set -m   # without job control, bash starts background jobs with SIGINT ignored
built=$1 source=$2 scratch=$3
fedlane=$scratch/prefix/bin/fedlane
. "$source/tests/e2e/try.bash"
cmake --install "$(dirname "$built")" --prefix "$scratch/prefix" > "$scratch/install.log"
cp -r "$source/docs/examples/my_method" "$scratch/example"
cmake -S "$scratch/example" -B "$scratch/example/build" -DCMAKE_PREFIX_PATH="$scratch/prefix" -DCMAKE_C_FLAGS=-Werror \
  > "$scratch/cmake.log" 2>&1 && cmake --build "$scratch/example/build" >> "$scratch/cmake.log" 2>&1 ||
  { cat "$scratch/cmake.log"; exit 1; }
mine=$scratch/example/build/my_method.so
sum=$(sha256sum "$mine" | cut -d' ' -f1)

# ---- listed, checked ---------------------------------------------------------------------------------------------------------
try 0 list optimizers --plugin "$mine"
grep -q '^my_ngd .*\[my_method.so\]$' "$scratch/out" && told "decay of the momentum"
try 0 list algorithms --plugin "$mine" --plugin "$mine"        # the same file twice is one
grep -q '^my_anchor .*\[my_method.so\]$' "$scratch/out" || fail "the stage is not listed"
grep -q '^my_fedanchor .*\[my_method.so\]$' "$scratch/out" || fail "the method is not listed"
try 0 info --plugin="$mine" --json
told "$sum"
try 0 run "$scratch/example/config.yaml" --dry-run             # as the page has it, the path relative to the configuration
told "$sum"

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 300 60 1
paths="data.train=$scratch/data/train,data.test=$scratch/data/t10k"
cat > "$scratch/config.yaml" << END
plugins: [example/build/my_method.so]
data: {format: idx, train: data/train, test: data/t10k}
partition: {name: dirichlet, dirichlet_alpha: 0.7, min_size: 1}
model: lenet5
federated: {clients: 12, participation: 0.5, rounds: 8, local_epochs: 1, batch_size: 20, eval_every: 4, checkpoint_seconds: 0}
algorithms:
  - {name: my_fedanchor}
  - {stack: [my_anchor, scaffold], rule: my_ngd, lr: 0.1, server_rule: my_ngd, server_lr: 0.5}
END
config=$scratch/config.yaml
try 2 run "$config" --set algorithms.my_fedanchor.my_memory=1
told "my_memory = '1'; allowed: a number from 0 to below 1"
try 2 run "$config" --set algorithms.my_fedanchor.my_pul=1
told "did you mean 'my_pull'?"

# ---- bits --------------------------------------------------------------------------------------------------------------------
hashes() { sed -n 's/^ *"\(hash\|trajectory_hash\)": "\(.*\)".*/\2/p' "$1"/*/summary.json; }
for run in "one --threads 1" "two --threads 2" "three --threads 3" "scalar --isa scalar"; do
  read -r name options <<< "$run"
  # shellcheck disable=SC2086
  try 0 run "$config" --out "$scratch/$name" $options
  [ "$(hashes "$scratch/$name")" = "$(hashes "$scratch/one")" ] || fail "other bits: $run"
done
[ "$(hashes "$scratch/one" | wc -l)" = 4 ] || fail "not two runs"
try 0 run "$config" --verify
told "same bits: yes"
grep -q "\"sha256\": \"$sum\"" "$scratch/one/my_fedanchor-s1/run.json" || fail "run.json does not name the plug-in"
try 0 compare "$scratch/one" "$scratch/three"

# Kill -9 as soon as a few more rounds are there, and resume, to the end.
dir=$scratch/killed killed=0 more=federated.rounds=80
try 0 run "$config" --set $more --out "$scratch/whole"
for want in 5 20 40; do
  "$fedlane" run "$config" --set $more $([ $want = 5 ] && echo --out || echo --resume) "$dir" > "$scratch/out" 2> "$scratch/err" &
  pid=$! code=0
  until [ "$(cat "$dir"/my_fedanchor-s1/rounds.jsonl 2> /dev/null | wc -l)" -ge $want ] || ! kill -0 $pid 2> /dev/null; do
    sleep 0.002
  done
  kill -9 $pid 2> /dev/null || true
  { wait $pid || code=$?; } 2> /dev/null
  [ $code != 137 ] || killed=$((killed + 1))
done
[ $killed -gt 0 ] || fail "no run was killed before its end"
try 0 run "$config" --set $more --resume "$dir" --threads 3
[ "$(hashes "$dir")" = "$(hashes "$scratch/whole")" ] || fail "other bits after kill -9 and resume"

# The command that continues names the plug-in of the command line.
"$fedlane" run "$scratch/example/config.yaml" --set "data.format=idx,$paths,federated.clients=12,federated.rounds=5000" \
  --set "data.name=small,plugins=[]" --plugin "$mine" --out "$scratch/interrupted" > "$scratch/out" 2> "$scratch/err" & pid=$!
until compgen -G "$scratch/interrupted/*/rounds.jsonl" > /dev/null || ! kill -0 $pid 2> /dev/null; do sleep 0.01; done
kill -INT $pid 2> /dev/null || true
code=0; { wait $pid || code=$?; } 2> /dev/null
[ $code = 130 ] || fail "SIGINT: exit code $code"
told "--plugin $mine"

# Reductions: the pull to an average without memory is FedProx; the length of a step without momentum is lr, and it clips nothing.
sed -i '/^algorithms:/,$d' "$config"
cat >> "$config" << END
algorithms: [{stack: [prox], rule: sgd, lr: 0.05, mu: 0.1},
             {stack: [my_anchor], rule: sgd, lr: 0.05, my_pull: 0.1, my_memory: 0},
             {rule: sgd, lr: 0.05}, {rule: my_sgd, lr: 0.05}]
END
for w in 0 1 2 3 4 5 6 7 8 9; do
  ${CC:-cc} -std=c17 -O2 -fPIC -shared -fvisibility=hidden -ffp-contract=off -DWRONG=$w -I "$scratch/prefix/include" \
    "$source/tests/e2e/plugin/wrong.c" -o "$scratch/wrong-$w.so"
done
cp "$scratch/wrong-0.so" "$scratch/sgd.so"
try 0 run "$config" --plugin "$scratch/sgd.so" --out "$scratch/equal"
same() { [ "$(hashes "$scratch/equal" | sed -n "$1p")" = "$(hashes "$scratch/equal" | sed -n "$2p")" ]; }
[ "$(cd "$scratch/equal" && echo */)" = "my_anchor+sgd-s1/ my_sgd-s1/ prox+sgd-s1/ sgd-s1/" ] || fail "other runs than expected"
same 1 5 || fail "the pull without memory is not FedProx"
same 3 7 || fail "a copy of sgd has other bits than sgd"
same 1 3 && fail "the pull does nothing"
cat > "$scratch/central.yaml" << END
data: {format: idx, train: data/train, test: data/t10k}
model: logistic
training: {epochs: 1, epoch_steps: 1}
algorithms: [{rule: my_ngd, lr: 0.25, my_beta: 0}]
END
try 0 run "$scratch/central.yaml" --plugin "$mine" --out "$scratch/central"
sed -n 's/.*"update_norm": \([^,]*\).*/\1/p' "$scratch/central/my_ngd-s1/rounds.jsonl" |
  awk '{ n++; bad = $1 < 0.2499999 || $1 > 0.2500001 } END { exit n != 1 || bad }' || fail "the length of a step is not lr"

# A search chooses the plug-in's parameters, too, and what it writes runs by itself.
sed '/^plugins:/d; /^algorithms:/,$d' "$config" > "$scratch/tune.yaml"
cat >> "$scratch/tune.yaml" << END
plugins: [example/build/my_method.so]
algorithms: [my_fedanchor]
tune: {trials: 2, space: {algorithms.my_pull: [0.01, 0.1]}, validation: 0.2}
END
try 0 tune "$scratch/tune.yaml" --out "$scratch/tuned" --set federated.rounds=2
try 0 run "$scratch/tuned/chosen.yaml" --dry-run
told "$sum"

# ---- another binary ----------------------------------------------------------------------------------------------------------
${CC:-cc} -std=c17 -O1 -fPIC -shared -fvisibility=hidden -ffp-contract=off -I "$scratch/prefix/include" "$scratch/example"/*.c \
  -o "$scratch/other.so" -lm
sed -i '/^plugins:/d; /^algorithms:/,$d' "$config"
echo "algorithms: [my_fedanchor]" >> "$config"
rm "$dir/my_fedanchor-s1/summary.json"
try 1 run "$config" --set $more --resume "$dir" --plugin "$scratch/other.so"
told "cannot resume with a changed configuration: plugins is"
try 0 verify "$scratch/one/my_fedanchor-s1" --set "$paths" --plugin "$mine"
grep -q 'plug-in:' "$scratch/out" && fail "the recorded plug-in is told to be another"
try 0 verify "$scratch/one/my_fedanchor-s1" --set "$paths" --plugin "$scratch/other.so"
told "plug-in: SHA-256 ${sum:0:12} is recorded"
try 2 verify "$scratch/one/my_fedanchor-s1" --set "$paths"
told "give it with --plugin"

# ---- a rule whose steps depend on the thread: the bits of a number of threads by luck, not of another one --------------------
sed -i '/^algorithms:/,$d' "$config"
echo "algorithms: [{rule: my_sgd, lr: 0.05}]" >> "$config"
try 1 run "$config" --verify --plugin "$scratch/wrong-9.so"
told "same bits: no"
try 0 run "$config" --verify --plugin "$scratch/sgd.so"

# ---- refusals: each in one line, and nothing is left of it -------------------------------------------------------------------
refused() { # FILE WORDS
  try 2 list optimizers --plugin "$scratch/sgd.so" --plugin "$1"
  told "$2"
  told "$1"
  [ "$(wc -l < "$scratch/err")" = 1 ] || fail "more than one line"
}
refused "$scratch/wrong-1.so" "built for ABI 2, this fedlane has ABI 1"
refused "$scratch/wrong-2.so" "built against other headers (ABI 1 in both): its fl_rule has"
refused "$scratch/wrong-3.so" "another table of kernels"
refused "$scratch/wrong-4.so" "rule 'adamw' is there already"
refused "$scratch/wrong-5.so" "parameter 'weight_decay': lo = 0 and hi = -1"
refused "$scratch/wrong-6.so" "undefined symbol: not_in_fedlane"
refused "$scratch/wrong-7.so" "has no symbol fl_plugin_table"
refused "$scratch/wrong-9.so" "rule 'my_sgd' is there already"
refused "$config" "cannot be loaded"
refused "$scratch/none.so" "No such file"
try 2 list optimizers --plugin "$scratch/wrong-8.so"
told "method 'my_fedavg': catalogue: lr = '-1'; allowed: a number above 0"
if [ "$(uname -m)" = x86_64 ] && ${CC:-cc} -O2 -fPIC -shared -ffast-math -DWRONG=0 -I "$scratch/prefix/include" \
    "$source/tests/e2e/plugin/wrong.c" -o "$scratch/fast.so" && grep -q set_fast_math "$scratch/fast.so"; then
  try 2 list optimizers --plugin "$scratch/fast.so"
  told "-ffast-math"
fi
try 2 list optimizers --plugin
told "allowed: --plugin FILE.so"
try 2 run "$config" --set "plugins={a: b}"
told "plugins; allowed: a path or a list of paths"
try 2 run "$config" --set "plugins=$scratch/none.so"
told "none.so"

# The header is C++'s, too.
cat > "$scratch/rule.cc" << END
#include <fedlane/plugin.h>
static void step(const double *, fl_local *lo) { lo->k->axpy(lo->job->layout->d, lo->y, (float)-lo->clock.lr, lo->g); }
static const fl_rule bare = { .name = "my_bare", .help = "one axpy", .step = step };
static const fl_rule *const rules[] = { &bare };
FL_PLUGIN(.rule = rules, .n_rules = 1);
END
${CXX:-c++} -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -ffp-contract=off -I "$scratch/prefix/include" "$scratch/rule.cc" \
  -o "$scratch/rule.so"
try 0 list optimizers --plugin "$scratch/rule.so"
told "my_bare"

# ---- without a shared object; without C --------------------------------------------------------------------------------------
PKG_CONFIG_PATH=$(dirname "$(find "$scratch/prefix" -name fedlane.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir fedlane)
# shellcheck disable=SC2046
${CC:-cc} -std=c17 -O1 -ffp-contract=off $(pkg-config --cflags fedlane) "$source/tests/e2e/plugin/register.c" \
  -o "$scratch/register" $(pkg-config --libs fedlane) -Wl,-rpath,"$libdir"
"$scratch/register" > "$scratch/out" 2> "$scratch/err" || fail "register"
# shellcheck disable=SC2046
${CC:-cc} -std=c17 -O1 -ffp-contract=off $(pkg-config --cflags fedlane) "$source/docs/examples/objective/main.c" \
  -o "$scratch/objective" $(pkg-config --libs fedlane) -Wl,-rpath,"$libdir"
python=/usr/bin/python3
# The library knows every field of the structs that a caller of fl_open fills or reads: none is added and forgotten.
"$python" - "$libdir/libfedlane.so" "$scratch/prefix/include/fedlane" > "$scratch/out" 2> "$scratch/err" << 'END' || fail "fields"
import ctypes, pathlib, re, sys
lib, seen = ctypes.CDLL(sys.argv[1]), 0
headers = "".join(path.read_text() for path in pathlib.Path(sys.argv[2]).glob("*.h"))
headers = re.sub(r"/[*].*?[*]/", "", headers, flags=re.S)
offset, size = ctypes.c_size_t(), ctypes.c_size_t()
for of in "fl_options fl_metrics fl_partial fl_problem fl_objective fl_tensor fl_layout fl_eval fl_setting fl_key".split():
    body = re.search(r"\{([^{}]*)\} *%s;|struct %s \{([^{}]*)\}" % (of, of), headers)
    body = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", body.group(1) or body.group(2))
    for field in re.findall(r"(\w+)(?:\[\w+\])?\s*[,;]", body):
        seen += 1
        assert not lib.fl_abi_field(of.encode(), field.encode(), ctypes.byref(offset), ctypes.byref(size)), f"{of}.{field}"
assert seen > 100, seen
END
if "$python" -c 'import numpy' 2> "$scratch/err"; then
  for method in "fedavg 0.05" "scaffold 0.05" "fedadamw 0.01" "rule:adamw 0.01"; do
    # shellcheck disable=SC2086
    "$scratch/objective" $method 2 > "$scratch/c"
    # shellcheck disable=SC2086
    "$python" "$source/docs/examples/from_python.py" "$libdir/libfedlane.so" $method --compare "$scratch/c" \
      > "$scratch/out" 2> "$scratch/err" || fail "from_python.py $method"
    told "as the C example"
  done
  "$python" "$source/docs/examples/from_python.py" "$libdir/libfedlane.so" fedavgg > "$scratch/out" 2> "$scratch/err" &&
    fail "an unknown algorithm was accepted"
  told "did you mean 'fedavg'?"
else
  echo "plugin.sh: no numpy, so from_python.py was not run"
fi
echo "plugin.sh: passed ($killed runs killed)"
rm -rf "$scratch"
