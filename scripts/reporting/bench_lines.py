"""Lines of `fedlane bench` from its JSON, or from a record of scripts/performance: what each took, beside what binds it."""
import json
import re

ABOVE = 105  # percent of its ceiling: a kernel that is faster shows that the ceiling is none


class BenchError(Exception):
    pass


class Line:
    """ns: nanoseconds an element, one a repetition; ceiling_ns: the least they could be (0: nothing is known). paired: median and
    quartiles of the shares in percent where line and ceiling were timed in turns, and how many such pairs; empty elsewhere."""

    def __init__(self, name, ns, ceiling_ns=0.0, ceiling="", bytes=0.0, flops=0.0, paired=()):
        self.name, self.ns, self.ceiling_ns, self.ceiling, self.bytes, self.flops = name, ns, ceiling_ns, ceiling, bytes, flops
        self.paired = list(paired)
        self.kernel, self.isa = name.split("/")[:2]
        fields = dict(re.findall(r"([a-z-]+):([0-9]+)", name))
        self.n, self.threads = int(fields.get("n", 0)), int(fields.get("threads", 1))
        self.cold = "/cold/" in name
        if self.kernel == "ceiling":
            self.isa = "" # most are of the machine; the place says which
        self.place = "/".join(part for part in name.split("/")[1 if not self.isa else 2:] if not part.startswith("threads:"))

    @property
    def best(self):
        return min(self.ns)

    @property
    def gb(self):
        return self.bytes / self.best

    @property
    def gflops(self):
        return self.flops / self.best

    @property
    def percent(self):
        return self.paired[0] if self.paired else 100 * self.ceiling_ns / self.best

    @property
    def share(self):
        """Percent of what binds it, with the quartiles where there are some; "-" where nothing that was measured does."""
        if not self.ceiling_ns:
            return "-"
        return "%.1f (%.0f to %.0f)" % tuple(self.paired[:3]) if self.paired else "%.1f" % self.percent

    def record(self):
        """For a result file: what lines() reads again."""
        short = lambda x: float("%.5g" % x)
        return {"ns": [short(x) for x in self.ns], "ceiling_ns": short(self.ceiling_ns), "ceiling": self.ceiling,
                "bytes": short(self.bytes), "flops": short(self.flops), "paired": [short(x) for x in self.paired]}


def from_google(record):
    """Google Benchmark's JSON: repetitions of one line together. Several runs may be in the list."""
    found = {}
    for b in record["benchmarks"]:
        if b["run_type"] == "iteration" and not b.get("error_occurred"):
            found.setdefault(b["name"], []).append(b)
    lines = []
    for name, runs in found.items():
        ns = [b["ns/element"] for b in runs]
        ceilings = [b["ceiling_ns/element"] for b in runs if "ceiling_ns/element" in b]
        first = runs[0]
        paired = [first[key] for key in ("percent", "percent_low", "percent_high", "pairs")] if "pairs" in first else []
        lines.append(Line(name, ns, min(ceilings, default=0.0), first.get("label", ""),
                          first.get("GB/s", 0.0) * first["ns/element"], first.get("GFLOP/s", 0.0) * first["ns/element"], paired))
    return lines


def join(before, line):
    """A line measured again: its repetitions together; of pairs those of the session with more, which say more."""
    before.ns += line.ns
    if len(line.paired) and (not before.paired or line.paired[3] > before.paired[3]):
        before.paired, before.ceiling, before.ceiling_ns = line.paired, line.ceiling, line.ceiling_ns
    elif not before.paired:
        before.ceiling_ns = min(before.ceiling_ns, line.ceiling_ns)


def lines(record):
    if "benchmarks" in record:
        return from_google(record)
    return [Line(name, **values) for name, values in record.get("bench", {}).items()]


def machine(record):
    """(cpu, commit, date) of either file."""
    if "benchmarks" in record:
        c = record["context"]
        return c.get("machine_cpu", "unknown"), c.get("machine_commit", "unknown"), c.get("date", "unknown")
    return record["machine"]["cpu"], record["machine"]["commit"], record["started_at"]


def read(path):
    try:
        with open(path, encoding="utf-8") as f:
            record = json.load(f)
    except OSError as e:
        raise BenchError("%s: %s" % (path, e.strerror))
    except ValueError as e:
        raise BenchError("%s: not JSON: %s" % (path, e))
    if not isinstance(record, dict) or not ("benchmarks" in record or "bench" in record):
        raise BenchError("%s: neither what `fedlane bench --benchmark_out=FILE` nor what `scripts/performance` wrote" % path)
    return record


def refuted(all_lines):
    """Ceilings that are none: a kernel is faster than what should bind it; of those timed in turns the median counts."""
    return ["%s takes %.4g ns an element, %s %% of its ceiling %s (%.4g): the ceiling is too low; allowed: up to %d %%" %
            (l.name, l.best, l.share, l.ceiling, l.ceiling_ns, ABOVE) for l in all_lines if l.ceiling_ns and l.percent > ABOVE]


def cycle(all_lines):
    """Nanoseconds of a cycle of the core, 0 if that was not measured."""
    return min((l.best for l in all_lines if l.name == "ceiling/cycle/threads:1"), default=0.0)
