#!/usr/bin/env bash
# fedlane profile: the same hash as a run's at 1 and 2 threads, federated and central; its files agree with each other, and its
# sums with the session's clocks; figures; refusals; frame pointers and symbols, by which `perf record` names the kernels.
# usage: profile.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
fail() { echo "profile.sh: FAILED: $*" >&2; cat "$scratch/err.txt" >&2 || true; exit 1; }
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"
bash "$source/tests/e2e/make_data.sh" data 400 40 1
cat > federated.yaml << 'YAML'
data: {format: idx, train: data}
model: lenet5
federated: {clients: 6, rounds: 3, batch_size: 10, participation: 0.5, local_epochs: 2}
algorithms: [{name: fedadamw, lr: 0.01}]
YAML
cat > central.yaml << 'YAML'
data: {format: idx, train: data}
model: mlp
training: {epochs: 2, batch_size: 100}
algorithms: [{rule: adamw, lr: 0.01}]
YAML
profile() { "$fedlane" profile "$@" > out.txt 2> err.txt || fail "profile $*: exit code $?"; }

cat > check.py << 'PY'
import json, sys
p, run, stacks, threads = json.load(open(sys.argv[1] + "/profile.json")), json.load(open(sys.argv[2])), {}, int(sys.argv[3])
assert p["schema"] == 1 and p["same_bits"] and p["hash"] == run["hash"] == p["bare_hash"], (p["hash"], run["hash"])
assert p["threads"] == threads and p["machine"]["commit"] and p["machine"]["cpu"] and p["rounds"] in (2, 3)
near = lambda a, b, most: abs(a - b) <= most * max(abs(a), abs(b), 1e-4)
rows, total = p["rows"], p["thread_seconds"]
for group, keys in (("kernels", ["kernel"]), ("layers", ["part", "layer", "pass"])):
    for g in p[group]:
        mine = [r for r in rows if all(r[k] == g[k] for k in keys)]
        for what in ("calls", "seconds", "bytes", "flops", "bound_seconds"):
            assert near(sum(r[what] for r in mine), g[what], 1e-9), (g, what)
    assert near(sum(g["seconds"] for g in p[group]), sum(r["seconds"] for r in rows), 1e-9)
    assert near(sum(g["share"] for g in p[group]) * total, sum(r["seconds"] for r in rows), 1e-9)
for part in p["parts"]:
    inside = sum(r["seconds"] for r in rows if r["part"] == part["part"])
    assert near(inside, part["kernels"], 1e-9) and near(part["kernels"] + part["rest"], part["seconds"], 1e-9), part
assert near(sum(part["seconds"] for part in p["parts"]), total, 1e-9)
named = {part["part"]: part for part in p["parts"]}
for r in rows:
    assert r["calls"] > 0 and r["flops"] >= 0 and r["bytes"] > 0, r
    assert r["bound_by"] in ("L1", "L2", "L3", "DRAM", "FMA", "divider") and r["of_ceiling"] is None or r["of_ceiling"] > 0, r
passes = {(r["layer"], r["pass"]) for r in rows if r["part"] == "gradient" and r["pass"]}
assert {q for _, q in passes} == {"forward", "backward"} and len({n for n, _ in passes}) >= 5, passes
assert any(r["layer"] == "input" and r["kernel"] == "normalize" for r in rows)
assert any(r["part"] == "evaluation" and r["pass"] == "forward" for r in rows)
assert p["counters"]["available"] or p["counters"]["reason"]
assert p["overhead"]["pairs"] >= p["rounds"] and p["overhead"]["low"] <= p["overhead"]["median"] <= p["overhead"]["high"]
assert all(b["bytes_per_second"] > 0 for b in p["ceilings"]["bandwidth"]) and p["ceilings"]["bandwidth"]
for line in open(sys.argv[1] + "/profile.folded"):
    stack, weight = line.rstrip("\n").rsplit(" ", 1)
    assert stack not in stacks and stack.split(";")[0] == p["label"].replace(";", ","), line
    stacks[stack] = int(weight)
# A part of which kernels claim more than its clock has no rest, so its stacks add up to what the kernels claim.
claimed = sum(max(part["seconds"], part["kernels"]) for part in p["parts"])
assert near(1e-9 * sum(stacks.values()), claimed, 1e-4), (sum(stacks.values()), claimed)
# One call of several is timed: a thread that was kept waiting inside a timed one makes more of the kernels than the part's own
# clock has, and less of their share elsewhere, as where a team waits for it. A little more is a difference between clocks.
late = [part for part in p["parts"] if part["kernels"] > 1.02 * part["seconds"] + 1e-5]
team = threads if "central" in sys.argv[1] else 1     # a divided call is in the account of the thread that leads, once
if late or named["gradient"]["kernels"] <= 0.5 / team * named["gradient"]["seconds"]:
    print("kernels beside their parts:", late, named["gradient"])
    sys.exit(75)
