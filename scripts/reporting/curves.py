"""What is drawn as lines: accuracy and loss against four axes, diagnostics (docs/diagnostics.md), and profiles over problems."""
import figures
import load

# axis: name in file names, column of an evaluation, words on the axis (None: what the runs' rounds are), factor
AXES = [("rounds", load.ROUND, None, 1.0), ("seconds", load.SECONDS, "seconds without evaluation", 1.0),
        ("bytes", load.BYTES, "MB sent, up and down", 1e-6), ("gradients", load.GRADIENTS, "gradient evaluations", 1.0)]
QUANTITIES = [("accuracy", load.ACCURACY, "test accuracy (%)", 100.0), ("loss", load.LOSS, "test loss", 1.0)]
# column of rounds.jsonl: name and unit on the axis
DIAGNOSTICS = {
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
MAX_LINES = 24    # of one figure: more cannot be told apart
GROUP = "Profiles over problems"
IDS = 40          # runs whose ids a caption prints; of more they are in its comment


def styles(all_series):
    """A number for each method: it looks the same in all figures."""
    return {label: i for i, label in enumerate(dict.fromkeys(s.label for s in all_series))}


def chosen(report, notes):
    """{problem: the series that its figures show}: all, or the most accurate ones."""
    out = {}
    for problem, found in report.problems().items():
        best = sorted(found, key=lambda s: -(s.accuracy() if s.accuracy() is not None else -1.0))[:MAX_LINES]
        out[problem] = [s for s in found if s in best]
        if len(found) > MAX_LINES:
            notes.append("%s: %d methods; the figures show the %d most accurate ones, the table shows all." %
                         (problem, len(found), MAX_LINES))
    return out


def caption(what, problem, drawn, band, setting=""):
    """What a reader must know to judge the figure, and the run ids as comment."""
    runs = [r for s in drawn for r in s.runs]
    parts = ["%s: %s." % (what, problem)] + (["%s." % (setting[0].upper() + setting[1:])] if setting else [])
    several = any(len(s.runs) > 1 for s in drawn)
    parts.append(("Lines: mean over seeds %s" if several else "One run a line: seed %s") %
                 figures.span(r.seed for r in runs) + ("; band: smallest to largest seed." if several and band else "."))
    trained = figures.span(r.end.get("round", 0) for r in runs)
    parts.append("%s %s." % (trained, load.period(runs, trained != "1")))
    machines = dict.fromkeys(r.cpu for r in runs)
    threads = figures.span(r.record.get("threads", 0) or 0 for r in runs)
    parts.append("%s; %s." % (", ".join(machines), figures.in_threads(threads)))
    if len(runs) <= IDS:
        parts.append("Runs: " + "; ".join("%s %s" % (s.label, ", ".join(i[:8] for i in figures.ids(s))) for s in drawn) + ".")
    else:
        parts.append("The ids of the %d runs are in this caption's source." % len(runs))
    return " ".join(parts), figures.caption_ids(drawn)


def evaluations(report, shown, style):
    made = []
    for problem, drawn in shown.items():
        runs = [r for s in drawn for r in s.runs]
        for quantity, column, y, scale in QUANTITIES:
            for axis, x, words, factor in AXES:
                if axis == "bytes" and all(r.central for r in runs):  # nothing is sent
                    continue
                of, words = axis if words else load.period(runs, True), words or load.period(runs)
                found = [(s, [(a * factor, m * scale, lo * scale, hi * scale) for a, m, lo, hi in s.curve(x, column)])
                         for s in drawn]
                found = [(s, p) for s, p in found if p]
                if not found:
                    continue
                title = "Test %s against %s: %s" % (quantity, of, problem)
                made.append(figures.Plot("-".join((quantity, figures.slug(of), figures.slug(problem))), title, words, y,
                                         [figures.Line(s.label, style[s.label], len(s.runs), p) for s, p in found],
                                         caption("%s against %s" % (y[0].upper() + y[1:], words), problem, [s for s, _ in found],
                                                 True, report.settings[problem]), (problem, y, words), whole=axis == "rounds"))
    return made


def diagnostics(report, shown, style):
    made = []
    for problem, drawn in shown.items():
        x = load.period(r for s in drawn for r in s.runs)
        for column, words in DIAGNOSTICS.items():
            found = [(s, s.measured(column)) for s in drawn]
            found = [(s, p) for s, p in found if p]
            if found:
                what = words[0].upper() + words[1:]
                made.append(figures.Plot("-".join((column.replace("_", "-"), figures.slug(problem))), "%s: %s" % (what, problem),
                                         x, words, [figures.Line(s.label, style[s.label], len(s.runs), p) for s, p in found],
                                         caption(what, problem, [s for s, _ in found], True, report.settings[problem]),
                                         (problem, words, x), whole=True))
    return made


# ---- profiles over problems -------------------------------------------------------------------------------------------------
def costs(report, column):
    """({label: {(problem, seed): cost until the target, infinity when missed}}, series) of the methods that all problems have."""
    problems = report.problems()
    labels = [l for l in dict.fromkeys(s.label for s in report.series)
              if all(any(s.label == l for s in found) for found in problems.values())]
    out, used = {}, []
    for s in report.series:
        if s.label not in labels:
            continue
        for r in s.runs:
            e = r.reach()
            if r.target() is None or (e and e[column] is None):
                return {}, []
            if e is None and r.status == "unfinished":  # neither reached nor missed: a problem that is left out
                continue
            out.setdefault(s.label, {})[s.problem, r.seed] = e[column] if e else float("inf")
        used.append(s)
    common = set.intersection(*(set(c) for c in out.values())) if out else set()
    return {label: {k: v for k, v in c.items() if k in common} for label, c in out.items()} if common else {}, used


def steps(values, first, last, n):
    """The share of n values that is reached, from `first` to `last`: [(x, share)] of a step function."""
    points, done = [(first, sum(v <= first for v in values) / n)], 0
    for v in sorted(values):
        done += 1
        if first < v <= last:
            points.append((v, done / n))
    return points + [(last, points[-1][1])]


def profiles(report, style):
    """Dolan and Moré's performance profile (within which factor of the best method's cost) and Moré and Wild's data profile
    (within which cost), of the four costs; a problem is a problem with a seed."""
    made = []
    if len(report.problems()) < 2:
        return made
    for axis, column, words, factor in AXES:
        found, used = costs(report, column)
        finite = [v * factor for c in found.values() for v in c.values() if v < float("inf")]
        if len(found) < 2 or not finite or max(finite) <= 0 or len(found) > MAX_LINES:
            continue
        keys = list(next(iter(found.values())))
        least = {k: min(c[k] for c in found.values()) for k in keys}
        ratios = {l: [c[k] / least[k] if least[k] > 0 and c[k] < float("inf") else float("inf") for k in keys]
                  for l, c in found.items()}
        far = max([v for r in ratios.values() for v in r if v < float("inf")] + [2.0]) * 1.1
        about = "%d problems: %d data sets, models and partitions, each with its seeds" % (len(keys), len({p for p, _ in keys}))
        of = [r for s in used for r in s.runs]
        axis, words = axis if words else figures.slug(load.period(of, True)), words or load.period(of, True)
        budgets = {l: [c[k] * factor for k in keys] for l, c in found.items()}
        for name, title, x, how, values, first, last in (
                ("performance", "Performance profile (Dolan and Moré)", "%s, as a multiple of the best method's" % words,
                 "so many times the least cost of a method", ratios, 1.0, far),
                ("data", "Data profile (Moré and Wild)", words, "a cost", budgets, 0.0, max(finite) * 1.05)):
            lines = [figures.Line(l, style[l], 1, steps(values[l], first, last, len(keys))) for l in found]
            told = caption("%s: share of problems whose target accuracy is reached within %s" % (title, how), about, used, False)
            made.append(figures.Plot("profile-%s-%s" % (name, axis), "%s: %s" % (title, words), x, "share of problems", lines,
                                     told, (GROUP, title, words), "step", log=name == "performance"))
    return made
