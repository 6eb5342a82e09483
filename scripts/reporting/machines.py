"""Of scripts/machines. --keep BENCH_JSON OUT: what a comparison needs of a session of `fedlane bench`. --table RESULTS PAGE: the
table of the machines in that folder, written between two marks of the page."""
import json
import math
import os
import sys

import bench_lines

BEGIN, END = "<!-- machines: written by scripts/machines -->", "<!-- end of machines -->"


def keep(path, out):
    record = bench_lines.read(path)
    context = record["context"]
    lines = [l for l in bench_lines.lines(record) if l.kernel != "ceiling"]
    machine = {k: context.get("machine_" + k) for k in ("cpu", "commit", "isa_used", "compiler")}
    whole = {"machine": machine, "started_at": context.get("date"), "bench": {l.name: l.record() for l in lines}}
    with open(out, "w", encoding="utf-8") as f:
        json.dump(whole, f, indent=1, sort_keys=True)
        f.write("\n")


class Machine:
    def __init__(self, folder):
        with open(os.path.join(folder, "summary.json"), encoding="utf-8") as f:
            record = json.load(f)
        self.folder, self.runs = folder, record["runs"]
        about = record["machines"][0]
        self.name = "%s, %s, %d threads" % (about["cpu"], about["isa_used"], self.runs[0]["threads"])
        path = os.path.join(folder, "bench.json")
        found = bench_lines.lines(bench_lines.read(path)) if os.path.exists(path) else []
        self.kernels = {l.name.replace("/%s/" % l.isa, "/", 1): l for l in found}


def times(runs):
    """{run_id: (label, seconds a round, seconds to target)}"""
    return {r["run_id"]: (r["label"], r["seconds"] / r["rounds"], r.get("seconds_to_target")) for r in runs}


def rows(machines):
    first = machines[0]
    base = times(first.runs)
    yield ["ms a round (ratio)"] + [m.name for m in machines]
    each = [times(m.runs) for m in machines]
    for key, (label, pace, _) in base.items():
        cells = ["%.0f (%.2f)" % (1000 * e[key][1], e[key][1] / pace) if key in e else "-" for e in each]
        yield [label] + cells
    hashes = [{r["run_id"]: (r["hash"], r["trajectory_hash"]) for r in m.runs} for m in machines]
    common = [[k for k in h if k in hashes[0]] for h in hashes]
    same = ["%d of %d runs" % (sum(h[k] == hashes[0][k] for k in c), len(c)) for h, c in zip(hashes, common)]
    yield ["same bits as the first"] + ["-"] + same[1:]
    kernels = [k for k in first.kernels if all(k in m.kernels for m in machines)]
    if kernels:
        logs = [sum(math.log(m.kernels[k].best / first.kernels[k].best) for k in kernels) for m in machines]
        means = [math.exp(v / len(kernels)) for v in logs]
        yield ["%d kernels near the core: time, geometric mean of the ratios" % len(kernels)] + ["%.2f" % v for v in means]
        shares = [[m.kernels[k].percent for k in kernels if m.kernels[k].percent] for m in machines]
        yield ["their median share of the machine's own ceiling"] + [
            "%.0f %%" % sorted(s)[len(s) // 2] if s else "-" for s in shares]


def table(results, page):
    folders = [os.path.join(results, d) for d in sorted(os.listdir(results))]
    machines = [Machine(d) for d in folders if os.path.exists(os.path.join(d, "summary.json"))]
    if not machines:
        raise bench_lines.BenchError("%s: no machine in it" % results)
    machines.sort(key=lambda m: sum(t[1] for t in times(m.runs).values()))
    body = ["| " + " | ".join(r) + " |" for r in rows(machines)]
    body.insert(1, "|" + " --- |" * (len(machines) + 1))
    text = "\n".join(body + ["", "From " + ", ".join("`%s`" % os.path.relpath(m.folder) for m in machines) + "."])
    with open(page, encoding="utf-8") as f:
        old = f.read()
    if BEGIN not in old or END not in old:
        raise bench_lines.BenchError("%s: the lines '%s' and '%s' are missing" % (page, BEGIN, END))
    before, rest = old.split(BEGIN, 1)
    with open(page, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + "\n" + text + "\n" + END + rest.split(END, 1)[1])
    print(text)


def main():
    try:
        {"--keep": keep, "--table": table}[sys.argv[1]](*sys.argv[2:])
    except (bench_lines.BenchError, OSError) as e:
        print("machines: %s" % e, file=sys.stderr)
        return 1
    return 0


sys.exit(main())
