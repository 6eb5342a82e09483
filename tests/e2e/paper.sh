#!/usr/bin/env bash
# What a paper takes from `fedlane report`: tables against a plain computation from rounds.jsonl, with and without Python; widths
# and fonts of the venues' figures, captions, the points in the CSVs, profiles, and the page's data; a file of published figures
# is looked at before the first run. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "paper.sh: FAILED: $*" >&2; exit 1; }
if ! /usr/bin/python3 -c 'import matplotlib, scipy' 2> /dev/null || ! command -v pdffonts > /dev/null; then
  echo "python3-matplotlib, python3-scipy or poppler-utils is not installed"
  exit 77
fi

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 200 60 1
cat > "$scratch/config.yaml" << END
seeds: [1, 2, 3]
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
partition: {name: iid}
model: [logistic, mlp]
federated: {clients: 10, participation: 0.5, rounds: 4, batch_size: 10, target_accuracy: 0.6}
algorithms: [fedavg, {name: fedadamw, lr: 1e-3}, {name: local_adamw, lr: 1e-5}]
END
"$fedlane" run "$scratch/config.yaml" --out "$scratch/suite" --threads 2 > "$scratch/out" 2>&1 ||
  fail "run: $(cat "$scratch/out")"

# ---- without Python: the same tables, and a word of what is missing --------------------------------------------------------
FEDLANE_PYTHON=$scratch/nothing "$fedlane" report "$scratch/suite" --out "$scratch/bare" > "$scratch/out" 2> "$scratch/err" ||
  fail "without Python: $(cat "$scratch/err")"
grep -q 'left out: figures.*no Python with Matplotlib' "$scratch/err" || fail "without Python: $(cat "$scratch/err")"
grep -q '^idx, mlp  *fedavg  *3 ' "$scratch/out" || fail "no table on the terminal: $(cat "$scratch/out")"
[ ! -e "$scratch/bare/report.html" ] || fail "a page without Python"
for venue in neurips icml ieee; do # one venue with everything, the others with a run of theirs
  suite=$scratch/suite
  [ $venue = icml ] || suite=$scratch/suite/fedavg_model=mlp-s1
  "$fedlane" report "$suite" --out "$scratch/$venue" --venue $venue > "$scratch/out" 2> "$scratch/err" ||
    fail "$venue: $(cat "$scratch/err")"
done
for table in table targets accuracy; do
  cmp "$scratch/bare/$table.csv" "$scratch/icml/$table.csv" || fail "$table.csv depends on Python"
  for part in .tex -caption.tex; do [ -s "$scratch/bare/$table$part" ] || fail "$table$part is missing"; done
done
for words in '10 clients, participation 0.5, partition ' 'rounds: 4, local epochs: 1, batch size 10\. ' ', 2 threads'; do
  for table in table targets; do
    grep -q "$words" "$scratch/bare/$table-caption.tex" ||
      fail "the caption of $table lacks '$words': $(cat "$scratch/bare/$table-caption.tex")"
  done
done
code=0
"$fedlane" report "$scratch/suite" --venue nature > "$scratch/out" 2> "$scratch/err" || code=$?
[ $code = 2 ] && grep -q "'nature'; allowed: neurips, icml, ieee" "$scratch/err" ||
  fail "--venue nature: $code $(cat "$scratch/err")"

# ---- the tables are what rounds.jsonl says ----------------------------------------------------------------------------------
/usr/bin/python3 - "$scratch" << 'END' || fail "the tables"
import csv, json, math, statistics, sys
from scipy.stats import t
scratch = sys.argv[1]
lines = {}
for r in json.load(open(scratch + "/suite/suite.json"))["runs"]:
    run = json.load(open("%s/suite/%s/run.json" % (scratch, r)))
    rounds = [json.loads(l) for l in open("%s/suite/%s/rounds.jsonl" % (scratch, r))]
    label = run["label"].replace(" model=" + run["config"]["model"], "")
    lines.setdefault(("idx, " + run["config"]["model"], label), []).append(rounds)
def accuracy(rounds): return statistics.fmean([r["accuracy"] for r in rounds if r["evaluated"]][-5:]) * 100
def reach(rounds, f):
    return next((f(r) for r in rounds if r["evaluated"] and r["accuracy"] >= 0.6), math.inf)
