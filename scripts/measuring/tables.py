"""From a session's record: DIR/CPU.json, DIR/CPU.csv and the Markdown table in the page, all made from the record alone."""
import csv
import glob
import json
import os
import statistics

import jobs
import rivals

BEGIN, END = "<!-- written by scripts/performance; do not edit -->\n", "<!-- end -->\n"
HEADER = ["figure", "threads", "Fedlane", "target", "limit", "of limit", "PyTorch", "Fedlane is faster"]
# Multiply-adds of a training step a sample: forward, weight gradients, input gradients; the first layer has none of the last.
# `fedlane info --model` prints the forward ones.
MULTIPLY_ADDS = {"lenet5": 3 * 416520 - 117600, "mlp": 3 * 198800 - 156800, "logistic": 2 * 7840}
NAMES = {"lenet5": "LeNet-5", "mlp": "MLP", "logistic": "logistic"}


class Row:
    """A line of the table. values, rival: one number a repetition; limit: the most that value could be."""

    def __init__(self, title, threads, values, target="", digits=0, limit=None, rival=None, smaller=False):
        self.title, self.threads, self.values, self.target, self.digits = title, threads, values, target, digits
        self.limit, self.rival, self.smaller = limit, rival, smaller

    def spread(self, values):
        if not values:
            return "-"
        low, high = min(values), max(values)
        text = self.fixed(statistics.median(values))
        return text if len(values) == 1 else "%s (%s to %s)" % (text, self.fixed(low), self.fixed(high))

    def fixed(self, value):
        return "{:,.{}f}".format(value, self.digits)

    def cells(self):
        value = statistics.median(self.values)
        share = "%.1f %%" % (100 * value / self.limit) if self.limit else ""
        ratio = "-" if self.rival == [] else ""
        if self.rival:
            other = statistics.median(self.rival)
            ratio = "%.1f x" % (other / value if self.smaller else value / other)
        limit = self.fixed(self.limit) if self.limit else ""
        rival = "" if self.rival is None else self.spread(self.rival)
        return [self.title, str(self.threads), self.spread(self.values), self.target, limit, share, rival, ratio]


def rows(record):
    m = record["measurements"]
    get = lambda job, key: m.get(job, {}).get(key, [])
    core = statistics.median(m["peak"]["gflops"])
    out = [Row("fused multiply-adds of a core, GFLOP/s", 1, m["peak"]["gflops"], digits=1)]
    # PyTorch is shown at the number of threads that suits it.
    loops = [get("lr_mnist torch %d" % t, "round_ms") for t in (1, 2)]
    loop = min(loops, key=statistics.median) if all(loops) else []
    out.append(Row("round of lr_mnist, ms", 2, m["lr_mnist"]["round_ms"], "<= 0.8", 3, rival=loop, smaller=True))
    for model in jobs.MODELS:
        target = {"lenet5": ">= 17,000", "mlp": ">= 75,000"}.get(model, "")
        out.append(Row("training, %s, samples/s" % NAMES[model], 1, get("train " + model, "samples_per_second"), target,
                       limit=1e9 * core / (2 * MULTIPLY_ADDS[model]), rival=get("train %s torch" % model, "samples_per_second")))
    for model in jobs.FIFTY_ROUNDS:
        for threads in (1, 2):
            out.append(Row("other, 50 samples a client, %s, %%" % NAMES[model], threads,
                           get("fifty %s %d" % (model, threads), "other_percent"), "<= 2", 2))
    scaling = m["quickstart"]
    out.append(Row("2 threads against 1, quickstart, speed-up", 2, scaling["speedup"], ">= 95 % of the limit", 3,
                   limit=statistics.median(scaling["bound"])))
    for form, target in (("raw", "<= 0.3"), ("gz", "<= 0.7")):
        title = "exec to first round, %s, s" % {"raw": "raw IDX", "gz": ".gz"}[form]
        out.append(Row(title, 2, m["start " + form]["seconds"], target, 3))
    return out


def markdown(header, rows_):
    return ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] * len(header)) + " |"] + [
        "| " + " | ".join(r) + " |" for r in rows_]


def write(record, path):
    """path.json and path.csv; the name of the first."""
    with open(path + ".json.new", "w", encoding="utf-8") as f:
        json.dump(record, f, indent=1, sort_keys=True)
        f.write("\n")
    os.replace(path + ".json.new", path + ".json")
    with open(path + ".csv", "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(HEADER)
        w.writerows(r.cells() for r in rows(record))
    with open(path + "-kernels.csv", "w", newline="", encoding="utf-8") as f:
        for header, rows_ in rivals.tables(record):
            csv.writer(f, lineterminator="\n").writerows([header] + rows_)
    return path + ".json"


def section(record, name):
    machine = record["machine"]
    commit = machine["commit"][:12] + (" with uncommitted changes" if machine["dirty"] else "")
    repetitions = len(record["measurements"]["peak"]["gflops"])
    source = "From [%s](../results/performance/%s): %s; commit %s; %s; Linux %s; PyTorch %s;%s repetitions: %d; load before: %.1f."
    lines = ["### %s, %s, %s cores" % (machine["cpu"], machine["isa_used"], machine["cores"] or machine["cpus"]), "",
             source % (name, name, record["started_at"], commit, machine["compiler"], machine["kernel"],
                       record["torch"] or "not measured", "".join(" %s;" % v for v in record.get("versions", {}).values()),
                       repetitions, record["load_before"]), ""]
    lines += markdown(HEADER, [r.cells() for r in rows(record)])
    for header, rows_ in rivals.tables(record):
        lines += [""] + markdown(header, rows_)
    return "\n".join(lines) + "\n"


def refresh(page, folder):
    """The sections of all result files of the folder, between the page's markers."""
    with open(page, encoding="utf-8") as f:
        text = f.read()
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise jobs.Failure("%s: must hold a line %s and after it a line %s" % (page, BEGIN.strip(), END.strip()))
    made = []
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        made.append("\n" + section(jobs.read_json(path), os.path.basename(path)))
    with open(page + ".new", "w", encoding="utf-8") as f:
        f.write(text[:begin] + BEGIN + "".join(made) + ("\n" if made else "") + text[end:])
    os.replace(page + ".new", page)
