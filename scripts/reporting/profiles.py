"""scripts/report --profile DIR: figures of a profile, from profile.json and profile.folded of `fedlane profile`, alone."""
import argparse
import json
import os
import sys
import zlib
from xml.sax.saxutils import escape

LEVELS = ("L1", "L2", "L3", "DRAM")


# ---- roofline -------------------------------------------------------------------------------------------------------------
def roofs(profile):
    """FLOP/s of a thread at most, and for each level the best bytes/s of a thread that any mix of streams reached."""
    compute = profile["ceilings"]["compute"]
    peak = max((c["flops_per_second"] for c in compute), default=0.0)
    best = {}
    for b in profile["ceilings"]["bandwidth"]:
        best[b["level"]] = max(best.get(b["level"], 0.0), b["bytes_per_second"])
    return peak, best


def roofline(figures, plt, profile, out):
    """A point a kernel: its FLOPs a byte, and FLOP/s in its own seconds; its area is its share of the run."""
    kernels = [k for k in profile["kernels"] if k["flops"] and k["bytes"] and k["seconds"]]
    peak, best = roofs(profile)
    if not kernels:
        return False
    fig, ax = plt.subplots(figsize=(5.6, 4.0))
    points = [(k["flops"] / k["bytes"], 1e-9 * k["flops"] / k["seconds"], k) for k in kernels]
    low, high = min(p[0] for p in points) / 2, max(max(p[0] for p in points) * 2, 64.0)
    rows = []
    for i, level in enumerate(v for v in LEVELS if v in best):
        ridge = min(high, peak / best[level]) if peak else high
        ax.plot([low, ridge], [1e-9 * best[level] * low, 1e-9 * best[level] * ridge], color="#555555",
                linestyle=figures.DASHES[i], linewidth=1, label="%s: %.0f GB/s" % (level, 1e-9 * best[level]))
        rows.append(("roof", level, "", "%.6g" % (1e-9 * best[level]), ""))
    if peak:
        ax.plot([low, high], [1e-9 * peak] * 2, color="black", linewidth=1, label="FMA: %.0f GFLOP/s" % (1e-9 * peak))
        rows.append(("roof", "FMA", "", "%.6g" % (1e-9 * peak), ""))
    for i, (x, y, k) in enumerate(points):
        ax.scatter([x], [y], s=12 + 400 * k["share"], color=figures.COLOURS[i % len(figures.COLOURS)], alpha=0.8, linewidths=0)
        if i < 14:  # the longest come first
            ax.annotate(k["kernel"], (x, y), fontsize=6, xytext=(4, 3), textcoords="offset points")
        rows.append(("kernel", k["kernel"], "%.6g" % x, "%.6g" % y, "%.6g" % k["share"]))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("FLOPs a byte that the kernel must move")
    ax.set_ylabel("GFLOP/s of a thread (slopes: GB/s)")
    ax.set_title(profile["label"], fontsize=8)
    ax.legend(fontsize=6, frameon=False, loc="lower right")
    figures.save(fig, out, "roofline", "Roofline", ("what", "name", "FLOP/byte", "GFLOP/s or GB/s", "share"), rows)
    return True


# ---- flame graph ----------------------------------------------------------------------------------------------------------
def read_stacks(path):
    """A tree of [weight, children] from lines of frames, joined by semicolons, and a number."""
    root = [0, {}]
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            stack, _, weight = line.rstrip("\n").rpartition(" ")
            if not stack or not weight.isdigit():
                raise ValueError("line %d: no stack with a number" % number)
            node = root
            node[0] += int(weight)
            for frame in stack.split(";"):
                node = node[1].setdefault(frame, [0, {}])
                node[0] += int(weight)
    return root


WIDTH, HEIGHT, LETTER = 1200.0, 18, 6.6


def boxes(node, x, depth, total):
    """(frame, weight, x, width, depth) from the outside in, the largest to the left."""
    for name, child in sorted(node[1].items(), key=lambda item: -item[1][0]):
        width = WIDTH * child[0] / total
        if width >= 0.2:
            yield name, child[0], x, width, depth
            yield from boxes(child, x, depth + 1, total)
        x += width


def flame(path, out):
    """Icicles from the top; a frame's colour is its name's, so that two graphs can be compared. The text of all is in <title>."""
    root = read_stacks(path)
    if not root[0]:
        raise ValueError("no time in it")
    drawn = list(boxes(root, 0.0, 0, root[0]))
    height = HEIGHT * (1 + max(b[4] for b in drawn))
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %d" font-family="monospace" font-size="11">'
             % (WIDTH, height)]
    for name, weight, x, width, depth in drawn:
        code = zlib.crc32(name.encode())
        told = "%s: %.6g s, %.2f %%" % (name, 1e-9 * weight, 100.0 * weight / root[0])
        lines.append('<g><title>%s</title><rect x="%.2f" y="%d" width="%.2f" height="%d" fill="hsl(%d,80%%,%d%%)" '
                     'stroke="white" stroke-width="0.5"/>' % (escape(told), x, depth * HEIGHT, width, HEIGHT, 20 + code % 40,
                                                              68 + code // 64 % 12))
        room = int((width - 6) / LETTER)
        if room >= 3:
            text = name if len(name) <= room else name[:room - 1] + "\u2026"
            lines.append('<text x="%.2f" y="%d">%s</text>' % (x + 3, depth * HEIGHT + 13, escape(text)))
        lines.append("</g>")
    lines.append("</svg>")
    with open(os.path.join(out, "flame.svg"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="report", description="Figures of a profile: roofline and flame graph.")
    parser.add_argument("folder", help="what `fedlane profile` wrote")
    args = parser.parse_args()
    path = os.path.join(args.folder, "profile.json")
    try:
        with open(path, encoding="utf-8") as f:
            profile = json.load(f)
        if profile["schema"] != 1:
            raise ValueError("schema %r" % profile["schema"])
        import figures
        import matplotlib.pyplot as plt
        drawn = roofline(figures, plt, profile, args.folder)
        path = os.path.join(args.folder, "profile.folded")
        flame(path, args.folder)
    except (OSError, ValueError, KeyError, TypeError) as e:
        print("report: %s: no profile: %s" % (path, e), file=sys.stderr)
        return 1
    print("report: %s/%sflame.svg" % (os.path.abspath(args.folder), "roofline.svg, " if drawn else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
