#!/usr/bin/env bash
# fedlane bench --save and --against, first with programs that answer with times made up here, so that every verdict is known,
# then with the real one, of which no time is looked at. usage: guard.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
command -v python3 > /dev/null || { echo "python3 is not installed"; exit 77; }
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "guard.sh: FAILED: $*" >&2; cat "$scratch/stdout" "$scratch/stderr" >&2 || true; exit 1; }

# A build: the program, and beside it a fedlane-bench whose rows take what times.json says, scattered by its noise, all multiplied
# by a drift that the neighbours of a moment share.
build() { # FOLDER TIMES [CONTEXT]
  mkdir -p "$scratch/$1"
  cp "$fedlane" "$scratch/$1/fedlane"
  echo "$2" > "$scratch/$1/times.json"
  echo "{${3:-}}" > "$scratch/$1/context.json"
  cat > "$scratch/$1/fedlane-bench" << 'PY'
#!/usr/bin/env -S python3 -IS
import json, os, random, sys, time
here = os.path.dirname(os.path.abspath(__file__))
times, context = (json.load(open(os.path.join(here, name))) for name in ("times.json", "context.json"))
rng = random.Random(os.path.basename(here) + str(time.time_ns()))
assert sys.argv[1] == "--serve=time", sys.argv
said = {"machine_cpu": "A CPU", "machine_architecture": "any", "machine_isa_used": "scalar", "machine_threads": "2",
        "machine_compiler": "none", "machine_flags": "-O3", "pages": "huge", **context}
wanted = [w.split("=", 1)[1] for w in sys.argv if w.startswith("--benchmark_filter=")]
rows = [n for n in times if not n.startswith("ceiling") and all(w in n for w in wanted)]
print(json.dumps({"fedlane_bench": 1, "context": said, "rows": [
    {"name": n, "threads": 1, "ceilings": times[n][2:]} for n in rows]}), flush=True)
asked = 0
log = open(os.path.join(os.path.dirname(here), "asked"), "a", buffering=1)
for line in sys.stdin:
    cpu, calls, parts, name = line.split()
    if name == "dies":
        sys.exit(1)
    value, noise = times[name][:2]
    asked += 1
    log.write("%s %d %s %s %s %s\n" % (os.path.basename(here), os.getpid(), name, cpu, calls, parts))
    drift = 1.0
    if times[name][2:] or name.startswith("ceiling"):   # memory: of everything in the same tenth of a second
        drift = 1 + 0.5 * ((time.time_ns() // 10**8) % 7) / 7
    print("%.9g" % (value * drift * rng.lognormvariate(0, noise)), flush=True)
PY
  chmod +x "$scratch/$1/fedlane-bench"
}
bench() { # EXIT BUILD ARGUMENTS
  local want=$1 status=0 program="$scratch/$2/fedlane"
  shift 2
  "$program" bench "$@" > "$scratch/stdout" 2> "$scratch/stderr" || status=$?
  [ "$status" = "$want" ] || fail "bench $*: exit $status, not $want"
}
verdict() { # ROW VERDICT
  awk -v row="$1" '$1 == row' "$scratch/stdout" | grep -q "  $2\$" || fail "$1 is not called \"$2\""
}

build old '{"sgd/a": [1e-3, 0.002], "sgd/b": [1e-3, 0.002], "sgd/c": [1e-3, 0.002], "sgd/d": [1e-3, 0.5], "gone/a": [1e-3, 0.01],
  "far/a": [2e-3, 0.002, "ceiling/x", "ceiling/y"], "far/b": [2e-3, 0.002, "ceiling/x"],
  "ceiling/x": [1.8e-3, 0.002], "ceiling/y": [1.9e-3, 0.002]}'
build new '{"sgd/a": [1e-3, 0.002], "sgd/b": [1.05e-3, 0.002], "sgd/c": [0.9e-3, 0.002], "sgd/d": [1e-3, 0.5],
  "new/a": [1e-3, 0.01], "far/a": [2e-3, 0.002, "ceiling/x", "ceiling/y"], "far/b": [2.2e-3, 0.002, "ceiling/x"],
  "ceiling/x": [1.8e-3, 0.002], "ceiling/y": [1.9e-3, 0.002]}'

