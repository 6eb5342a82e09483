"""How far the seeds of a method are apart."""
import csv
import itertools
import os
import statistics

import tables


def parameters(run):
    """All floats of params.safetensors (buffers too), or None where there is no such file."""
    import numpy
    path = os.path.join(run.folder, "params.safetensors")
    if not os.path.exists(path):
        return None
    with open(path, "rb") as f:
        head = int.from_bytes(f.read(8), "little")
        f.seek(8 + head)
        return numpy.frombuffer(f.read(), dtype="<f4").astype("float64")


HEADER = ["data, model", "method", "seeds", "accuracy (%)", "deviation", "smallest", "largest", "relative distance", "cosine"]


def consistency_rows(all_series):
    """A row for each method with two seeds or more: spread of the accuracy, and of the final models over the pairs of seeds."""
    import numpy
    body = []
    for s in all_series:
        values = [r.accuracy() for r in s.runs]
        if len(values) < 2 or any(v is None for v in values):
            continue
        row = [s.problem, s.label, str(len(values))] + ["%.2f" % (100 * v) for v in (
            statistics.fmean(values), statistics.stdev(values), min(values), max(values))]
        models = [parameters(r) for r in s.runs]
        if all(m is not None and m.size == models[0].size for m in models):
            apart, along = [], []
            for a, b in itertools.combinations(models, 2):
                lengths = numpy.linalg.norm(a) * numpy.linalg.norm(b)
                apart.append(numpy.linalg.norm(a - b) / numpy.sqrt(lengths))
                along.append(numpy.dot(a, b) / lengths)
            row += ["%.4f" % statistics.fmean(apart), "%.4f" % statistics.fmean(along)]
        else:
            row += ["-", "-"]
        body.append(row)
    return body


def write_consistency(all_series, out):
    """consistency.csv, and the same as HTML; nothing where no method has two seeds."""
    body = consistency_rows(all_series)
    if not body:
        return ""
    with open(os.path.join(out, "consistency.csv"), "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(HEADER)
        w.writerows(body)
    return ("<h2>Consistency over seeds</h2>" + tables.as_html(HEADER, body) + "<p>Accuracy in percent, the mean of a run's last "
            "5 evaluations; distance |x_a - x_b| / sqrt(|x_a| |x_b|) and cosine of the final models, means over the pairs of "
            "seeds (<code>consistency.csv</code>).</p>")
