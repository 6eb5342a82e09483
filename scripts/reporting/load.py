"""Reads result folders (docs/results.md) into Run objects, and groups them into series of seeds."""
import json
import os
import statistics
import sys


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


class Run:
    """One run folder. rounds: the lines of rounds.jsonl, in order."""

    def __init__(self, folder):
        self.folder = folder
        self.record = read_json(os.path.join(folder, "run.json"))
        self.config = self.record.get("config") or {}
        path = os.path.join(folder, "summary.json")
        self.summary = read_json(path) if os.path.exists(path) else {}
        self.rounds = self._rounds(os.path.join(folder, "rounds.jsonl"))
        self.seed = self.config.get("seed", self.record.get("seed", 0))
        self.model = self._name(self.config.get("model"), "model")
        self.data = self._name(self.config.get("data"), "data")
        self.label = self._label()
        machine = self.record.get("machine")
        self.machine = machine if isinstance(machine, dict) else {}
        self.cpu = str(self.machine.get("cpu") or "unknown CPU")
        self.status = self.summary.get("status", "unfinished")
        parts = self.record.get("parts")
        self.parts = parts if isinstance(parts, list) else []
        # Resumed with other threads or on another machine, or beside other runs (--jobs): the times are of none of them, and
        # are left out.
        self.mixed = len(self.parts) > 1 or "timing" in self.record

    @staticmethod
    def _name(value, fallback):
        if isinstance(value, dict):
            value = value.get("name")
        return str(value) if value else fallback

    @staticmethod
    def _rounds(path):
        if not os.path.exists(path):
            return []
        lines = []
        with open(path, encoding="utf-8") as f:
            text = f.read().split("\n")
        for i, line in enumerate(text):
            if not line.strip():
                continue
            try:
                lines.append(json.loads(line))
            except ValueError as e:
                # The last line of a run that was killed may be cut; anything before it is damage.
                if i >= len(text) - 1:
                    break
                raise ReportError("%s:%d: not JSON: %s" % (path, i + 1, e))
        return lines

    def _label(self):
        for source in (self.record, self.summary, self.config):
            if source.get("label"):
                # A sweep over models puts the model into the label; here it is part of the problem already.
                return str(source["label"]).replace(" model=%s" % self.model, "")
        name = os.path.basename(os.path.normpath(self.folder))
        tail = "-s%s" % self.seed
        return name[:-len(tail)] if name.endswith(tail) else name

    def evaluations(self):
        """[(round, seconds, bytes, accuracy, loss)] of the evaluated rounds."""
        out = []
        for r in self.rounds:
            accuracy = number(r.get("accuracy"))
            if accuracy is None or r.get("evaluated") in (0, False):
                continue
            sent = (number(r.get("total_bytes_up")) or 0) + (number(r.get("total_bytes_down")) or 0)
            seconds = None if self.mixed else number(r.get("seconds")) or 0.0
            out.append((r["round"], seconds, sent, accuracy, number(r.get("test_loss"))))
        return out

    def last(self, key):
        return number(self.rounds[-1].get(key)) if self.rounds else None

    def accuracy(self):
        """Mean of the last 5 evaluations: less chance in it than in the last one or the best one."""
        tail = [e[3] for e in self.evaluations()[-5:]]
        return statistics.fmean(tail) if tail and self.status != "diverged" else None

    def target(self):
        section = self.config.get("training" if self.central() else "federated")
        return (number(section.get("target_accuracy")) if isinstance(section, dict) else None) or None

    def central(self):
        """Central training: a round is an epoch, and nothing is sent."""
        return "training" in self.config

    def reach(self):
        """(rounds, seconds or None) until the target accuracy was first evaluated, or None."""
        t = self.target()
        for e in self.evaluations():
            if t is not None and e[3] >= t:
                return e[0], e[1]
        return None

    def samples_per_second(self):
        n, s = self.last("samples"), self.last("seconds")
        return n / s if n and s and not self.mixed else None

    def thread_seconds(self):
        t = self.rounds[-1].get("thread_seconds") if self.rounds and not self.mixed else None
        return {k: number(v) or 0.0 for k, v in t.items()} if isinstance(t, dict) else {}

    def class_counts(self):
        """Samples by client and class, or None when run.json does not hold them."""
        p = self.record.get("partition")
        counts = p.get("class_counts") if isinstance(p, dict) else None
        return counts if isinstance(counts, list) else None


class Series:
    """The seeds of one method on one problem on one machine."""

    def __init__(self, label, cpu, problem, runs):
        self.label, self.cpu, self.problem = label, cpu, problem
        self.runs = sorted(runs, key=lambda r: str(r.seed).zfill(20))

    def mean(self, values):
        values = list(values)
        return statistics.fmean(values) if values and all(v is not None for v in values) else None

    def accuracy(self):
        """(mean, sample standard deviation or None) over seeds; None when a seed has no accuracy."""
        values = [r.accuracy() for r in self.runs]
        if not values or any(v is None for v in values):
            return None
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None

    def reach(self):
        values = [r.reach() for r in self.runs]
        if any(v is None for v in values):
            return None
        return statistics.fmean(v[0] for v in values), self.mean(v[1] for v in values)

    def curve(self, x, y):
        """[(x, mean, min, max)] over the rounds that every seed evaluated. x, y: columns of Run.evaluations."""
        return self._common([{e[0]: (e[x], e[y]) for e in r.evaluations()} for r in self.runs])

    def measured(self, column):
        """[(round, mean, min, max)] over the rounds in which every seed measured the column of rounds.jsonl."""
        return self._common([{e["round"]: (e["round"], number(e.get(column))) for e in r.rounds} for r in self.runs])

    @staticmethod
    def _common(runs):
        """[(x, mean, min, max)] of the rounds that every seed has, from their {round: (x, y)}."""
        points = []
        for k in sorted(set(runs[0]).intersection(*runs[1:])) if runs else []:
            xs, ys = zip(*(r[k] for r in runs))
            if None not in xs + ys:
                points.append((statistics.fmean(xs), statistics.fmean(ys), min(ys), max(ys)))
        return points