# Against another build.
bench 1 new --against "$scratch/old"
python3 - "$scratch/asked" << 'PY' || fail "how the programs were asked"
import sys
lines = [line.split() for line in open(sys.argv[1])]
taken = [(who, name) for who, _, name, cpu, *_ in lines if cpu != "-1" and not name.startswith("ceiling")]
pairs = list(zip(taken[::2], taken[1::2]))      # a row's two are neighbours, the first by chance
assert all(a[1] == b[1] and {a[0], b[0]} == {"old", "new"} for a, b in pairs), pairs
first = sum(a[0] == "old" for a, _ in pairs)
assert len(pairs) >= 15 * 6 and 0.25 < first / len(pairs) < 0.75, (first, len(pairs))
rounds = [tuple(a[1] for a, _ in pairs[i:i + 6]) for i in range(0, 15 * 6, 6)]   # the first look has all six rows
assert all(len(set(r)) == 6 for r in rounds) and len(set(rounds)) > 5, rounds    # each once, in changing order
per = {pid for who, pid, *_ in lines if who == "old"}
assert len(per) >= 3 and len(per) % 3 == 0, per                                  # three launches a look
cpus = {cpu for _, _, _, cpu, *_ in lines if cpu != "-1"}
assert all(c.isdigit() for c in cpus) and cpus, cpus
sizes = {}
for _, _, name, cpu, calls, parts in lines:
    if cpu != "-1" and not name.startswith("ceiling"):
        sizes.setdefault(name, set()).add((calls, parts))
assert all(len(s) == 1 for s in sizes.values()), sizes                           # both sides, all samples alike
PY
verdict sgd/a same
verdict sgd/b slower
verdict sgd/c faster
verdict sgd/d noisy
verdict new/a 'no baseline: the other build has no such row'
verdict gone/a 'no baseline: this build has no such row'
verdict far/b slower
verdict far/a same
grep -q '^far/a .* ceilings ' "$scratch/stdout" || fail "far/a is not judged beside its ceiling"
grep -q '^8 rows: 2 slower, 1 faster, 2 same, 1 noisy, 2 without a baseline; least effect 2 %$' "$scratch/stdout" ||
  fail "the sum"
bench 0 new --against "$scratch/old/fedlane" --filter sgd/c
bench 0 new --against "$scratch/old/fedlane-bench" --filter=sgd/b --min-effect=8%
verdict sgd/b same
bench 1 new --against "$scratch/old" --filter sgd/b --min-effect 1 --repetitions 9
bench 3 new --against "$scratch/old" --filter sgd/d
bench 1 new --against "$scratch/old" --filter sgd/b --save "$scratch/none/x.json"    # the verdict stands
verdict sgd/b slower
grep -q "cannot write '.*none/x.json" "$scratch/stderr" || fail "a file that cannot be written"
bench 3 new --against "$scratch/old" --filter sgd/c --save "$scratch/none/x.json"
bench 3 new --against "$scratch/old" --filter new/a      # nothing could be judged