def shown(values, digits):
    if math.inf in values: return "inf"
    return "%.*f ± %.*f" % (digits, statistics.fmean(values), digits, statistics.stdev(values))
costs = [(lambda r: r["round"], 1), (lambda r: r["seconds"], 2),
         (lambda r: (r["total_bytes_up"] + r["total_bytes_down"]) * 1e-6, 1), (lambda r: r["gradient_evaluations"], 0)]
table = list(csv.reader(open(scratch + "/bare/table.csv")))[1:]
targets = list(csv.reader(open(scratch + "/bare/targets.csv")))[1:]
tex = [l for l in open(scratch + "/bare/table.tex") if " & " in l][1:]
assert len(table) == len(targets) == len(tex) == len(lines) == 6, (table, lines.keys())
missed = bold = 0
for row, cost, latex, ((problem, label), runs) in zip(table, targets, tex, lines.items()):
    values = [accuracy(r) for r in runs]
    assert row[:4] == [problem, label, "3", shown(values, 2)], (row, label, values)
    assert cost[:2] == [problem, label] and cost[3:] == [shown([reach(r, f) for r in runs], d) for f, d in costs], (cost, runs)
    reached = sum(reach(r, lambda x: 1) == 1 for r in runs)
    assert cost[2] == "%d of 3" % reached, cost
    assert ("$\\infty$" in latex) == (reached < 3) == (row[4] == "inf"), (latex, reached)
    missed += reached < 3
    rivals = {l: [accuracy(r) for r in other] for (p, l), other in lines.items() if p == problem}
    best = max(rivals.values(), key=statistics.fmean)
    half = t.ppf(0.975, 2) * statistics.stdev(best) / math.sqrt(3)
    strong = statistics.fmean(best) - statistics.fmean(values) <= half
    cell = latex.split(" & ")[2]
    assert strong == cell.startswith("$\\mathbf"), (cell, values, best, half)
    bold += strong
    assert label != "local_adamw" or latex.startswith("local\\_adamw &"), latex
assert missed and 2 <= bold < 6, (missed, bold)
END

# ---- figures: width, fonts, captions, points --------------------------------------------------------------------------------
for figure in neurips:396 icml:234 ieee:252; do
  venue=${figure%:*} width=${figure#*:}
  pdfs="{accuracy,loss}-{rounds,seconds,bytes,gradients}-idx-mlp.pdf {time,clients}.pdf"
  [ $venue != icml ] || pdfs="$pdfs accuracy-rounds-idx-logistic.pdf profile-{performance,data}-{rounds,seconds,bytes}.pdf"
  for pdf in $(cd "$scratch/$venue" && eval "echo $pdfs"); do
    pdf=$scratch/$venue/$pdf
    [ -s "$pdf" ] || fail "$pdf is missing"
    case $pdf in */time.pdf | */clients.pdf) ;; *)
      pdfinfo "$pdf" | awk -v w="$width" '/^Page size/ { exit !($3 > w - 0.5 && $3 < w + 0.5) }' ||
        fail "$pdf: $(pdfinfo "$pdf" | grep 'Page size'), must be $width points wide" ;;
    esac
    pdffonts "$pdf" | awk 'NR > 2 { n++; if (/Type 3/ || !/TrueType/ || $(NF - 4) != "yes") bad = 1 } END { exit bad || !n }' ||
      fail "$pdf has fonts of Type 3, or not embedded: $(pdffonts "$pdf")"
    [ -s "${pdf%.pdf}.csv" ] && [ -s "${pdf%.pdf}-caption.tex" ] || fail "$pdf has no CSV or no caption"
  done
done
caption=$scratch/icml/accuracy-rounds-idx-mlp-caption.tex
id=$(/usr/bin/python3 -c "import json; print(json.load(open('$scratch/suite/fedavg_model=mlp-s2/run.json'))['run_id'])") ||
  fail "no run id: $(ls "$scratch/suite")"
for words in 'batch size ' 'seeds 1, 2, 3' 'band: smallest to largest seed' '4 rounds' "${id:0:8}" 'local\\_adamw'; do
  grep -q "^.caption{.*$words" "$caption" || fail "the caption lacks '$words': $(cat "$caption")"
done
grep -q "^% fedavg: run ids .*$id" "$caption" || fail "the caption has not the whole run id $id: $(cat "$caption")"

