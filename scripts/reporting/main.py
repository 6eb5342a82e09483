"""scripts/report DIR... [--out DIR]: everything is made from the files in the result folders alone."""
import argparse
import os
import sys

import load


def main():
    parser = argparse.ArgumentParser(prog="report", description="Figures, tables and one HTML page from result folders.")
    parser.add_argument("folder", nargs="+", help="what `fedlane run` wrote: a suite, or a single run")
    parser.add_argument("--out", help="where the report goes (default: report/ in the first folder)")
    args = parser.parse_args()
    try:
        runs = load.load(args.folder)
    except load.ReportError as e:
        print("report: %s" % e, file=sys.stderr)
        return 1
    import diagnostics
    import figures
    import page
    import published
    import record
    import tables
    out = args.out or os.path.join(args.folder[0], "report")
    try:
        os.makedirs(out, exist_ok=True)
        grouped = load.series(runs)
        notes = ["%s: %s." % (r.folder, r.status) for r in runs if r.status != "done"]
        notes += ["%s: made in parts on %s: its times are left out." % (r.folder, ", then ".join(
            "%s threads, %s, %s from round %s" % tuple(p.get(k) for k in ("threads", "isa", "cpu", "from_round"))
            for p in r.parts))
            for r in runs if len(r.parts) > 1]
        shared = sum("timing" in r.record for r in runs)
        notes += ["%d runs were trained beside others (--jobs): their times are left out." % shared] if shared else []
        made = figures.curves(grouped, out) + diagnostics.curves(grouped, out) + figures.times(grouped, out, notes)
        made += figures.partitions(runs, out, notes)
        body = tables.write(grouped, out)
        beside = published.write(load.published(args.folder), grouped, out) + diagnostics.write_consistency(grouped, out)
        record.write(runs, out)
        path = os.path.join(out, "report.html")
        page.write(path, runs, grouped, body, made, notes, beside)
    except load.ReportError as e:
        print("report: %s" % e, file=sys.stderr)
        return 1
    except OSError as e:
        print("report: %s: %s" % (e.filename or out, e.strerror), file=sys.stderr)
        return 1
    print("report: %s" % os.path.abspath(path))
    return 0


sys.exit(main())