# Against a file: the same verdicts, as long as the machine is the same.
bench 0 old --save "$scratch/old.json"
grep -q '^7 rows saved as .*old.json$' "$scratch/stdout" || fail "--save"
bench 1 new --against "$scratch/old.json" --save "$scratch/judged.json"
verdict sgd/a same
verdict sgd/b slower
verdict sgd/c faster
verdict far/a same
verdict far/b slower
verdict new/a 'no baseline: not in the file'
grep -q '^rows of the file that were not asked for or are no more: 1$' "$scratch/stdout" || fail "gone/a is not counted"
python3 - "$scratch/old.json" "$scratch/judged.json" << 'PY'
import json, statistics, sys
old, new = (json.load(open(p)) for p in sys.argv[1:])
assert old["context"]["metric"] == "time" and old["context"]["date"] and old["context"]["machine_cpu"] == "A CPU"
for record in old, new:
    for b in record["benchmarks"]:
        assert len(b["samples"]) % 15 == 0 and b["run_type"] == "iteration" and b["time_unit"] == "ns"
        assert abs(b["real_time"] / statistics.median(b["samples"]) - 1) < 1e-4, b
        assert ("beside" in b) == b["name"].startswith("far/") and len(b.get("beside_samples", b["samples"])) == len(b["samples"])
