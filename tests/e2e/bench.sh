#!/usr/bin/env bash
# fedlane bench from end to end at tiny sizes: no figure is looked at, only that every kernel of the registry has its lines, that
# each names what binds it, that Google Benchmark's own tool reads the result. usage: bench.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "bench.sh: FAILED: $*" >&2; exit 1; }
[ -x "$(dirname "$fedlane")/fedlane-bench" ] || { echo "Google Benchmark is not installed"; exit 77; }
quick=(--benchmark_min_time=0.000001 --benchmark_repetitions=2)

"$fedlane" bench --benchmark_list_tests > "$scratch/all"
"$fedlane" list kernels | awk 'NF == 0 { exit } { print $2 }' > "$scratch/kernels"
"$fedlane" list kernels | awk 'NF == 0 { exit } $1 == "step" || $1 == "reduce" { print $2 }' > "$scratch/bound"
[ "$(wc -l < "$scratch/kernels")" -ge 30 ] || fail "fedlane list kernels: $(cat "$scratch/kernels")"
while read -r kernel; do
  grep -q "^$kernel/" "$scratch/all" || fail "no line of $kernel"
done < "$scratch/kernels"
grep -q '^gemm_nn/[a-z0-9+]*/m:50/n:200/k:784/threads:1$' "$scratch/all" || fail "gemm_nn's names: $(grep gemm_nn "$scratch/all")"
grep -q '^sgd/[a-z0-9+]*/n:[0-9]*/cold/threads:1$' "$scratch/all" || fail "no cold line of sgd"

# Everything but large products; 333 is no whole number of vectors, nor can two threads halve it evenly.
whole='qr|cholesky|eigh|inverse_root|orthogonal_iteration|(lstm|gru)(_back)?'
"$fedlane" bench --sizes=333 --threads=1,2 "${quick[@]}" --benchmark_out="$scratch/out.json" \
  "--benchmark_filter=-(gemm.*:(512|1024)|(conv|winograd)_.*(:512|c:256|:64)|newton|^($whole)/)" > "$scratch/stdout" \
  2> "$scratch/stderr" || fail "$(cat "$scratch/stderr")"
python3 - "$scratch/out.json" "$scratch/kernels" "$scratch/bound" << 'PY'
import json, math, sys
record = json.load(open(sys.argv[1]))
for key in ("machine_cpu", "machine_commit", "machine_compiler", "pages", "date"):
    assert record["context"][key], key
runs = [b for b in record["benchmarks"] if b["run_type"] == "iteration"]
best = [b for b in record["benchmarks"] if b.get("aggregate_name") == "best"]
kernels = {line.strip() for line in open(sys.argv[2])}
bound = {line.strip() for line in open(sys.argv[3])}
seen = {b["name"].split("/")[0] for b in runs}
assert seen == kernels | {"ceiling"}, "without a line: %s; of no kernel: %s" % (kernels - seen, seen - kernels - {"ceiling"})
assert {b["threads"] for b in runs} == {1, 2}
for b in runs + best:
    assert math.isfinite(b["ns/element"]) and b["ns/element"] > 0, b
    kernel = b["name"].split("/")[0]
    if kernel in bound and "GFLOP/s" not in b:
        assert b["GB/s"] > 0 and b["percent"] > 0 and b["label"].startswith("ceiling/"), b
of = {b["name"]: b for b in runs}
for b in best:
    same = [r for r in runs if r["name"] == b["run_name"]]
    assert len(same) == 2 and abs(min(r["real_time"] for r in same) - b["real_time"]) <= 1e-9 * b["real_time"], b
adamw = next(b for n, b in of.items() if n.startswith("adamw/") and "n:333/threads:1" in n)
assert abs(adamw["GB/s"] * adamw["ns/element"] - 28) < 1e-6, adamw
PY
# Beyond the core's own caches a line and its ceilings take turns.
"$fedlane" bench --sizes=4194304 --threads=1 --benchmark_repetitions=2 --benchmark_min_time=0.0001 --benchmark_filter='^add/' \
  --benchmark_out="$scratch/paired.json" > "$scratch/stdout" 2> "$scratch/stderr" || fail "$(cat "$scratch/stderr")"
python3 - "$scratch/paired.json" << 'PY'
import json, sys
runs = [b for b in json.load(open(sys.argv[1]))["benchmarks"] if b["run_type"] == "iteration"]
for b in runs:
    assert ("pairs" in b) == b["name"].startswith("add/"), b
    if "pairs" in b:
        assert b["pairs"] >= 2 and 0 < b["percent_low"] <= b["percent"] <= b["percent_high"], b
        assert b["label"].startswith("ceiling/2r1w/"), b
