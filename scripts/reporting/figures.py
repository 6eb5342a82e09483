"""Figures as PDF (fonts embedded as type 42) and SVG, each with a CSV of exactly the points drawn."""
import csv
import os
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import matplotlib.ticker  # noqa: E402

plt.rcParams.update({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "fedlane", "font.size": 9, "axes.grid": True,
                     "grid.alpha": 0.3, "axes.spines.top": False, "axes.spines.right": False,
                     "figure.constrained_layout.use": True})
# Okabe and Ito's colours, told apart with every common colour blindness; the dash tells them apart in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 1)), (0, (3, 2, 1, 2))]
CLASSES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999", "#7A4FA3"]
PARTS = [("gradient", "#0072B2"), ("optimizer", "#E69F00"), ("aggregation", "#009E73"), ("evaluation", "#CC79A7"),
         ("idle", "#BBBBBB"), ("other", "#D55E00")]
AXES = [("rounds", 0, "round", 1.0), ("seconds", 1, "seconds without evaluation", 1.0),
        ("bytes", 2, "bytes sent (MB, up + down)", 1e-6)]
MAX_CLIENTS = 100
MAX_PARTITIONS = 4


def slug(text):
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()


class Figure:
    def __init__(self, name, title):
        self.name, self.title = name, title
        self.svg = ""