/usr/bin/python3 - "$scratch" << 'END' || fail "figures or page"
import csv, json, re, statistics, sys
scratch = sys.argv[1]
def rounds(name): return [json.loads(l) for l in open("%s/suite/%s/rounds.jsonl" % (scratch, name))]
seeds = [rounds("fedavg_model=mlp-s%d" % s) for s in (1, 2, 3)]
points = [r for r in csv.DictReader(open(scratch + "/icml/accuracy-gradients-idx-mlp.csv")) if r["method"] == "fedavg"]
assert len(points) == 4, points
for i, p in enumerate(points):
    values = [100 * s[i]["accuracy"] for s in seeds]
    want = [statistics.fmean(s[i]["gradient_evaluations"] for s in seeds), statistics.fmean(values), min(values), max(values)]
    got = [float(p[k]) for k in ("gradient evaluations", "mean (%)", "min (%)", "max (%)")]
    assert all(abs(a - b) <= 1e-8 * abs(b) for a, b in zip(got, want)), (got, want)

# A profile's last point is the share of (problem, seed) that was reached; its CSV only rises.
reached = {}
for model in ("logistic", "mlp"):
    for label, folder in (("fedavg", "fedavg"), ("fedadamw", "fedadamw"), ("local_adamw", "local_adamw")):
        for s in (1, 2, 3):
            hit = [r["round"] for r in rounds("%s_model=%s-s%d" % (folder, model, s)) if r["accuracy"] >= 0.6]
            reached.setdefault(label, []).append(hit[0] if hit else float("inf"))
for kind, x in (("data", "rounds"), ("performance", None)):
    rows = list(csv.reader(open("%s/icml/profile-%s-rounds.csv" % (scratch, kind))))[1:]
    least = [min(c) for c in zip(*reached.values())]
    for label, cost in reached.items():
        ratio = cost if kind == "data" else [c / l if l < float("inf") else float("inf") for c, l in zip(cost, least)]
        for _, at, share in (r for r in rows if r[0] == label):
            want = sum(c <= float(at) + 1e-9 for c in ratio) / 6
            assert float(share) <= want + 1e-9, (kind, label, at, share, ratio)
        last = [r for r in rows if r[0] == label][-1]
        assert abs(float(last[2]) - sum(c < float("inf") for c in cost) / 6) < 1e-9, (kind, last, cost)

page = open(scratch + "/icml/report.html").read()
assert not re.search(r"(src|href)=[\"']?(http|//)|@import|url\((?!#)", page), "the page is not self-contained"
assert page.count("<svg") > 20, "the figures are not in the page for who has no JavaScript"
data = json.loads(re.search(r"id=points>(.*?)</script>", page, re.S).group(1))
assert [g["name"] for g in data["groups"]] == ["idx, logistic", "idx, mlp", "Profiles over problems"], data["groups"]
plot = next(p for p in data["groups"][1]["plots"] if p["axis"] == "gradient evaluations" and p["what"].startswith("test acc"))
drawn = next(l for l in plot["lines"] if l["label"] == "fedavg")["points"]
columns = ("gradient evaluations", "mean (%)", "min (%)", "max (%)")
assert drawn == [[float("%.5g" % float(p[k])) for k in columns] for p in points]
assert len(plot["lines"]) == 3 and len({p["axis"] for p in data["groups"][1]["plots"]}) == 4
END

# ---- published figures are looked at before the first run --------------------------------------------------------------------
for change in 'row,column,accuracy,algorithm.nam|:1: column .algorithm.nam. is no key' 'row,accuracy|:1: no column .column.' \
              'row,column,accuracy,model,note|:2: 4 fields; allowed: as many as line 1 has, 5'; do
  printf '%s\nFedAvg,iid,90,mlp\n' "${change%|*}" > "$scratch/published.csv"
  code=0
  "$fedlane" run "$scratch/config.yaml" --set "published=$scratch/published.csv" --out "$scratch/never" > "$scratch/out" \
    2> "$scratch/err" || code=$?
  [ $code = 2 ] && grep -q "published.csv${change#*|}" "$scratch/err" && [ ! -e "$scratch/never" ] ||
    fail "${change%|*}: exit code $code: $(cat "$scratch/err")"
done
rm -rf "$scratch"
