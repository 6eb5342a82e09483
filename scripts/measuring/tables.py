"""From a session's record: DIR/CPU.json, DIR/CPU.csv and the Markdown table in the page, all made from the record alone."""
import csv
import glob
import json
import os
import statistics

import jobs
import goals

BEGIN, END = "<!-- written by scripts/performance; do not edit -->\n", "<!-- end -->\n"
HEADER = ["figure", "threads", "Fedlane", "target", "limit", "of limit", "PyTorch", "Fedlane is faster", goals.MET]
# samples/s, and times PyTorch's in the same session
TRAINING = {("logistic", 50): (0, 7), ("mlp", 50): (75000, 1.65), ("lenet5", 50): (17000, 4), ("lenet5", 10): (0, 5)}
# Multiply-adds of a training step a sample: forward, weight gradients, input gradients; the first layer has none of the last.
# `fedlane info --model` prints the forward ones.
MULTIPLY_ADDS = {"lenet5": 3 * 416520 - 117600, "mlp": 3 * 198800 - 156800, "logistic": 2 * 7840}
# Rounds: job, title, milliseconds, their digits, and times PyTorch's (2.6 s beside 1.25 s on the CPU that the goals come from)
ROUNDS = (("lr_mnist", "round of lr_mnist, ms", 0.8, 3, 0), ("cnn_pfl", "round of pfl's CNN, ms", 1250, 0, 2.08))
NAMES = {"lenet5": "LeNet-5", "mlp": "MLP", "logistic": "logistic"}


class Row:
    """A line of the table. values, rival: one number a repetition; limit: the most that value could be. What is to be reached: at
    least (smaller: at most) `goal`, `share` percent of the limit, `times` as fast as the rival; 0: nothing is said."""

    def __init__(self, title, threads, values, goal=0, digits=0, limit=None, rival=None, smaller=False, share=0, times=0):
        self.title, self.threads, self.values, self.goal, self.digits = title, threads, values, goal, digits
        self.limit, self.rival, self.smaller, self.share, self.times = limit, rival, smaller, share, times

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
        share = 100 * value / self.limit if self.limit else 0
        other = statistics.median(self.rival) if self.rival else 0
        ratio = (other / value if self.smaller else value / other) if other else 0
        asked = [("%s %s" % ("<=" if self.smaller else ">=", "{:,}".format(self.goal)), self.goal,
                   value <= self.goal if self.smaller else value >= self.goal),
                  (">= %g %% of the limit" % self.share, self.share, share >= self.share),
                  (">= %g x PyTorch" % self.times, self.times and other, ratio >= self.times)]
        told = [(words, met) for words, there, met in asked if there]
        return [self.title, str(self.threads), self.spread(self.values), ", ".join(words for words, _ in told),
                self.fixed(self.limit) if self.limit else "", "%.1f %%" % share if self.limit else "",
                "" if self.rival is None else self.spread(self.rival), "%.1f x" % ratio if other else "-" if self.rival ==
                [] else "",
                goals.judged(all(met for _, met in told) if told else None)]


def rows(record):
    m = record["measurements"]
    get = lambda job, key: m.get(job, {}).get(key, [])
    core = statistics.median(m["peak"]["gflops"])
    out = [Row("fused multiply-adds of a core, GFLOP/s", 1, m["peak"]["gflops"], digits=1)]
    # PyTorch is shown at the number of threads that suits it.
    for job, title, goal, digits, times in ROUNDS:
        loops = [get("%s torch %d" % (job, t), "round_ms") for t in (1, 2)]
        loop = min(loops, key=statistics.median) if all(loops) else []
        if get(job, "round_ms"):                         # a record of before may not have it
            out.append(Row(title, 2, get(job, "round_ms"), goal, digits, rival=loop, smaller=True, times=times))
    for model, batch in jobs.TRAININGS:
        goal, times = TRAINING[model, batch]
        job = "train %s %d" % (model, batch)
        out.append(Row("training, %s, batches of %d, samples/s" % (NAMES[model], batch), 1, get(job, "samples_per_second"), goal,
                       limit=1e9 * core / (2 * MULTIPLY_ADDS[model]), rival=get(job + " torch", "samples_per_second"),
                       times=times))
    for model in jobs.FIFTY_ROUNDS:
        for threads in (1, 2):
            out.append(Row("other, 50 samples a client, %s, %%" % NAMES[model], threads,
                           get("fifty %s %d" % (model, threads), "other_percent"), 2, 2, smaller=True))
    scaling = m["quickstart"]
    out.append(Row("2 threads against 1, quickstart, speed-up", 2, scaling["speedup"], 0, 3,
                   limit=statistics.median(scaling["bound"]), share=95))
    for form, goal in (("raw", 0.3), ("gz", 0.7)):
        title = "exec to first round, %s, s" % {"raw": "raw IDX", "gz": ".gz"}[form]
        out.append(Row(title, 2, m["start " + form]["seconds"], goal, 3, smaller=True))
    return [row for row in out if row.values]  # an older file may lack some


def markdown(header, rows_):
    return ["| " + " | ".join(header) + " |", "| " + " | ".join(["---"] * len(header)) + " |"] + [
        "| " + " | ".join(r) + " |" for r in rows_]


def write(record, path, whole=True):
    """path.json and, of a whole record, path.csv and path-kernels.csv; the name of the first."""
    with open(path + ".json.new", "w", encoding="utf-8") as f:
        json.dump(record, f, indent=1, sort_keys=True)
        f.write("\n")
    os.replace(path + ".json.new", path + ".json")
    if not whole:
        return path + ".json"
    with open(path + ".csv", "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(HEADER)
        w.writerows(r.cells() for r in rows(record))
    with open(path + "-kernels.csv", "w", newline="", encoding="utf-8") as f:
        for _, header, rows_ in goals.tables(record):
            csv.writer(f, lineterminator="\n").writerows([header] + rows_)
    return path + ".json"


def section(record, name):
    machine = record["machine"]
    commit = machine["commit"][:12] + (" with uncommitted changes" if machine["dirty"] else "")
    repetitions = len(record["measurements"]["peak"]["gflops"])
    source = ("From [%s](../results/performance/%s): %s; commit %s; %s; Linux %s; PyTorch %s;%s repetitions: %d; "
              "load before: %.1f.")
    lines = ["### %s, %s, %s cores" % (machine["cpu"], machine["isa_used"], machine["cores"] or machine["cpus"]), "",
             source % (name, name, record["started_at"], commit, machine["compiler"], machine["kernel"],
                       record["torch"] or "not measured", "".join(" %s;" % v for v in record.get("versions", {}).values()),
                       repetitions, record["load_before"]), ""]
    all_tables = [("Training and rounds", HEADER, [r.cells() for r in rows(record)])] + goals.tables(record)
    missed = goals.missed(all_tables)
    lines += ["Targets that are not reached: %s." % ("none" if not missed else len(missed)), ""] + ["- " + t for t in missed]
    for title, header, rows_ in all_tables:
        lines += ["", "#### " + title, ""] + markdown(header, rows_)
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