PY
for case in "federated 1" "federated 2" "central 2"; do
  read -r kind threads <<< "$case"
  "$fedlane" run $kind.yaml --threads $threads --out run-$kind-$threads > /dev/null 2> err.txt || fail "run $kind"
  for try in 1 2 3 4 5; do               # neighbours keep a thread waiting once; wrong accounts are wrong each time
    rm -rf profile-$kind-$threads
    profile $kind.yaml --threads $threads --out profile-$kind-$threads
    result=$(find run-$kind-$threads -name summary.json) folder=$(dirname "$(find profile-$kind-$threads -name profile.json)")
    code=0
    python3 check.py "$folder" "$result" $threads || code=$?
    [ $code = 75 ] || break
  done
  [ $code = 0 ] || fail "$kind, $threads threads (try $try)"
  grep -q 'the same bits' out.txt && grep -q '^cost of the accounts' out.txt && grep -q '^hardware counters' out.txt ||
    fail "$kind: head of the table: $(head -5 out.txt)"
  [ -z "$(find profile-$kind-$threads -name '*.tmp')" ] || fail "a temporary file was left"
done
folder=$(dirname "$(find profile-federated-2 -name profile.json)")
if /usr/bin/python3 -c 'import matplotlib' 2> /dev/null; then
  for figure in roofline.pdf roofline.svg roofline.csv flame.svg; do
    [ -s "$folder/$figure" ] || fail "no $figure"
  done
  python3 - "$folder" << 'PY' || fail "figures"
import csv, json, sys, xml.dom.minidom
p, flame = json.load(open(sys.argv[1] + "/profile.json")), xml.dom.minidom.parse(sys.argv[1] + "/flame.svg")
titles = [t.firstChild.data for t in flame.getElementsByTagName("title")]
assert titles[0].startswith(p["label"]) and titles[0].endswith("100.00 %"), titles[0]
assert any(t.startswith("conv_pool_back:") for t in titles) and any(t.startswith("gradient:") for t in titles)
drawn = {r["name"]: r for r in csv.DictReader(open(sys.argv[1] + "/roofline.csv")) if r["what"] == "kernel"}
for k in p["kernels"]:
    if k["flops"] and k["seconds"]:
        assert abs(float(drawn[k["kernel"]]["FLOP/byte"]) / (k["flops"] / k["bytes"]) - 1) < 1e-4, k
PY
fi

# Fewer rounds of the same schedule, several runs, another instruction set, the default folder.
profile federated.yaml --rounds 1 --isa scalar --seeds 1,2 --set model=logistic
grep -q ': 1 of 3 rounds, .* scalar+\?f\?m\?a\?:' out.txt || fail "--rounds: $(head -1 out.txt)"
[ "$(find fedlane-out/federated-profile -name profile.folded | wc -l)" = 2 ] || fail "several runs into the default folder"

# Refusals name what is allowed, and leave nothing.
refused() { # CODE TEXT ARGUMENTS
  local code=$1 text=$2 got=0
  shift 2
  "$fedlane" profile "$@" --out refused > out.txt 2> err.txt || got=$?
  [ $got = "$code" ] || fail "profile $*: exit code $got, $code expected"
  grep -q -- "$text" err.txt || fail "profile $*: '$text' expected"
  [ ! -e refused ] || fail "profile $* left a folder"
}
refused 2 "allowed: a whole number from 1" federated.yaml --rounds 0
refused 2 "allowed: a whole number from 1" federated.yaml --rounds x
refused 2 "allowed: a whole number from 1 to 1024" federated.yaml --threads 0
refused 2 "unrecognized option '--verify'" federated.yaml --verify
refused 2 "takes one configuration, 0 given"
refused 2 "allowed: scalar, avx2" federated.yaml --isa sse9
refused 2 "federated.rounds" federated.yaml --set federated.rounds=-1
refused 2 "no-such.yaml" no-such.yaml
if "$fedlane" run federated.yaml --rounds 1 > out.txt 2> err.txt; then fail "run took --rounds"; fi

# perf walks frame pointers and names symbols: every kernel of the chosen instruction set has both.
command -v objdump > /dev/null || { echo "objdump is not installed: symbols are not looked at"; exit 0; }
[ "$(uname -m)" = x86_64 ] || exit 0
nm "$fedlane" > symbols.txt
for kernel in conv_pool_back gemm_nt gemm_tn adamw softmax_xent; do
  for isa in avx512 avx2 scalar; do
    grep -q " T fl_${kernel}_$isa\$" symbols.txt || fail "no symbol fl_${kernel}_$isa"
    objdump -d --no-show-raw-insn --disassemble="fl_${kernel}_$isa" "$fedlane" > text.txt
    grep -q 'push *%rbp' text.txt && grep -q 'mov *%rsp,%rbp' text.txt || fail "fl_${kernel}_$isa has no frame pointer"
  done
done
