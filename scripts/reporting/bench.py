"""scripts/report-bench FILE [--out DIR]: table and figures from the JSON of `fedlane bench`, or of scripts/performance, alone.
Exit 1 when a kernel is faster than its ceiling."""
import argparse
import os
import sys

import bench_lines
import goals

COLUMNS = ["kernel", "isa", "place", "threads", "ns/element", "cycles/element", "GB/s", "GFLOP/s", "% of ceiling", "ceiling"]


def row(line, cycle):
    number = lambda x, digits: "%.*f" % (digits, x) if x else ""
    return [line.kernel, line.isa, line.place, str(line.threads), "%.4g" % line.best,
            "%.3g" % (line.best / cycle) if cycle else "",
            number(line.gb, 1), number(line.gflops, 1), "" if line.kernel == "ceiling" else line.share, line.ceiling]


def bars(figures, plt, lines, out):
    """Share of the ceiling: one figure an instruction set and number of threads, a bar a kernel and place."""
    made = []
    for isa, threads in dict.fromkeys((l.isa, l.threads) for l in lines):
        chosen = [l for l in lines if (l.isa, l.threads) == (isa, threads) and l.ceiling_ns]
        if not chosen:
            continue
        kinds = ["fma" if "/fma" in l.ceiling else "div" if "/div" in l.ceiling else "own" if "instructions" in l.ceiling
                 else "bandwidth"
                 for l in chosen]
        colour = {"bandwidth": "#0072B2", "fma": "#E69F00", "div": "#009E73", "own": "#999999"}
        fig, ax = plt.subplots(figsize=(6.4, 0.6 + 0.14 * len(chosen)))
        spread = [[l.percent - l.paired[1] if l.paired else 0 for l in chosen],
                  [l.paired[2] - l.percent if l.paired else 0 for l in chosen]]
        ax.barh(range(len(chosen)), [l.percent for l in chosen], color=[colour[k] for k in kinds], xerr=spread,
                error_kw={"linewidth": 0.6})
        ax.set_yticks(range(len(chosen)), ["%s %s" % (l.kernel, l.place) for l in chosen], fontsize=5)
        ax.invert_yaxis()
        ax.set_xlim(0, bench_lines.ABOVE)
        ax.axvline(100, color="black", linewidth=0.8)
        ax.set_xlabel("% of what binds it")
        for kind in dict.fromkeys(kinds):
            ax.barh([0], [0], color=colour[kind], label={"bandwidth": "streams of its mix", "fma": "fused multiply-adds",
                                                         "div": "divider", "own": "its own instructions, near the core"}[kind])
        ax.legend(fontsize=6, loc="lower right")
        title = "%s, %d thread%s" % (isa, threads, "s" if threads > 1 else "")
        ax.set_title(title)
        rows = [[l.name, l.share, l.ceiling] for l in chosen]
        name = "ceilings-%s-%d" % (figures.slug(isa), threads)
        made.append(figures.save(fig, out, name, title, ["line", "percent", "ceiling"], rows))
    return made


def products(figures, plt, lines, out):
    """GFLOP/s of what has FLOPs; the axis ends at the peak."""
    made = []
    peaks = {(l.name.split("/")[1], l.threads): l.gflops for l in lines if l.kernel == "ceiling" and "/fma/" in l.name}
    for (isa, threads), peak in peaks.items():
        chosen = [l for l in lines if (l.isa, l.threads) == (isa, threads) and l.flops]
        if not chosen:
            continue
        fig, ax = plt.subplots(figsize=(6.4, 0.6 + 0.16 * len(chosen)))
        ax.barh(range(len(chosen)), [l.gflops for l in chosen], color="#0072B2")
        ax.set_yticks(range(len(chosen)), ["%s %s" % (l.kernel, l.place) for l in chosen], fontsize=5)
        ax.invert_yaxis()
        ax.set_xlim(0, peak)
        title = "%s, %d thread%s; the axis ends at the peak" % (isa, threads, "s" if threads > 1 else "")
        ax.set_xlabel("GFLOP/s")
        ax.set_title(title)
        rows = [[l.name, "%.6g" % l.gflops, "%.6g" % peak] for l in chosen]
        name = "gflops-%s-%d" % (figures.slug(isa), threads)
        made.append(figures.save(fig, out, name, title, ["line", "GFLOP/s", "peak"], rows))
    return made


def main():
    parser = argparse.ArgumentParser(prog="report-bench", description="Table and figures of `fedlane bench`.")
    parser.add_argument("file", help="what fedlane bench --benchmark_out=FILE wrote, or a result file of scripts/performance")
    parser.add_argument("--out", help="where table (bench.csv) and figures go; without it the table is only printed")
    args = parser.parse_args()
    try:
        record = bench_lines.read(args.file)
        lines = bench_lines.lines(record)
        table = [row(l, bench_lines.cycle(lines)) for l in lines]
        width = [max(len(r[i]) for r in table + [COLUMNS]) for i in range(len(COLUMNS))]
        print("%s, commit %s, %s; the best repetition of each" % bench_lines.machine(record))
        for r in [COLUMNS] + table:
            print("  ".join(cell.ljust(w) for cell, w in zip(r, width)).rstrip())
        for title, header, rows in goals.tables(record):
            print("\n%s\n%s" % (title, "\n".join("\t".join(r) for r in [header] + rows)))
        for text in goals.missed(goals.tables(record)):
            print("missed: %s" % text)
        if args.out:
            import csv
            import figures
            os.makedirs(args.out, exist_ok=True)
            with open(os.path.join(args.out, "bench.csv"), "w", newline="", encoding="utf-8") as f:
                csv.writer(f, lineterminator="\n").writerows([COLUMNS] + table)
            bars(figures, figures.plt, lines, args.out)
            products(figures, figures.plt, lines, args.out)
            if "measurements" in record:
                goals.figures_of(figures, figures.plt, record, args.out)
    except bench_lines.BenchError as e:
        print("report-bench: %s" % e, file=sys.stderr)
        return 1
    except OSError as e:
        print("report-bench: %s: %s" % (e.filename or args.out, e.strerror), file=sys.stderr)
        return 1
    bad = bench_lines.refuted(lines)
    for text in bad:
        print("report-bench: %s" % text, file=sys.stderr)
    return 1 if bad else 0


sys.exit(main())
