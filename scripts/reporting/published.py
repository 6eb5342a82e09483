"""Published figures beside ours. published.csv has a line a figure: row and column (as in the published table), accuracy in
percent, and what a run must be to compare with it: columns named like keys of the configuration (algorithm.name,
partition.dirichlet_alpha, ...), empty where any value will do, "a|b" for one of several. Optional: pick = best (of the runs
that match, the one with the highest accuracy; without it each is compared), source, note."""
import csv
import html
import itertools
import os
import statistics
import sys

import load
import tables

OWN = ("row", "column", "accuracy", "pick", "source", "note")
HEADER = ["row", "column", "our run", "seeds", "published (%)", "ours (%)", "difference", "last (%)", "best (%)"]
TAIL = 10  # evaluations at the end of a run whose mean is compared
GAP = 2.0  # published differences above it are an order that ours should have


class Figure:
    def __init__(self, where, line, keys):
        self.where = where
        self.row, self.column, self.pick = line["row"], line["column"], line.get("pick") or ""
        self.accuracy = float(line["accuracy"])
        self.match = {k: line[k].split("|") for k in keys if line.get(k)}

    def matches(self, config):
        return all(k in config and same(config[k], v) for k, v in self.match.items())


def same(value, allowed):
    for text in allowed:
        try:
            if not isinstance(value, bool) and float(value) == float(text):
                return True
        except (TypeError, ValueError):
            pass
        if str(value) == text or (isinstance(value, bool) and text == ("yes" if value else "no")):
            return True
    return False


def read(path):
    """The figures of one file; `fedlane report` has looked at its columns, lines and values (harness/published.c)."""
    try:
        with open(path, newline="", encoding="utf-8") as f:
            reader = csv.DictReader(f)
            lines = [(reader.line_num, line) for line in reader]
    except OSError as e:
        raise load.ReportError("%s: %s" % (path, e.strerror))
    keys = [n for n in (reader.fieldnames or []) if n not in OWN]
    return [Figure("%s:%d" % (path, number), line, keys) for number, line in lines]


def tail(run, n):
    e = [x[load.ACCURACY] for x in run.evaluations()[-n:]]
    return 100 * statistics.fmean(e) if e and run.status not in load.NO_RESULT else None


def measure(s, f):
    """A mean over the seeds, or None when a seed has none."""
    values = [f(r) for r in s.runs]
    return None if any(v is None for v in values) else statistics.fmean(values)


def best(run):
    e = [x[load.ACCURACY] for x in run.evaluations()]
    return 100 * max(e) if e else None


def text(value, sign=""):
    return "-" if value is None else ("%" + sign + ".2f") % value


def compare(figures, all_series):
    """[(figure, series or None, ours or None)], a line for each figure and run that match."""
    made = []
    configs = [load.leaves(s.runs[0].config) for s in all_series]
    for f in figures:
        found = [(f, s, measure(s, lambda r: tail(r, TAIL))) for s, c in zip(all_series, configs) if f.matches(c)]
        if f.pick and found:
            found = [max(found, key=lambda x: -1.0 if x[2] is None else x[2])]
        made += found or [(f, None, None)]
    return made


def line(f, s, ours, several):
    if s is None:
        return [f.row, f.column, "none", "0", text(f.accuracy), "-", "-", "-", "-"]
    shown = sorted({r.status for r in s.runs} - {"done"})[:1] if ours is None else [text(ours)]
    name = "%s: %s" % (s.problem, s.label) if several else s.label
    return [f.row, f.column, name, str(len(s.runs)), text(f.accuracy), (shown or ["-"])[0],
            text(None if ours is None else ours - f.accuracy, "+"), text(measure(s, lambda r: tail(r, 1))),
            text(measure(s, best))]


def order(made):
    """Pairs of a column whose published gap exceeds GAP: (how many, those that are the other way round here)."""
    known = [(f, ours) for f, s, ours in made if ours is not None]
    pairs, turned = 0, []
    for (f, a), (g, b) in itertools.combinations(known, 2):
        if f.column != g.column or f.row == g.row or abs(f.accuracy - g.accuracy) <= GAP:
            continue
        pairs += 1
        if (f.accuracy - g.accuracy) * (a - b) <= 0:
            turned.append("%s: %s %.2f, %s %.2f (published %.2f, %.2f)" % (f.column, f.row, a, g.row, b, f.accuracy, g.accuracy))
    return pairs, turned


def matrix(made):
    """Rows and columns as published, "ours (difference)" in each cell; None when a cell would have several runs."""
    cells = {}
    for f, _, ours in made:
        if (f.row, f.column) in cells:
            return None
        cells[f.row, f.column] = "-" if ours is None else "%.2f (%+.2f)" % (ours, ours - f.accuracy)
    columns, rows = (list(dict.fromkeys(k[i] for k in cells)) for i in (1, 0))
    return ["method"] + columns, [[r] + [cells.get((r, c), "") for c in columns] for r in rows]


def write(paths, all_series, out):
    """Writes comparison.csv and comparison.tex; the section of the page, or "" without published figures."""
    made = compare([f for p in paths for f in read(p)], all_series) if paths else []
    if not made:
        return ""
    several = len({s.problem for s in all_series}) > 1
    body = [line(*m, several) for m in made]
    for f, s, _ in made:
        if s is None:
            print("report: %s: no run has %s" % (f.where, ", ".join("%s=%s" % (k, "|".join(v)) for k, v in f.match.items())),
                  file=sys.stderr)
    few = min((len(r.evaluations()) for _, s, _ in made if s for r in s.runs), default=TAIL)
    warning = ("<p class=note>Of some runs only %d evaluations are there, fewer than the %d of the mean: these figures are not "
               "those of the published setting.</p>" % (few, TAIL) if few < TAIL else "")
    with open(os.path.join(out, "comparison.csv"), "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(HEADER)
        w.writerows(body)
    square = matrix(made)
    if square:
        tables.latex(os.path.join(out, "comparison.tex"), "ours (ours minus published), accuracy in percent", *square)
    pairs, turned = order(made)
    parts = ["<h2>Published figures</h2>", warning,
             "<p>Ours: mean of the last 10 evaluations of a run, then over seeds; the difference is ours minus published, in "
             "points. %d of %d pairs whose published gap exceeds %g points have the published order.%s</p>" %
             (pairs - len(turned), pairs, GAP, " Turned round: %s." % html.escape("; ".join(turned)) if turned else "")]
    parts += [tables.as_html(*square)] if square else []
    return "\n".join(parts + [tables.as_html(HEADER, body)])