size = {b["name"]: (b["iterations"], b["parts"], b.get("beside")) for b in old["benchmarks"]}
assert all(size[b["name"]] == (b["iterations"], b["parts"], b.get("beside")) for b in new["benchmarks"] if b["name"] in size)
of = {b["name"]: b.get("verdict") for b in new["benchmarks"]}
assert of["sgd/b"]["decision"] == "slower" and abs(of["sgd/b"]["effect"] - 0.05) < 0.01 and of["sgd/b"]["p"] < 0.01, of
assert of["new/a"] is None or of["new/a"]["decision"] == "no baseline", of
assert all(b.get("verdict") is None for b in old["benchmarks"])
PY
mkdir "$scratch/baselines"
bench 0 old --save "$scratch/baselines" --filter sgd/a
file=$(echo "$scratch"/baselines/*.json)
[ -f "$file" ] || fail "--save FOLDER wrote no file named after the CPU"
bench 0 new --against "$scratch/baselines" --filter sgd/a
mv "$file" "$scratch/baselines/another-cpu.json"
bench 3 new --against "$scratch/baselines" --filter sgd/a
grep -q 'no baseline for this CPU' "$scratch/stderr" || fail "a folder without this CPU"
build elsewhere '{"sgd/a": [1e-3, 0.002]}' '"machine_cpu": "B CPU", "machine_flags": "-O2"'
bench 3 elsewhere --against "$scratch/old.json"
verdict sgd/a 'no baseline: another machine or build'
grep -q 'machine_cpu is A CPU there, B CPU here; machine_flags is -O3 there, -O2 here$' "$scratch/stdout" || fail "what differs"
build unceiled '{"far/a": [2e-3, 0.002, "ceiling/z"], "ceiling/z": [1.8e-3, 0.002]}'
bench 3 unceiled --against "$scratch/old.json"
verdict far/a 'no baseline: this build lacks its ceiling'
bench 0 elsewhere --against "$scratch/old" --filter sgd/a # another build may have other flags

# What cannot be done.
build dead '{"dies": [1, 0]}'
bench 3 dead --against "$scratch/dead"
grep -q "fedlane-bench' ended at row dies" "$scratch/stderr" || fail "a program that dies is not named"
build ancient '{}'
printf '#!/bin/sh\necho "unknown option --serve" >&2; exit 2\n' > "$scratch/ancient/fedlane-bench"
bench 2 new --against "$scratch/ancient"
grep -q 'does not answer to --serve' "$scratch/stderr" || fail "a program that does not answer"
refuse() { # MESSAGE ARGUMENTS
  local message=$1
  shift
  bench 2 new "$@"
  grep -qF -- "$message" "$scratch/stderr" || fail "$*: another message"
}
refuse '--save or --against is missing' --filter sgd
refuse '--save takes a value' --save
refuse 'no row matches --filter "sdg/"; allowed' --save "$scratch/typo.json" --filter sdg/
refuse 'no row matches --filter "sdg/"; allowed' --against "$scratch/old" --filter sdg/
[ ! -e "$scratch/typo.json" ] || fail "a baseline without rows"
refuse '--filter: too long' --against "$scratch/old" --filter "$(printf 'sgd/a|%.0s' {1..300})"
refuse '--metric "cycles"; allowed: time, instructions' --against "$scratch/old" --metric cycles
refuse '--min-effect "much"; allowed: 0.01% to 100%' --against "$scratch/old" --min-effect much
refuse '--repetitions "8"; allowed: whole numbers, 9 to 1000' --against "$scratch/old" --repetitions 8
refuse 'No such file or directory "nowhere"; allowed: a file that fedlane bench --save wrote' --against nowhere
refuse '"--benchmark_repetitions=2" does not go with --save or --against' --save x --benchmark_repetitions=2
echo '{}' > "$scratch/empty.json"
refuse 'is no baseline; allowed: what fedlane bench --save wrote' --against "$scratch/empty.json"
echo 'text' > "$scratch/text"
refuse '--against' --against "$scratch/text"
# The real programs; under a sanitizer their times are nothing, and valgrind takes no such program.
[ -z "${UBSAN_OPTIONS:-}" ] || exit 0
[ -x "$(dirname "$fedlane")/fedlane-bench" ] || { echo "Google Benchmark is not installed"; exit 77; }
jq=$(sed -n "s/^    jq '\(.*\)' speed.json > custom.json\$/\1/p" "$source/docs/ci.md")
if command -v jq > /dev/null; then
  jq "$jq" "$scratch/old.json" | python3 -c 'import json, sys
rows = json.load(sys.stdin)
assert len(rows) == 7 and all(r["unit"] == "ns" and r["value"] > 0 and r["name"] for r in rows), rows' || fail "jq '$jq'"
fi
real=(--sizes=1024 --threads=1 --filter '^axpy/')
"$fedlane" bench --help > "$scratch/stdout"
grep -q -- '--against FILE|OTHER_BUILD' "$scratch/stdout" || fail "--help"
status=0
"$fedlane" bench --against "$(dirname "$fedlane")" "${real[@]}" > "$scratch/stdout" 2> "$scratch/stderr" || status=$?
case $status in 0 | 1 | 3) ;; *) fail "a build against itself: exit $status" ;; esac
grep -q '^axpy/.*/n:1024/threads:1  .* \(same\|slower\|faster\|noisy\)$' "$scratch/stdout" || fail "no verdict"
status=0
"$fedlane" bench --metric instructions --save "$scratch/i.json" "${real[@]}" > "$scratch/stdout" 2> "$scratch/stderr" || status=$?
if [ "$status" = 2 ]; then
  grep -q 'this machine has no hardware counter (perf_event_open: .*, and there is no valgrind' "$scratch/stderr" ||
    grep -q 'without valgrind/callgrind.h' "$scratch/stderr" || fail "--metric instructions --save"
else
  [ "$status" = 0 ] || fail "--metric instructions --save: exit $status"
  "$fedlane" bench --metric instructions --against "$scratch/i.json" "${real[@]}" > "$scratch/stdout" 2> "$scratch/stderr" ||
    fail "instructions against themselves"
  grep -q '^axpy/.*  same$' "$scratch/stdout" || fail "instructions against themselves"
  sed -i -E 's/("samples": )\[[^]]*\]/\1[10.0, 10.0]/' "$scratch/i.json"
  python3 - "$scratch/i.json" << 'PY'
import json, sys
record = json.load(open(sys.argv[1]))
for b in record["benchmarks"]:
    b["samples"] = [v * 0.9 for v in (b["instructions"],) * 2]
json.dump(record, open(sys.argv[1], "w"))
PY
  status=0
  "$fedlane" bench --metric instructions --against "$scratch/i.json" "${real[@]}" > "$scratch/stdout" 2> "$scratch/stderr" ||
    status=$?
  [ "$status" = 1 ] || fail "instructions that grew by a ninth: exit $status"
  grep -q '^axpy/.*  slower$' "$scratch/stdout" || fail "instructions that grew by a ninth"
fi
