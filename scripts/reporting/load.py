"""What `fedlane report` found (series.json: runs, their series, the tables), with what the figures need of each run's files."""
import concurrent.futures
import json
import os
import statistics


class ReportError(Exception):
    pass


def read_json(path):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except OSError as e:
        raise ReportError("%s: %s" % (path, e.strerror))
    except ValueError as e:
        raise ReportError("%s: not JSON: %s" % (path, e))


def number(value):
    """A float, or None for null, a missing field, NaN or infinity."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if value == value and abs(value) != float("inf") else None


NO_RESULT = ("diverged", "unfinished")  # a status of a run whose last evaluations are none

# Columns of Run.evaluations.
ROUND, SECONDS, BYTES, GRADIENTS, ACCURACY, LOSS = range(6)
DIAGNOSTICS = ("client_drift", "update_norm_mean", "update_cosine_pairs", "update_cosine_mean", "preconditioner_drift",
               "global_loss", "gradient_norm", "sam_gap", "sharpness", "client_accuracy_mean", "client_accuracy_worst",
               "client_accuracy_std")


def rounds(path, mixed):
    """(evaluations, {diagnostic: {round: value}}, the last line) of rounds.jsonl; the lines themselves would need gigabytes."""
    evaluations, measured, last = [], {}, {}
    if not os.path.exists(path):
        return evaluations, measured, last
    with open(path, encoding="utf-8") as f:
        for line in f:
            if not line.endswith("\n"):  # the last line of a run that was killed may be cut
                break
            r = last = json.loads(line)
            accuracy = number(r.get("accuracy"))
            if accuracy is not None and r.get("evaluated") not in (0, False):
                sent = (number(r.get("total_bytes_up")) or 0.0) + (number(r.get("total_bytes_down")) or 0.0)
                evaluations.append((r["round"], None if mixed else number(r.get("seconds")) or 0.0, sent,
                                    number(r.get("gradient_evaluations")), accuracy, number(r.get("test_loss"))))
            for key in DIAGNOSTICS:
                if key in r:
                    measured.setdefault(key, {})[r["round"]] = number(r[key])
    return evaluations, measured, last


def period(runs, plural=False):
    """What the lines of rounds.jsonl are of: in central training epochs."""
    s, kinds = "s" if plural else "", {bool(r.central) for r in runs}
    return {(True,): "epoch" + s, (False,): "round" + s}.get(tuple(kinds), "round%s or epoch%s" % (s, s))


def one(runs):
    """The same with its article: "a round"."""
    return period(runs).replace("round", "a round").replace("epoch", "an epoch")


class Run:
    """One run folder: entry is that of series.json."""

    def __init__(self, entry):
        for key in ("folder", "label", "model", "data", "cpu", "seed", "status", "central", "mixed"):
            setattr(self, key, entry[key])
        self.record = read_json(os.path.join(self.folder, "run.json"))
        self.config = self.record.get("config") or {}
        path = os.path.join(self.folder, "summary.json")
        self.summary = read_json(path) if os.path.exists(path) else {}
        self._evaluations, self._measured, self.end = rounds(os.path.join(self.folder, "rounds.jsonl"), self.mixed)
        machine = self.record.get("machine")
        self.machine = machine if isinstance(machine, dict) else {}
        self.parts = self.record.get("parts") or []
        self.record.pop("layout", None)

    def evaluations(self):
        """[(round, seconds, bytes, gradients, accuracy, loss)] of the evaluated rounds."""
        return self._evaluations

    def measured(self, column):
        """{round: value} of a diagnostic."""
        return self._measured.get(column, {})

    def target(self):
        section = self.config.get("training" if self.central else "federated")
        return (number(section.get("target_accuracy")) if isinstance(section, dict) else None) or None

    def reach(self):
        """The evaluation that first reached the target, or None."""
        t = self.target()
        return next((e for e in self._evaluations if t is not None and e[ACCURACY] >= t), None)

    def accuracy(self):
        """As the table has it: mean of the last 5 evaluations; None of a run that diverged, or has not ended."""
        tail = [e[ACCURACY] for e in self._evaluations[-5:]]
        return statistics.fmean(tail) if tail and self.status not in NO_RESULT else None

    def thread_seconds(self):
        t = self.end.get("thread_seconds") if not self.mixed else None
        return {k: number(v) or 0.0 for k, v in t.items()} if isinstance(t, dict) else {}

    def class_counts(self):
        """Samples by client and class, or None when run.json does not hold them."""
        p = self.record.get("partition")
        counts = p.get("class_counts") if isinstance(p, dict) else None
        return counts if isinstance(counts, list) else None


class Series:
    """The seeds of one method on one problem on one machine."""

    def __init__(self, label, cpu, problem, runs):
        self.label, self.cpu, self.problem, self.runs = label, cpu, problem, runs

    def accuracy(self):
        """The mean over seeds, or None when a seed has none."""
        values = [r.accuracy() for r in self.runs]
        return None if any(v is None for v in values) else statistics.fmean(values)

    def curve(self, x, y):
        """[(x, mean, min, max)] over the rounds that every seed evaluated. x, y: columns of Run.evaluations."""
        return self._common([{e[ROUND]: (e[x], e[y]) for e in r.evaluations()} for r in self.runs])

    def measured(self, column):
        """[(round, mean, min, max)] over the rounds in which every seed measured the column of rounds.jsonl."""
        return self._common([{k: (k, v) for k, v in r.measured(column).items()} for r in self.runs])

    @staticmethod
    def _common(runs):
        """[(x, mean, min, max)] of the rounds that every seed has, from their {round: (x, y)}."""
        points = []
        for k in sorted(set(runs[0]).intersection(*runs[1:])) if runs else []:
            xs, ys = zip(*(r[k] for r in runs))
            if None not in xs + ys:
                points.append((sum(xs) / len(xs), sum(ys) / len(ys), min(ys), max(ys)))
        return points


class Report:
    """runs, series, tables, settings by problem (as series.json has them) and the paths of published figures."""

    def __init__(self, path):
        found = read_json(path)
        with workers() as pool:
            self.runs = list(pool.map(Run, found["runs"], chunksize=64))
        partitions = {}
        for r in self.runs:  # equal ones are there once: of 10,000 runs these lists would need most of the memory
            p = r.record.get("partition")
            if isinstance(p, dict) and "class_counts" in p:
                p["class_counts"] = partitions.setdefault(str(p.get("sha256")), p["class_counts"])
        self.series = [Series(s["label"], s["cpu"], s["problem"], [self.runs[i] for i in s["runs"]]) for s in found["series"]]
        self.tables = {t["name"]: t for t in found["tables"]}
        self.settings = found["settings"]
        self.published = found["published"]

    def problems(self):
        """{problem: its series}, in order."""
        out = {}
        for s in self.series:
            out.setdefault(s.problem, []).append(s)
        return out


def workers():
    return concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0)))


def leaves(value, path=""):
    """{"federated.rounds": 30, ...} of nested objects."""
    if not isinstance(value, dict):
        return {path: value}
    out = {}
    for k in value:
        out.update(leaves(value[k], "%s.%s" % (path, k) if path else k))
    return out
