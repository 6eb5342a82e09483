"""scripts/report SERIES.json --out DIR [--venue VENUE], which `fedlane report` calls: figures and page, made from the files in
the result folders alone."""
import argparse
import os
import sys

import load
import venues


def told(runs):
    """What a reader of the page must know about the runs."""
    notes = ["%s: %s." % (r.folder, r.status) for r in runs if r.status != "done"]
    notes += ["%s: made in parts on %s: its times are left out." % (r.folder, ", then ".join(
        "%s threads, %s, %s from round %s" % tuple(p.get(k) for k in ("threads", "isa", "cpu", "from_round")) for p in r.parts))
        for r in runs if len(r.parts) > 1]
    if len(notes) > 50:
        notes = notes[:50] + ["%d more such notes: see the status of each run below." % (len(notes) - 50)]
    shared = sum("timing" in r.record for r in runs)
    return notes + (["%d runs were trained beside others (--jobs): their times are left out." % shared] if shared else [])


def draw(report, out, venue):
    import across
    import curves
    import diagnostics
    import figures
    import page
    import published
    import record
    figures.plt.rcParams.update(venues.settings(venue))
    notes = told(report.runs)
    shown, style = curves.chosen(report, notes), curves.styles(report.series)
    plots = curves.evaluations(report, shown, style) + curves.diagnostics(report, shown, style)
    plots += curves.profiles(report, style)
    made = figures.draw_all(plots, out, venue)
    made += figures.times([s for found in shown.values() for s in found], out, venue, notes)
    made += figures.partitions(report.runs, out, venue, notes)
    sections = [published.write(report.published, report.series, out), diagnostics.write_consistency(report.series, out),
                across.write(report, out)]
    record.write(report.runs, out)
    path = os.path.join(out, "report.html")
    page.write(path, report, plots, made, notes, sections)
    return path


def main():
    parser = argparse.ArgumentParser(prog="report", description="Figures and one HTML page of what `fedlane report` found.")
    parser.add_argument("series", help="series.json, which `fedlane report DIR...` writes before it calls this")
    parser.add_argument("--out", required=True, help="where the figures go")
    parser.add_argument("--venue", choices=[v for v in venues.VENUES if v], help="widths and font sizes of that venue's papers")
    args = parser.parse_args()
    try:
        path = draw(load.Report(args.series), args.out, venues.VENUES[args.venue])
    except load.ReportError as e:
        print("report: %s" % e, file=sys.stderr)
        return 1
    except OSError as e:
        print("report: %s: %s" % (e.filename or args.out, e.strerror), file=sys.stderr)
        return 1
    print("report: %s" % os.path.abspath(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
