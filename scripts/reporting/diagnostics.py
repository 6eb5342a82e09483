"""Figures of the diagnostics (docs/diagnostics.md) against the rounds, and how far the seeds of a method are apart."""
import csv
import itertools
import os
import statistics

import matplotlib.pyplot as plt
import matplotlib.ticker

import figures
import tables

# column of rounds.jsonl: name and unit on the axis
COLUMNS = {
    "client_drift": "client drift, mean |y_i - y|² (parameter²)",
    "update_norm_mean": "mean norm of the clients' changes (parameter)",
    "update_cosine_pairs": "mean cosine of two clients' changes",
    "update_cosine_mean": "mean cosine of a change and the mean change",
    "preconditioner_drift": "preconditioner drift, mean |Θ_i - Θ|² (state²)",
    "global_loss": "global loss, all training rows",
    "gradient_norm": "norm of the global gradient (loss/parameter)",
    "sam_gap": "SAM gap (loss)",
    "sharpness": "largest Hessian eigenvalue (loss/parameter²)",
    "client_accuracy_mean": "accuracy on clients' own rows, mean",
    "client_accuracy_worst": "accuracy on clients' own rows, worst tenth",
    "client_accuracy_std": "accuracy on clients' own rows, standard deviation",
}


def curves(all_series, out):
    made = []
    for problem in dict.fromkeys(s.problem for s in all_series):
        chosen = [s for s in all_series if s.problem == problem]
        central = all(r.central() for s in chosen for r in s.runs)
        for column, caption in COLUMNS.items():
            drawn = [(s, s.measured(column)) for s in chosen]
            if not any(p for _, p in drawn):
                continue
            fig, ax = plt.subplots(figsize=(5.2, 3.4))
            rows = []
            for i, (s, p) in enumerate(drawn):
                if not p:
                    continue
                rows += figures.band(ax, i, s, p, "." if len(p) < 30 else None)
            ax.set_xlabel("epoch" if central else "round")
            ax.set_ylabel(caption, fontsize=7)
            ax.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
            figures.legend(fig, ax, len(chosen))
            name = "-".join((column.replace("_", "-"), figures.slug(problem)))
            made.append(figures.save(fig, out, name, "%s: %s" % (caption[0].upper() + caption[1:], problem),
                                     ("method", "seeds", "epoch" if central else "round", "mean", "min", "max"), rows))
    return made


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