def run_folders(top):
    """Run folders at or below top. Where there is a suite.json, those that it names, in its order: what else lies beside it is of
    an earlier configuration."""
    found = []
    for d, below, files in os.walk(top):
        below.sort()
        if "run.json" in files:
            found.append(d)
        if "suite.json" in files:
            named = read_json(os.path.join(d, "suite.json")).get("runs", [])
            for name in below:
                if name not in named and os.path.exists(os.path.join(d, name, "run.json")):
                    print("report: %s left out: suite.json beside it does not name it" % os.path.join(d, name), file=sys.stderr)
            below[:] = [name for name in named if name in below]
    return found


def published(folders):
    """The files of published figures that the suites at or below the folders name."""
    found = []
    for top in folders:
        for d, _, files in os.walk(top):
            name = read_json(os.path.join(d, "suite.json")).get("published") if "suite.json" in files else None
            if name:
                found.append(os.path.join(d, os.path.basename(str(name))))
    return found


def load(folders):
    """All runs below the folders, in the order of their suite."""
    runs, seen = [], set()
    for top in folders:
        if not os.path.isdir(top):
            raise ReportError("%s: no such folder" % top)
        found = run_folders(top)
        if not found:
            raise ReportError("%s: no run.json in it or below; a result folder is what `fedlane run` wrote" % top)
        for d in found:
            if os.path.realpath(d) not in seen:
                seen.add(os.path.realpath(d))
                runs.append(Run(d))
    return runs


def leaves(value, path=""):
    """{"federated.rounds": 30, ...} of nested objects."""
    if not isinstance(value, dict):
        return {path: value}
    out = {}
    for k in value:
        out.update(leaves(value[k], "%s.%s" % (path, k) if path else k))
    return out


def conditions(run):
    """All that must be equal for two runs to be seeds of one series: configuration, data, partition, threads, ISA."""
    found = leaves({k: v for k, v in run.config.items() if k != "seed"})
    data, partition = run.record.get("data"), run.record.get("partition")
    if isinstance(data, dict):
        found["data files"] = " ".join(str(f.get("sha256"))[:8] for f in data.get("files", []))
    if isinstance(partition, dict):
        found["partition"] = str(partition.get("sha256"))[:8]
    found["threads"], found["isa"] = run.record.get("threads"), run.machine.get("isa_used")
    if run.mixed:
        found["threads"], found["isa"] = ("+".join(str(p.get(k)) for p in run.parts) for k in ("threads", "isa"))
    return found


def difference(mine, others):
    """"rounds=200, batch_size=5": what of `mine` is not the same in all of `others`."""
    keys = [k for k in mine if any(o.get(k) != mine[k] for o in others)]
    return ", ".join("%s=%s" % (k.rsplit(".", 1)[-1], mine[k]) for k in keys)


def named(runs):
    """What each run is about: data and model, and the partition where the runs have several; and its label without the
    partition's swept keys, which are told there."""
    found = [r.config.get("partition") for r in runs]
    found = [p if isinstance(p, dict) else {} for p in found]
    several = any(p != found[0] for p in found)
    out = []
    for r, p in zip(runs, found):
        words, own = ["%s, %s" % (r.data, r.model)], {"partition"} | set(p)
        if several and p:
            like = [q for q in found if q.get("name") == p.get("name")]
            keys = [k for k in p if any(q.get(k) != p[k] for q in like)]
            words.append(" ".join([str(p.get("name", ""))] + ["%s=%s" % (k, p[k]) for k in keys]))
        label = " ".join(w for w in r.label.split(" ") if w.split("=")[0] not in own) if several and p else r.label
        out.append((", ".join(words), label))
    return out


def series(runs):
    """Groups in order of appearance. Only runs that differ in nothing but the seed are seeds of one series: what differs among
    the groups of one label goes into the label, and a seed that occurs a second time begins a repeat, as pooling it would make
    the spread over seeds too small. Several CPUs: the CPU becomes part of the label."""
    many = len({r.cpu for r in runs}) > 1
    groups, seen = {}, {}
    for r, (problem, label) in zip(runs, named(runs)):
        same = (problem, r.cpu, label)
        found = conditions(r)
        key = same + (json.dumps(found, sort_keys=True),)
        repeat = seen[key + (r.seed,)] = seen.get(key + (r.seed,), 0) + 1
        groups.setdefault(same, {}).setdefault(key + (repeat,), (found, []))[1].append(r)
    made = []
    for (problem, cpu, label), parts in groups.items():
        for key, (found, members) in parts.items():
            notes = [cpu] if many else []
            notes.append(difference(found, [f for f, _ in parts.values()]))
            notes.append("repeat %d" % key[-1] if key[-1] > 1 else "")
            notes = ", ".join(n for n in notes if n)
            made.append(Series("%s (%s)" % (label, notes) if notes else label, cpu, problem, members))
    problems = list(dict.fromkeys(s.problem for s in made))
    return sorted(made, key=lambda s: problems.index(s.problem))
