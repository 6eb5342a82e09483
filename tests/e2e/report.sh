#!/usr/bin/env bash
# `fedlane report` from two seeds: page, table, figures, record; the same runs with other threads are no further seeds; and the
# installed program finds its own copy. Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "report.sh: FAILED: $*" >&2; exit 1; }
if ! /usr/bin/python3 -c 'import matplotlib' 2> /dev/null; then
  echo "python3-matplotlib is not installed"
  exit 77
fi

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 200 60 1
cat > "$scratch/config.yaml" <<END
seeds: [1, 2]
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
partition: {name: iid}
model: logistic
federated: {clients: 10, participation: 0.5, rounds: 3, batch_size: 10, target_accuracy: 0.01,
            diagnostics: [drift, sharpness], sharpness_steps: 2}
algorithms: [fedavg, {name: fedadamw, lr: 1e-3}]
END
run() {
  "$fedlane" run "$scratch/config.yaml" "$@" > "$scratch/run.out" 2> "$scratch/run.err" || {
    cat "$scratch/run.err" >&2
    fail "run $*"
  }
}
tables() { # the same without figures, which take seconds
  FEDLANE_PYTHON=$scratch/none "$fedlane" report "$@"
}
rows() { # FILE PATTERN: lines of the table that match
  grep -c "$2" "$1" || true
}
run --out "$scratch/one" --threads 2
run --out "$scratch/two" --threads 1

"$fedlane" report "$scratch/one" --out "$scratch/page" > "$scratch/out" 2> "$scratch/err" || {
  cat "$scratch/err" >&2
  fail "fedlane report"
}
grep -q "$scratch/page/report.html" "$scratch/out" || fail "it does not print where the page lies: $(cat "$scratch/out")"
for file in report.html table.csv table.tex clients.csv clients.pdf clients.svg time.csv time.pdf time.svg summary.json; do
  [ -s "$scratch/page/$file" ] || fail "$file is missing"
done
for axis in rounds seconds bytes gradients; do
  for what in accuracy loss; do
    compgen -G "$scratch/page/$what-$axis*.pdf" > /dev/null || fail "no figure of $what against $axis"
  done
done
for what in client-drift sharpness; do
  compgen -G "$scratch/page/$what-*.svg" > /dev/null || fail "no figure of $what"
done
[ "$(rows "$scratch/page/consistency.csv" ',fedavg,2,.*,[0-9.]*,[0-9.]*$')" = 1 ] ||
  fail "no consistency of fedavg over two seeds: $(cat "$scratch/page/consistency.csv")"
grep -qi 'src="http\|href="http[^"]*\.\(js\|css\)' "$scratch/page/report.html" && fail "the page is not self-contained"
[ "$(rows "$scratch/page/table.csv" ',fedavg,2,')" = 1 ] ||
  fail "no row of fedavg over two seeds: $(cat "$scratch/page/table.csv")"

# Seeds 1 and 2 twice are not four seeds: pooled, the spread would be too small.
tables "$scratch/one" "$scratch/two" --out "$scratch/both" > "$scratch/out"
[ "$(rows "$scratch/both/table.csv" 'fedavg (threads=[12]),2,')" = 2 ] ||
  fail "threads are pooled: $(cat "$scratch/both/table.csv")"
cp -r "$scratch/one" "$scratch/again"
tables "$scratch/one" "$scratch/again" --out "$scratch/both" > "$scratch/out"
[ "$(rows "$scratch/both/table.csv" 'fedavg[^,]*,2,')" = 2 ] || fail "a repeat is pooled: $(cat "$scratch/both/table.csv")"