def save(fig, out, name, title, header, rows):
    with open(os.path.join(out, name + ".csv"), "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(header)
        w.writerows(rows)
    # No date inside: the same results give the same files.
    fig.savefig(os.path.join(out, name + ".pdf"), metadata={"CreationDate": None})
    fig.savefig(os.path.join(out, name + ".svg"), metadata={"Date": None})
    plt.close(fig)
    made = Figure(name, title)
    with open(os.path.join(out, name + ".svg"), encoding="utf-8") as f:
        text = f.read()
    made.svg = text[text.index("<svg"):]
    return made


def legend(fig, ax, count):
    """Inside while it is small; beside the axes, where the figure grows, when it would hide them."""
    if count <= 10:
        ax.legend(fontsize=7, frameon=False)
        return
    columns = -(-count // 24)
    fig.set_size_inches(5.2 + 2.6 * columns, 3.4 + 0.1 * max(0, min(count, 24) - 20))
    ax.legend(fontsize=6, frameon=False, ncol=columns, loc="center left", bbox_to_anchor=(1.0, 0.5))


def band(ax, i, series, points, marker=None):
    """Draws the i-th series, [(x, mean, min, max)]; the rows of its CSV."""
    colour, xs = COLOURS[i % len(COLOURS)], [v[0] for v in points]
    ax.plot(xs, [v[1] for v in points], color=colour, marker=marker, linewidth=1.5, label=series.label,
            linestyle=DASHES[(i + i // len(COLOURS)) % len(DASHES)])
    if len(series.runs) > 1:
        ax.fill_between(xs, [v[2] for v in points], [v[3] for v in points], color=colour, alpha=0.15, linewidth=0)
    return [(series.label, len(series.runs)) + tuple("%.10g" % v for v in q) for q in points]


def curves(all_series, out):
    figures = []
    for problem in dict.fromkeys(s.problem for s in all_series):
        chosen = [s for s in all_series if s.problem == problem]
        for quantity, column, unit, scale in (("accuracy", 3, " (%)", 100.0), ("loss", 4, "", 1.0)):
            central = all(r.central() for s in chosen for r in s.runs)
            for axis, x, caption, factor in AXES:
                if central and axis == "bytes":  # nothing is sent
                    continue
                caption = "epoch" if central and axis == "rounds" else caption
                fig, ax = plt.subplots(figsize=(5.2, 3.4))
                rows = []
                for i, s in enumerate(chosen):
                    p = [(a * factor, m * scale, lo * scale, hi * scale) for a, m, lo, hi in s.curve(x, column)]
                    if not p:
                        continue
                    rows += band(ax, i, s, p)
                if not rows:
                    plt.close(fig)
                    continue
                ax.set_xlabel(caption)
                ax.set_ylabel("test " + quantity + unit)
                if axis == "rounds":
                    ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
                legend(fig, ax, len(chosen))
                title = "Test %s against %s: %s" % (quantity, "epochs" if caption == "epoch" else axis, problem)
                figures.append(save(fig, out, "-".join((quantity, axis, slug(problem))), title,
                                    ("method", "seeds", caption, "mean" + unit, "min" + unit, "max" + unit), rows))
    return figures


def class_bars(counts, out, name, title):
    """A bar a client, stacked by class."""
    shown = counts[:MAX_CLIENTS]
    fig, ax = plt.subplots(figsize=(7.2, 3.0))
    base, rows = [0] * len(shown), []
    for c in range(max(len(row) for row in shown)):
        heights = [row[c] if c < len(row) else 0 for row in shown]
        ax.bar(range(len(shown)), heights, 0.9, bottom=base, color=CLASSES[c % len(CLASSES)], label=str(c),
               hatch="//" if c >= len(CLASSES) else None, linewidth=0)
        base = [a + b for a, b in zip(base, heights)]
        rows += [(k, c, h) for k, h in enumerate(heights)]
    ax.set_xlabel("client" if len(shown) == len(counts) else "client (the first %d of %d)" % (len(shown), len(counts)))
    ax.set_ylabel("samples")
    ax.legend(title="class", fontsize=6, title_fontsize=7, ncol=1, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return save(fig, out, name, title, ("client", "class", "samples"), rows)


def partitions(runs, out, notes):
    figures, seen = [], {}
    for r in runs:
        counts = r.class_counts()
        if not isinstance(counts, list) or not counts:
            continue
        key = repr(counts)
        if key not in seen:
            seen[key] = r
    if not seen:
        notes.append("No figure of the clients' class distribution: run.json holds no partition.class_counts.")
    elif len(seen) > MAX_PARTITIONS:
        notes.append("%d different partitions: the figures show the first %d." % (len(seen), MAX_PARTITIONS))
    for i, r in enumerate(list(seen.values())[:MAX_PARTITIONS]):
        partition = r.config.get("partition")
        kind = partition.get("name", "") if isinstance(partition, dict) else str(partition or "")
        figures.append(class_bars(r.class_counts(), out, "clients" if len(seen) == 1 else "clients-%d" % (i + 1),
                                  ("Classes of the clients' samples: %s %s" % (r.data, kind)).strip()))
    return figures


def times(all_series, out, notes):
    rows, bars = [], []
    for s in all_series:
        t = [r.thread_seconds() for r in s.runs]
        if t and all(t):
            mean = {k: sum(x.get(k, 0.0) for x in t) / len(t) for k, _ in PARTS}
            if sum(mean.values()) > 0:
                bars.append((s, mean))
    if not bars:
        notes.append("No figure of where the time went: rounds.jsonl holds no thread_seconds.")
        return []
    problems = len({s.problem for s, _ in bars}) > 1
    names = ["%s: %s" % (s.problem, s.label) if problems else s.label for s, _ in bars]
    fig, ax = plt.subplots(figsize=(7.2, 0.9 + 0.32 * len(bars)))
    left = [0.0] * len(bars)
    for part, colour in PARTS:
        widths = [mean[part] for _, mean in bars]
        ax.barh(range(len(bars)), widths, 0.75, left=left, color=colour, label=part, linewidth=0)
        left = [a + b for a, b in zip(left, widths)]
        rows += [(n, part, repr(w), repr(w / sum(mean.values()))) for n, w, (_, mean) in zip(names, widths, bars)]
    ax.set_yticks(range(len(bars)))
    ax.set_yticklabels(names, fontsize=7)
    ax.invert_yaxis()
    ax.set_xlabel("thread-seconds of a run (mean over seeds)")
    ax.legend(fontsize=7, ncol=6, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return [save(fig, out, "time", "Where the time went", ("run", "part", "thread-seconds", "share"), rows)]