PY
# The report. What a tiny run says of ceilings means nothing: a record by hand is judged.
status=0
"$source/scripts/report-bench" "$scratch/out.json" --out "$scratch/report" > "$scratch/table" 2> "$scratch/stderr" || status=$?
[ "$status" -le 1 ] && ! grep -q Traceback "$scratch/stderr" || fail "report-bench: $(tail -3 "$scratch/stderr")"
grep -q '^adamw .*ceiling/' "$scratch/table" || fail "no adamw in report-bench's table"
isa=$("$fedlane" info --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["isa_used"].replace("+", "-"))')
for figure in "ceilings-$isa-1" "ceilings-$isa-2" "gflops-$isa-1"; do
  for form in csv pdf svg; do [ -s "$scratch/report/$figure.$form" ] || fail "report-bench made no $figure.$form"; done
done
judge() { # NANOSECONDS of a kernel whose ceiling is 1.0, further members
  echo '{"benchmarks": [{"name": "sgd/avx2/n:64/threads:1", "run_type": "iteration", "ns/element": '"$1"', "GB/s": 12,
    "ceiling_ns/element": 1.0, "label": "ceiling/2r1w/copy/n:64/threads:1"'"${2:-}"'}],
    "context": {"machine_isa_used": "avx2"}}' > "$scratch/judged.json"
  "$source/scripts/report-bench" "$scratch/judged.json" > "$scratch/stdout" 2> "$scratch/stderr"
}
judge 0.96 || fail "a kernel at 104 % of its ceiling was refused: $(cat "$scratch/stderr")"
if judge 0.9; then fail "a kernel at 111 % of its ceiling was not noticed"; fi
grep -q 'sgd/avx2/n:64/threads:1 takes 0.9 ns an element, 111.1 % of its ceiling ceiling/2r1w/copy' "$scratch/stderr" ||
  fail "report-bench's message: $(cat "$scratch/stderr")"
pairs() { echo ', "pairs": 8, "percent": '"$1"', "percent_low": 90, "percent_high": 120'; }
judge 0.8 "$(pairs 104)" || fail "the median of pairs, 104 %, was refused: $(cat "$scratch/stderr")"
if judge 1.2 "$(pairs 106)"; then fail "106 %, the median of pairs, was not noticed"; fi
grep -q '106.0 (90 to 120) % of its ceiling' "$scratch/stderr" || fail "report-bench's message: $(cat "$scratch/stderr")"
echo '{}' > "$scratch/judged.json"
if "$source/scripts/report-bench" "$scratch/judged.json" 2> "$scratch/stderr"; then fail "an empty record was accepted"; fi
grep -q 'judged.json: neither what' "$scratch/stderr" || fail "report-bench's message: $(cat "$scratch/stderr")"

tool=/usr/share/benchmark/compare.py
if /usr/bin/python3 -c "import scipy" 2> /dev/null && [ -f "$tool" ]; then   # Debian's tool takes Debian's Python
  PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$tool" --no-color -a benchmarks "$scratch/out.json" "$scratch/out.json" \
    > "$scratch/compared" 2>&1 ||
    fail "compare.py: $(tail -3 "$scratch/compared")"
  grep -q '^adamw/.*+0.0000' "$scratch/compared" || fail "compare.py found no adamw: $(head -5 "$scratch/compared")"
fi
"$fedlane" bench --pages=4k --sizes=256 --threads=1 "${quick[@]}" --benchmark_filter='^axpy/' > "$scratch/stdout" \
  2> "$scratch/stderr"
grep -q '^axpy/.*/n:256/pages:4k/threads:1' "$scratch/stdout" || fail "--pages=4k: $(cat "$scratch/stdout")"

refuse() { # MESSAGE ARGUMENTS
  message=$1; shift
  if "$fedlane" bench "$@" > /dev/null 2> "$scratch/stderr"; then fail "$* was accepted"; fi
  grep -qF -- "$message" "$scratch/stderr" || fail "$*: $(cat "$scratch/stderr")"
}
refuse '--isa: unknown ISA "mmx"; allowed: scalar' --isa=mmx
refuse '--threads: "0"; allowed: whole numbers, 1 to 1024' --threads=0
refuse '--sizes: "-4"; allowed' --sizes=-4
refuse '--pages: "1g"; allowed: huge, 4k' --pages=1g
refuse 'no line has such a name' --benchmark_filter=nothing
refuse 'usage: fedlane bench' --no-such-option
