"""scripts/report --partition FILE [--out DIR]: figures of a partition from the JSON of `fedlane partition --stats`, alone."""
import argparse
import json
import os
import sys


def dots(figures, plt, stats, out):
    """A dot for each class of a client, its area the number of samples."""
    clients = stats["client"][:figures.MAX_CLIENTS]
    rows = [(i, c, n) for i, one in enumerate(clients) for c, n in enumerate(one["class_counts"]) if n]
    most = max(n for _, _, n in rows)
    fig, ax = plt.subplots(figsize=(7.2, 3.0))
    ax.scatter([r[0] for r in rows], [r[1] for r in rows], s=[60.0 * r[2] / most for r in rows], linewidths=0,
               c=[figures.CLASSES[r[1] % len(figures.CLASSES)] for r in rows])
    ax.set_xlabel("client" if len(clients) == len(stats["client"]) else "client (the first %d)" % len(clients))
    ax.set_ylabel("class")
    if max(r[1] for r in rows) < 20:                # of more there is no room
        ax.set_yticks(range(max(r[1] for r in rows) + 1))
    ax.set_title("largest dot: %d samples" % most, fontsize=8)
    figures.save(fig, out, "partition-dots", "Classes of the clients' samples", ("client", "class", "samples"), rows)


def distances(figures, plt, stats, out):
    """Clients sorted by each distance from the data's label distribution."""
    fig, ax = plt.subplots(figsize=(3.6, 3.0))
    rows = []
    for i, name in enumerate(("total_variation", "jensen_shannon")):
        values = sorted(one[name] for one in stats["client"])
        ax.plot(values, [(k + 1) / len(values) for k in range(len(values))], color=figures.COLOURS[i],
                linestyle=figures.DASHES[i], label=name.replace("_", " "), drawstyle="steps-post")
        rows += [(name, "%.10g" % v) for v in values]
    ax.set_xlabel("distance from the data's labels")
    ax.set_ylabel("part of the clients below it")
    ax.set_xlim(0, 1)
    ax.legend(fontsize=7, frameon=False)
    figures.save(fig, out, "partition-distances", "Distance from the data's labels", ("distance", "client's"), rows)


def main():
    parser = argparse.ArgumentParser(prog="report", description="Figures of a partition.")
    parser.add_argument("file", help="what `fedlane partition CONFIG --stats FILE.json` wrote")
    parser.add_argument("--out", default=".", help="where the figures go (default: here)")
    args = parser.parse_args()
    try:
        with open(args.file, encoding="utf-8") as f:
            stats = json.load(f)
        if stats["schema"] != 1 or not stats["assigned"]:
            raise ValueError("schema %r with %r samples" % (stats["schema"], stats["assigned"]))
    except (OSError, ValueError, KeyError, TypeError) as e:
        print("report: %s: no statistics of a partition: %s" % (args.file, e), file=sys.stderr)
        return 1
    import figures
    import matplotlib.pyplot as plt
    try:
        os.makedirs(args.out, exist_ok=True)
        counts = [one["class_counts"] for one in stats["client"]]
        figures.class_bars(counts, args.out, "partition-bars", "Classes of the clients' samples")
        dots(figures, plt, stats, args.out)
        distances(figures, plt, stats, args.out)
    except OSError as e:
        print("report: %s: %s" % (e.filename or args.out, e.strerror), file=sys.stderr)
        return 1
    print("report: %s/partition-*.svg" % os.path.abspath(args.out))
    return 0


sys.exit(main())