# A run that another version or compiler made is no further seed.
cp -r "$scratch/one" "$scratch/versions"
sed -i 's/"version": "[^"]*"/"version": "0.0.9"/' "$scratch/versions/fedavg-s2/run.json"
sed -i 's/"compiler": "[^"]*"/"compiler": "other \\"1\\" [*]"/' "$scratch/versions/fedadamw-s2/run.json"
tables "$scratch/versions" --out "$scratch/both" > "$scratch/out"
[ "$(rows "$scratch/both/table.csv" 'fedavg (version=.*),1,')" = 2 ] && grep -q 'version=0.0.9 ' "$scratch/both/table.csv" &&
  [ "$(rows "$scratch/both/table.csv" 'fedadamw (compiler=.*)"*,1,')" = 2 ] ||
  fail "versions or compilers are pooled: $(cat "$scratch/both/table.csv")"
# In LaTeX that needs no font encoding; behind the end of a line [ and * would be the line's.
grep -qF 'other \char34{}1\char34{} {[}{*}])' "$scratch/both/table.tex" || fail "table.tex: $(cat "$scratch/both/table.tex")"

# A run that has not ended has no accuracy yet, and may reach its target.
cp -r "$scratch/one" "$scratch/open"
rm "$scratch/open/fedavg-s2/summary.json"
sed -i 2q "$scratch/open/fedavg-s2/rounds.jsonl"
sed -i 's/"target_accuracy": 0.01/"target_accuracy": 2/' "$scratch"/open/fed*/run.json
tables "$scratch/open" --out "$scratch/both" > "$scratch/out"
grep -q ',fedavg,2,unfinished,unfinished,unfinished,[0-9]*,-,-$' "$scratch/both/table.csv" &&
  grep -q ',fedavg,0 of 2,unfinished,' "$scratch/both/targets.csv" &&
  grep -q ',fedadamw,2,.*±.*,inf,' "$scratch/both/table.csv" ||
  fail "an unfinished run counts as a result: $(cat "$scratch/both/table.csv")"

# What series.json cannot name is told, or refused.
latin=$(printf 'latin-\xe9')
mkdir -p "$scratch/names/$latin"
cp -r "$scratch/one/fedavg-s1" "$scratch/names/run"
cp -r "$scratch/one/fedavg-s2" "$scratch/names/$latin/run"
tables "$scratch/names" --out "$scratch/both" > "$scratch/out" 2> "$scratch/err"
grep -aq 'left out: its name is not UTF-8' "$scratch/err" || fail "a folder left out without a word"
code=0
tables "$scratch/names/$latin" --out "$scratch/both" > "$scratch/out" 2> "$scratch/err" || code=$?
[ $code = 1 ] && grep -aq 'allowed: a path in UTF-8' "$scratch/err" || fail "a path that is no UTF-8: exit code $code"

# A report of other runs leaves no table of the earlier ones; a full device is told.
sed -i 's/"target_accuracy": 2/"target_accuracy": 0/' "$scratch"/open/fed*/run.json
tables "$scratch/open" --out "$scratch/both" > "$scratch/out"
compgen -G "$scratch/both/targets*" && fail "the earlier runs' targets are still there"
code=0
tables "$scratch/one" --out "$scratch/both" > /dev/full 2> "$scratch/err" || code=$?
[ $code = 1 ] && grep -q 'cannot write to standard output' "$scratch/err" || fail "a full device: exit code $code"

# What an earlier configuration left in the folder is no part of the suite that it holds now.
run --out "$scratch/one" --seeds 1,2 --set algorithms.fedadamw.lr=1e-2
mkdir "$scratch/stale" && cp -r "$scratch/one" "$scratch/stale/suite" &&
  cp -r "$scratch/two/fedavg-s2" "$scratch/stale/suite/old-s2"
grep -q 'earlier result' "$scratch/run.err" || fail "results are replaced without a word: $(cat "$scratch/run.err")"
tables "$scratch/stale" --out "$scratch/both" > "$scratch/out" 2> "$scratch/err"
[ "$(rows "$scratch/both/table.csv" 'fedavg')" = 1 ] && grep -q 'old-s2 left out' "$scratch/err" ||
  fail "a folder that suite.json does not name is drawn: $(cat "$scratch/both/table.csv" "$scratch/err")"

# A resume with one of the seeds leaves the others in the suite.
run --resume "$scratch/one" --seeds 2 --set algorithms.fedadamw.lr=1e-2
tables "$scratch/one" --out "$scratch/both" > "$scratch/out"
[ "$(rows "$scratch/both/table.csv" ',fedavg,2,')" = 1 ] ||
  fail "a resume of one seed drops the others: $(cat "$scratch/both/table.csv")"

# Published figures: one line each, beside the run that matches; a wrong order, a wrong column and a wrong figure are named.
cat > "$scratch/published.csv" <<END
row,column,accuracy,pick,algorithm.name,partition.name,federated.rounds
FedAvg,iid,100.5,,fedavg,iid,3
either,iid,0.5,best,fedavg|fedadamw,iid,
none,iid,50,,fedavg,dirichlet,
END
run --out "$scratch/joined" --set "published=$scratch/published.csv"
cmp "$scratch/published.csv" "$scratch/joined/published.csv" || fail "the published figures are not in the results"
report() { "$fedlane" report "$scratch/joined" --out "$scratch/page" > "$scratch/out" 2> "$scratch/err"; }
report || fail "with published figures: $(cat "$scratch/err")"
/usr/bin/python3 - "$scratch" <<'END' || fail "comparison.csv"
import csv, json, statistics, sys
scratch = sys.argv[1]
lines = {r["row"]: r for r in csv.DictReader(open(scratch + "/page/comparison.csv"))}
def ours(name):
    means = []
    for seed in (1, 2):
        e = [json.loads(l)["accuracy"] for l in open("%s/joined/%s-s%d/rounds.jsonl" % (scratch, name, seed))]
        means.append(100 * statistics.fmean(e[-10:]))
    return statistics.fmean(means)
avg, adam = ours("fedavg"), ours("fedadamw")
assert lines["FedAvg"]["ours (%)"] == "%.2f" % avg and lines["FedAvg"]["difference"] == "%+.2f" % (avg - 100.5), lines
assert lines["either"]["ours (%)"] == "%.2f" % max(avg, adam), lines
assert lines["either"]["our run"] == ("fedavg" if avg >= adam else "fedadamw"), lines
assert lines["none"]["our run"] == "none" and lines["none"]["difference"] == "-", lines
page = open(scratch + "/page/report.html").read()
turned = avg <= max(avg, adam)  # published 100 points apart the other way
assert ("0 of 1 pairs" if turned else "1 of 1 pairs") in page, page[page.index("Published figures"):][:600]
END
for change in 's/federated.rounds/federated.round/|no key of these runs' 's/100.5/many/|accuracy = .many' \
              's/best/worst/|pick = .worst'; do
  sed "${change%|*}" "$scratch/published.csv" > "$scratch/joined/published.csv"
  ! report && grep -q "published.csv:[0-9]*: .*${change#*|}" "$scratch/err" || fail "$change: $(cat "$scratch/err")"
done

cmake --install "$(dirname "$fedlane")" --prefix "$scratch/prefix" > "$scratch/install.log"
"$scratch/prefix/bin/fedlane" report "$scratch/one" --out "$scratch/installed" > "$scratch/out" ||
  fail "the installed program's report"
[ -s "$scratch/installed/report.html" ] || fail "the installed program wrote no page"

code=0
"$fedlane" report "$scratch/data" > "$scratch/out" 2> "$scratch/err" || code=$?
[ "$code" = 1 ] && grep -q 'run.json' "$scratch/err" || fail "a folder without results: exit code $code: $(cat "$scratch/err")"
rm -rf "$scratch"
