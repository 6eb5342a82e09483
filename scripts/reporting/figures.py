"""Figures as PDF (fonts embedded as type 42) and SVG, each with a CSV of exactly the points drawn and a caption in LaTeX."""
import csv
import os
import re

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import matplotlib.ticker  # noqa: E402

import load  # noqa: E402
import tables  # noqa: E402
import venues  # noqa: E402

plt.rcParams.update(venues.settings(venues.VENUES[None]))
# Okabe and Ito's colours, told apart with every common colour blindness; dash and marker tell them apart in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00"]
DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)), (0, (1, 1)), (0, (3, 2, 1, 2))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*", "<", ">"]
CLASSES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999", "#7A4FA3"]
PARTS = [("gradient", "#0072B2"), ("optimizer", "#E69F00"), ("aggregation", "#009E73"), ("evaluation", "#CC79A7"),
         ("idle", "#BBBBBB"), ("other", "#D55E00")]
MAX_CLIENTS = 100
MAX_PARTITIONS = 4
MAX_BARS = 60


def slug(text):
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()


class Figure:
    """svg: for the page. group: of which interactive panel the figure is a state, or ""."""

    def __init__(self, name, title, svg, group=""):
        self.name, self.title, self.svg, self.group = name, title, svg, group


def save(fig, out, name, title, header, rows, caption=None, group=""):
    """caption: what is printed below it, (text, lines of comment); without one the figure has none."""
    with open(os.path.join(out, name + ".csv"), "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(header)
        w.writerows(rows)
    if caption:
        with open(os.path.join(out, name + "-caption.tex"), "w", encoding="utf-8") as f:
            f.write("".join("%% %s\n" % line for line in caption[1]))
            f.write("\\caption{%s}\\label{fig:%s}\n" % (tables.latex_text(caption[0]), name))
    fig.draw_without_rendering()  # the layout, once for both
    fig.set_layout_engine("none")
    # No date inside: the same results give the same files.
    fig.savefig(os.path.join(out, name + ".pdf"), metadata={"CreationDate": None})
    fig.savefig(os.path.join(out, name + ".svg"), metadata={"Date": None})
    plt.close(fig)
    with open(os.path.join(out, name + ".svg"), encoding="utf-8") as f:
        text = f.read()
    return Figure(name, title, text[text.index("<svg"):], group)


class Line:
    """points: (x, mean, min, max). style: the number of the method, so that it looks the same in every figure."""

    def __init__(self, label, style, seeds, points):
        self.label, self.style, self.seeds, self.points = label, style, seeds, points


class Plot:
    """Lines over one axis, not yet drawn. state: (group, what, axis), which state of which panel of the page it is. kind: curve,
    or step (a share that rises)."""

    def __init__(self, name, title, x, y, lines, caption, state, kind="curve", log=False, whole=False):
        self.name, self.title, self.x, self.y, self.lines, self.caption = name, title, x, y, lines, caption
        self.group, self.what, self.axis = state
        self.kind, self.log, self.whole = kind, log, whole

    def header(self):
        unit = " (%)" if self.y.endswith("(%)") else ""
        return (("method", "seeds", self.x) + tuple(k + unit for k in ("mean", "min", "max")) if self.kind == "curve" else
                ("method", self.x, self.y))

    def rows(self):
        g = "%.10g"
        if self.kind == "step":
            return [(l.label, g % p[0], g % p[1]) for l in self.lines for p in l.points]
        return [(l.label, l.seeds) + tuple(g % v for v in p) for l in self.lines for p in l.points]


def place_legend(fig, ax, labels, venue):
    """Above the axes, in as many columns as fit; the figure grows by its lines, its width stays the venue's."""
    width, height = fig.get_size_inches()
    letter = venue.small * (0.5 if venue.serif else 0.6)
    columns = max(1, min(len(labels), int((width - 0.2) * 72 / (letter * max(map(len, labels)) + 4.2 * venue.small))))
    lines = -(-len(labels) // columns)
    fig.set_size_inches(width, height + lines * venue.small * 1.35 / 72)
    ax.legend(frameon=False, ncol=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0), columnspacing=1.0, handlelength=2.4,
              handletextpad=0.5, borderaxespad=0.2)


def draw(plot, out, venue):
    plt.rcParams.update(venues.settings(venue))
    fig, ax = plt.subplots(figsize=venue.single())
    thin = venue.column < 4
    for l in plot.lines:
        colour, i = COLOURS[l.style % len(COLOURS)], l.style
        xs, n = [p[0] for p in l.points], len(l.points)
        every = max(1, -(-n // 8))
        ax.plot(xs, [p[1] for p in l.points], color=colour, label=l.label, linewidth=1.0 if thin else 1.4,
                linestyle=DASHES[(i + i // len(COLOURS)) % len(DASHES)], marker=MARKERS[i % len(MARKERS)],
                markersize=2.8 if thin else 3.6, markevery=(i % every, every),
                drawstyle="steps-post" if plot.kind == "step" else "default")
        if plot.kind == "curve" and l.seeds > 1:
            ax.fill_between(xs, [p[2] for p in l.points], [p[3] for p in l.points], color=colour, alpha=0.15, linewidth=0)
    if plot.log:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    if plot.kind == "step":
        ax.set_ylim(-0.03, 1.03)
    if plot.whole:
        ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    ax.set_xlabel(plot.x)
    ax.set_ylabel(plot.y, fontsize=venue.size if len(plot.y) < 40 else venue.small)
    place_legend(fig, ax, [l.label for l in plot.lines], venue)
    return save(fig, out, plot.name, plot.title, plot.header(), plot.rows(), plot.caption, plot.group)


def draw_all(plots, out, venue):
    with load.workers() as pool:
        return list(pool.map(draw, plots, [out] * len(plots), [venue] * len(plots)))


def class_bars(counts, out, name, title, venue=venues.VENUES[None], caption=None):
    """A bar a client, stacked by class."""
    shown = counts[:MAX_CLIENTS]
    fig, ax = plt.subplots(figsize=venue.wide(0.42 * venue.text))
    base, rows = [0] * len(shown), []
    for c in range(max(len(row) for row in shown)):
        heights = [row[c] if c < len(row) else 0 for row in shown]
        ax.bar(range(len(shown)), heights, 0.9, bottom=base, color=CLASSES[c % len(CLASSES)], label=str(c),
               hatch="//" if c >= len(CLASSES) else None, linewidth=0)
        base = [a + b for a, b in zip(base, heights)]
        rows += [(k, c, h) for k, h in enumerate(heights)]
    ax.set_xlabel("client" if len(shown) == len(counts) else "client (the first %d of %d)" % (len(shown), len(counts)))
    ax.set_ylabel("samples")
    ax.legend(title="class", ncol=1, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=venue.small - 1,
              title_fontsize=venue.small)
    return save(fig, out, name, title, ("client", "class", "samples"), rows, caption)


def partitions(runs, out, venue, notes):
    made, seen = [], {}
    for r in runs:
        if r.class_counts():
            seen.setdefault(str((r.record.get("partition") or {}).get("sha256")), r)
    if not seen:
        notes.append("No figure of the clients' class distribution: run.json holds no partition.class_counts.")
    elif len(seen) > MAX_PARTITIONS:
        notes.append("%d different partitions: the figures show the first %d." % (len(seen), MAX_PARTITIONS))
    for i, (sha, r) in enumerate(list(seen.items())[:MAX_PARTITIONS]):
        partition = r.config.get("partition")
        kind = partition.get("name", "") if isinstance(partition, dict) else str(partition or "")
        options = ", ".join("%s=%s" % (k, v) for k, v in partition.items() if k not in ("name", "path", "seed")) \
            if isinstance(partition, dict) else ""
        title = "Classes of the samples of %d clients: %s%s%s" % (
            len(r.class_counts()), r.data, kind and ", %s" % kind, options and " (%s)" % options)
        text = "%s; partition seed %s, SHA-256 %s." % (title, (r.record.get("seeds") or {}).get("partition", "-"), sha[:8])
        made.append(class_bars(r.class_counts(), out, "clients" if len(seen) == 1 else "clients-%d" % (i + 1), title, venue,
                               (text, [])))
    return made


def times(all_series, out, venue, notes):
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
    if len(bars) > MAX_BARS:
        notes.append("%d methods have times: the figure shows the first %d." % (len(bars), MAX_BARS))
        bars = bars[:MAX_BARS]
    problems = len({s.problem for s, _ in bars}) > 1
    names = ["%s: %s" % (s.problem, s.label) if problems else s.label for s, _ in bars]
    fig, ax = plt.subplots(figsize=venue.wide(0.9 + venue.small * 0.022 * len(bars)))
    left = [0.0] * len(bars)
    for part, colour in PARTS:
        widths = [mean[part] for _, mean in bars]
        ax.barh(range(len(bars)), widths, 0.75, left=left, color=colour, label=part, linewidth=0)
        left = [a + b for a, b in zip(left, widths)]
        rows += [(n, part, repr(w), repr(w / sum(mean.values()))) for n, w, (_, mean) in zip(names, widths, bars)]
    ax.set_yticks(range(len(bars)))
    ax.set_yticklabels(names)
    ax.invert_yaxis()
    ax.set_xlabel("thread-seconds of a run (mean over seeds)")
    ax.legend(ncol=6 if venue.text > 6 else 3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    threads = sorted({str(r.record.get("threads")) for s, _ in bars for r in s.runs})
    text = "Where the time of a run went: thread-seconds, mean over seeds; %s, %s." % (
        in_threads(", ".join(threads)), ", ".join(dict.fromkeys(s.cpu for s, _ in bars)))
    return [save(fig, out, "time", "Where the time went", ("run", "part", "thread-seconds", "share"), rows,
                 (text, caption_ids(s for s, _ in bars)))]


def ids(series):
    return [str(r.record.get("run_id", "-")) for r in series.runs]


def caption_ids(all_series):
    """A line of comment a series: all of its run ids, whole."""
    return ["%s: run ids %s" % (s.label, " ".join(ids(s))) for s in all_series]


def in_threads(count):
    return "1 thread" if count == "1" else "%s threads" % count


def span(values):
    """"1, 2, 3", or "1 to 40 (40 of them)"."""
    values = sorted(set(values))
    if len(values) <= 6:
        return ", ".join("%g" % v for v in values)
    return "%g to %g (%d of them)" % (values[0], values[-1], len(values))


