#!/usr/bin/env bash
# What scripts/test leaves out because it needs a browser and LaTeX: a report's page used in headless Chromium, and its tables and
# figures set with pdflatex in the venues' widths. scripts/test-long paper installs both.
# Arguments: PROGRAM SOURCE_DIR SCRATCH_DIR
set -euo pipefail
fedlane=$1 source=$2 scratch=$3
rm -rf "$scratch"
mkdir -p "$scratch"
fail() { echo "paper.sh: FAILED: $*" >&2; exit 1; }
for program in chromium pdflatex; do
  command -v $program > /dev/null || { echo "$program is not installed"; exit 77; }
done

bash "$source/tests/e2e/make_data.sh" "$scratch/data" 200 60 1
cat > "$scratch/config.yaml" << END
seeds: [1, 2, 3]
data: {format: idx, train: $scratch/data/train, test: $scratch/data/t10k}
partition: {name: iid}
model: [logistic, mlp]
federated: {clients: 10, participation: 0.5, rounds: 6, batch_size: 10, target_accuracy: 0.6, diagnostics: drift}
algorithms: [fedavg, {name: fedadamw, lr: 1e-3}, {name: local_adamw, lr: 1e-5}]
END
"$fedlane" run "$scratch/config.yaml" --out "$scratch/suite" --threads 2 > "$scratch/out" 2>&1 ||
  fail "run: $(cat "$scratch/out")"

"$fedlane" report "$scratch/suite" --out "$scratch/page" > "$scratch/out" 2>&1 || fail "report: $(cat "$scratch/out")"
cat "$scratch/page/report.html" "$source/tests/paper/drive.html" > "$scratch/page/driven.html"
dom() { # PAGE: as it is after its scripts have run
  timeout 120 chromium --headless --no-sandbox --disable-gpu --user-data-dir="$scratch/chromium" --virtual-time-budget=5000 \
    --dump-dom "file://$1" > "$scratch/dom" 2> "$scratch/err" || fail "chromium: $(tail -5 "$scratch/err")"
}
dom "$scratch/page/driven.html"
title=$(sed -n 's/.*<title>\(.*\)<\/title>.*/\1/p' "$scratch/dom" | head -1)
[ "$title" = PASSED ] || fail "the page: $title"
sed 's/<script>/<script type="text\/none">/' "$scratch/page/report.html" > "$scratch/page/still.html"
dom "$scratch/page/still.html"
[ "$(grep -c '<figure><svg' "$scratch/dom")" -gt 15 ] && ! grep -q '<details>' "$scratch/dom" ||
  fail "without scripts the page has no figures"

# Everything must fit: TeX tells what is wider than its line.
for venue in neurips:5.5in:5.5in icml:3.25in:6.75in ieee:3.5in:7.16in; do
  IFS=: read -r venue column text <<< "$venue"
  folder=$scratch/$venue
  "$fedlane" report "$scratch/suite" --out "$folder" --venue "$venue" > "$scratch/out" 2>&1 ||
    fail "report: $(cat "$scratch/out")"
  {
    printf '%s\n' '\documentclass[10pt]{article}' '\usepackage[paperwidth=9in,paperheight=60in,margin=0.5in]{geometry}' \
      '\usepackage[T1]{fontenc}' '\usepackage{times,booktabs,graphicx,caption}' '\hfuzz=1pt' '\begin{document}' \
      '\setlength{\parindent}{0pt}'
    for name in table targets accuracy; do
      width=$text
      [ $name != accuracy ] || width=$column
      printf '\\begin{minipage}{%s}\\captionsetup{type=table}\\input{%s-caption}\\input{%s}' "$width" $name $name
      echo '\end{minipage}\par'
    done
    for pdf in "$folder"/*.pdf; do
      name=$(basename "$pdf" .pdf) width=$column
      case $name in time | clients) width=$text ;; esac
      printf '\\begin{minipage}{%s}\\captionsetup{type=figure}\\includegraphics{%s.pdf}\\input{%s-caption}' "$width" "$name" \
        "$name"
      echo '\end{minipage}\par'
    done
    echo '\end{document}'
  } > "$folder/paper.tex"
  (cd "$folder" && pdflatex -interaction=nonstopmode -halt-on-error paper.tex) > "$scratch/tex" ||
    fail "$venue: $(tail -20 "$scratch/tex")"
  ! grep -A 3 'Overfull .hbox' "$scratch/tex" || fail "$venue: something is wider than its column"
  pdffonts "$folder/paper.pdf" | awk 'NR > 2 && /Type 3/ { bad = 1 } END { exit bad }' || fail "$venue: a font of Type 3"
done
[ -n "${FEDLANE_KEEP:-}" ] || rm -rf "$scratch"
