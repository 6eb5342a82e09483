"""Results of several machines side by side: seconds of each method on each, never averaged over them, and whether the runs
with one run_id ended on the same bits."""
import csv
import os
import statistics

import load
import tables


def machine(run):
    """CPU, instruction set and threads: what a time is of."""
    return run.cpu, str(run.machine.get("isa_used") or "?"), str(run.record.get("threads") or run.machine.get("threads") or "?")


def name(key):
    return "%s, %s, %s thread%s" % (key + ("" if key[2] == "1" else "s",))


def mean(values):
    values = list(values)
    return statistics.fmean(values) if values and None not in values else None


def pace(run):
    """Seconds a round, or an epoch; None when the run has no time of its own."""
    seconds = None if run.mixed else load.number(run.end.get("seconds"))
    return seconds / run.end["round"] if seconds else None


def to_target(run):
    reached = run.reach()
    return reached[load.SECONDS] if reached else None


def shown(value, base, digits):
    """A time and its ratio to the first machine's."""
    return ["-" if value is None else "%.*f" % (digits, value), "%.2f" % (value / base) if value and base else "-"]


def speeds(all_series, machines):
    """A row a problem, method and machine, of methods that several machines have: over the seeds that all of those have."""
    found, rows = {}, []
    for s in all_series:
        for r in s.runs:
            found.setdefault((s.problem, r.label), {}).setdefault(machine(r), []).append(r)
    for (problem, label), by in found.items():
        own = [m for m in machines if m in by]
        common = set.intersection(*(set(r.seed for r in by[m]) for m in own))
        chosen = {m: [r for r in by[m] if r.seed in common] for m in own}
        times = {m: (mean(map(pace, chosen[m])), mean(map(to_target, chosen[m]))) for m in own}
        for m in own if len(own) > 1 else []:
            rows.append([problem, label, name(m), str(len(common))] + shown(times[m][0], times[own[0]][0], 4) +
                        shown(times[m][1], times[own[0]][1], 2))
    return rows


def bits(runs, machines):
    """[machine, machine, same, of]: runs with one run_id on both."""
    rows = []
    for i, a in enumerate(machines):
        for b in machines[i + 1:]:
            hashes = [{r.record.get("run_id"): (r.summary.get("hash"), r.summary.get("trajectory_hash")) for r in runs
                       if machine(r) == m and r.summary.get("hash")} for m in (a, b)]
            common = [k for k in hashes[0] if k in hashes[1]]
            same = sum(hashes[0][k] == hashes[1][k] for k in common)
            rows.append([name(a), name(b), "%d of %d" % (same, len(common))])
    return rows


BITS = ["machine", "machine", "same bits"]


def write(report, out):
    """machines.csv and the HTML of both tables; nothing for one machine."""
    machines = list(dict.fromkeys(machine(r) for r in report.runs))
    path = os.path.join(out, "machines.csv")
    if len(machines) < 2:
        if os.path.exists(path):
            os.remove(path)
        return ""
    rows, same = speeds(report.series, machines), bits(report.runs, machines)
    speed = ["data, model", "method", "machine", "seeds", "seconds " + load.one(report.runs), "ratio",
             "seconds to target", "ratio to target"]
    with open(path, "w", newline="", encoding="utf-8") as f:
        csv.writer(f, lineterminator="\n").writerows([speed] + rows + [[]] + [BITS] + same)
    return ("<h2>Across machines</h2><p>Seconds of each method on each machine, over the seeds that all have; ratios to the "
            "first of them: below 1 is faster. Runs with one run_id must end on the same bits (<code>machines.csv</code>).</p>" +
            tables.as_html(speed, rows) + tables.as_html(BITS, same))
