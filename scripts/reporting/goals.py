"""What was to be reached, and other libraries beside ours: tables and figures from a record of scripts/performance, or, as far as
it goes, from the JSON of `fedlane bench`."""
import statistics

import bench_lines

FORMS = {"gemm_nn": "NN", "gemm_nt": "NT", "gemm_tn": "TN"}
# A kernel of steps and the optimizer of PyTorch that computes the same.
RIVALS = {"sgd": ("sgd", "SGD"), "momentum": ("momentum", "SGD momentum"), "adamw": ("adamw", "AdamW"),
          "rmsprop, centered, momentum": ("rmsprop", "RMSprop centered momentum"), "rmsprop": ("rmsprop plain", "RMSprop"),
          "adagrad": ("rmsprop plain", "Adagrad")}
DRAM = 1 << 24            # parameters: from here on no cache holds a good part of the arrays
LARGE = 7e6               # multiply-adds of a product that is one of the larger
NEWTON_SCHULZ = {"m:64/n:64": 16, "m:246/n:251": 52, "m:1024/n:1024": 215}
FUNCTIONS = {"exp": 1.0, "log": 1.0, "tanh": 0.6, "sigmoid": 0.6, "erf": 0.6}
DRAWS = {"uniform": 7.0, "gaussian": 3.5}
BEHIND = {"qr": 1.5, "cholesky": 1.5, "eigh": 4.0}
MET = "met"
ASIDE = (MET, "limit", "ceiling", "GB/s", "PyTorch", "foreach", "default", "oneDNN", "OpenBLAS",
         "LAPACK (OpenBLAS)", "PyTorch's Muon (bf16)")


def judged(condition):
    return "-" if condition is None else "yes" if condition else "no"


def text(x, digits):
    return "-" if x is None else "{:,.{}f}".format(x, digits)


class Record:
    """The best of what was measured: lines of the machine's instruction set by name, and numbers of other programs."""

    def __init__(self, record):
        self.measurements = record.get("measurements", {})
        self.all = bench_lines.lines(record)
        google = record.get("context", {}).get("machine_isa_used")
        self.isa = google or record["machine"]["isa_used"]
        self.lines = [l for l in self.all if l.isa == self.isa and not l.cold and "/pages:" not in l.name]

    def most(self, job, key):
        return max(self.measurements.get(job, {}).get(key, []), default=None)

    def least(self, job, key):
        return min(self.measurements.get(job, {}).get(key, []), default=None)


def products(r):
    header = ["product, m x n x k", "threads", "Fedlane, GFLOP/s", "% of the peak", "oneDNN", "OpenBLAS", "against oneDNN",
              "target", MET]
    rows, ratios = [], {}
    peak = {l.threads: l.gflops for l in r.all if l.kernel == "ceiling" and "/%s/fma/" % r.isa in l.name}
    for l in r.lines:
        if l.kernel not in FORMS:
            continue
        size = [int(part.split(":")[1]) for part in l.place.split("/")]
        shape, job = "%s %s" % (FORMS[l.kernel], "x".join(map(str, size))), "products %d" % l.threads
        # Beside the rivals our figure is of the same process.
        own = r.most(job, "fedlane " + shape) or l.gflops
        onednn = max((x for x in (r.most(job, "sgemm " + shape), r.most(job, "packed " + shape)) if x), default=None)
        ratio = own / onednn if onednn else None
        goal = 1.3 if size[1] == 10 else 0.9
        if ratio:
            ratios.setdefault(l.threads, []).append(ratio)
        share = 100 * own / peak[l.threads] if l.threads in peak else None
        rows.append([shape, str(l.threads), text(own, 1), text(share, 1), text(onednn, 1),
                     text(r.most(job, "openblas " + shape), 1), text(ratio, 2), ">= %.1f" % goal if ratio else "",
                     judged(ratio and ratio >= goal)])
    for threads, found in sorted(ratios.items()):
        mean = statistics.geometric_mean(found)
        rows.append(["geometric mean", str(threads), "", "", "", "", text(mean, 2), ">= 1.0", judged(mean >= 1)])
    return "Products beside oneDNN (the faster of sgemm and packed matmul) and OpenBLAS", header, rows


def products_avx2(r):
    header = ["product", "GFLOP/s", "% of AVX2's multiply-adds", "target", MET]
    rows = []
    for l in r.all:
        if l.kernel in FORMS and l.isa == "avx2" and l.threads == 1 and l.ceiling_ns:
            size = [int(part.split(":")[1]) for part in l.place.split("/")]
            large = size[0] * size[1] * size[2] >= LARGE
            name = "%s %s" % (FORMS[l.kernel], "x".join(map(str, size)))
            rows.append([name, text(l.gflops, 1), l.share, ">= 85" if large else "", judged(l.percent >= 85 if large else None)])
    return "Products with AVX2, one thread", header, rows


def step_goal(l, n, fused):
    """(target, whether it is met) of a step."""
    if n >= DRAM:
        if l.kernel == "adamw" and fused:
            return ">= 90 %, <= fused", l.percent >= 90 and l.best <= fused
        return ">= 90 %", (l.percent >= 90 if l.ceiling_ns else None)
    if l.kernel == "adamw" and l.threads == 1 and n in (61706, 4096):
        most = 0.32 if n == 61706 else 0.30
        return "<= %.2f ns" % most, l.best <= most
    return "", None


def steps(r):
    header = ["step", "parameters", "threads", "Fedlane, ns a parameter", "GB/s", "% of its ceiling", "ceiling", "target", MET,
              "PyTorch fused", "foreach", "default", "Fedlane is faster"]
    rows, family = [], {l.kernel for l in r.lines if l.n in (4096, 61706)}  # sizes that only steps have
    known = {kernel for kernel, _ in RIVALS.values()}
    of = lambda l: l.kernel + (" plain" if l.place.startswith("plain/") else "")
    chosen = [(label, rival, l) for label, (kernel, rival) in RIVALS.items() for l in r.lines if of(l) == kernel]
    chosen += [(l.kernel, "-", l) for l in r.lines if of(l) not in known and l.n >= DRAM]
    for label, rival, l in chosen:
        if l.kernel not in family or (l.n < DRAM and l.n not in (4096, 61706)):
            continue
        at = {61706: 61746}.get(l.n, l.n)  # the rivals' matrix nearest to LeNet-5
        job = "optimizers torch %d" % l.threads
        others = [r.least(job, "%s %s %d" % (rival, form, at)) for form in ("fused", "foreach", "default")]
        fastest = min((x for x in others if x), default=None)
        goal, met = step_goal(l, l.n, others[0])
        ceiling = l.ceiling.replace("ceiling/", "").split("/n:")[0]
        rows.append([label, "{:,}".format(l.n), str(l.threads), text(l.best, 3), text(l.gb, 1), l.share, ceiling, goal,
                     judged(met)] + [text(x, 2) for x in others] + ["%.1f x" % (fastest / l.best) if fastest else "-"])
    return "Steps: in memory beside the streams of their mix, and the call's cost", header, rows


def newton_schulz(r):
    header = ["Newton-Schulz, 5 steps", "Fedlane, ns a parameter", "% of its multiply-adds", "target", MET,
              "a whole step of PyTorch's Muon (bf16)"]
    rows = []
    for l in r.lines:
        if l.kernel == "newton_schulz":
            goal, n = NEWTON_SCHULZ.get(l.place), int(l.place.split("/")[0][2:]) * l.n
            torch = r.least("optimizers torch 1", "Muon default %d" % n)
            size = l.place.replace("m:", "").replace("/n:", " x ")
            rows.append([size, text(l.best, 1), l.share, "<= %d" % goal if goal else "",
                         judged(l.best <= goal if goal else None), text(torch, 1)])
    return "Newton-Schulz, one thread, fp32", header, rows


def decompositions(r):
    header = ["decomposition", "rows", "Fedlane, microseconds", "LAPACK (OpenBLAS)", "of LAPACK's time", "target", MET]
    rows = []
    for key in r.measurements.get("decompositions", {}):
        who, name, n = key.split()
        if who == "fedlane":
            own, theirs = r.least("decompositions", key), r.least("decompositions", "lapack %s %s" % (name, n))
            rows.append([name, n, text(own, 1), text(theirs, 1), text(own / theirs, 2), "<= %.1f" % BEHIND[name],
                         judged(own / theirs <= BEHIND[name])])
    return "Decompositions, one thread", header, sorted(rows, key=lambda row: (row[0], int(row[1])))


def near(r, kernel, isa):
    """The fastest line of a kernel in a core's own caches."""
    return min((l for l in r.all if l.kernel == kernel and l.isa == isa and l.threads == 1 and not l.cold and not l.paired),
               key=lambda l: l.best, default=None)


def per_isa(r, kernels, title, header, value, goals):
    rows = []
    for isa in dict.fromkeys(l.isa for l in r.all if l.isa):
        for kernel in kernels:
            l = near(r, kernel, isa)
            figure = value(l) if l else None
            if figure is not None:
                goal = goals[kernel] * {"avx512": 1.0, "avx2": header[1]}.get(isa, 0) if kernel in goals else 0
                rows.append([kernel, isa, text(figure, 2), ">= %.2f" % goal if goal else "",
                             judged(figure >= goal if goal else None)])
    return title, [header[0], "instruction set", header[2], "target", MET], rows


def pages(r):
    header = ["line", "threads", "huge pages, GB/s", "% of its ceiling", "4 KiB pages, GB/s", "% of its ceiling"]
    small = {l.name.replace("/pages:4k", ""): l for l in r.all if "/pages:4k" in l.name and l.kernel != "ceiling"}
    both = [(l, small[l.name]) for l in r.all if l.name in small]
    rows = [["%s %s" % (l.kernel, l.place), str(l.threads), text(l.gb, 1), l.share, text(s.gb, 1), s.share] for l, s in both]
    return "With and without huge pages", header, rows


def tables(record):
    """[(title, header, rows)]; a column `met` says whether the target is reached."""
    r = Record(record)
    cycle = bench_lines.cycle(r.all)
    made = [steps(r), products(r), products_avx2(r), newton_schulz(r), decompositions(r),
            per_isa(r, FUNCTIONS, "Functions, in a core's own caches", ("function", 0.7, "elements a cycle"),
                    lambda l: cycle / l.best if cycle else None, FUNCTIONS),
            per_isa(r, DRAWS, "Random numbers, in a core's own caches", ("draw", 0.5, "GB/s a core"), lambda l: l.gb, DRAWS),
            pages(r)]
    return [table for table in made if table[2]]


def missed(all_tables):
    """One line for each target that is not reached, with what was."""
    told = lambda pairs: ", ".join("%s %s" % (h, c) for h, c in pairs if c not in ("", "-") and h not in ASIDE)
    return ["%s: %s" % (row[0], told(list(zip(header, row))[1:]))
            for title, header, rows in all_tables if MET in header for row in rows if row[header.index(MET)] == "no"]


def bars(figures, plt, out, name, title, header, rows, columns, label, limit=None, log=False):
    fig, ax = plt.subplots(figsize=(6.4, 0.8 + 0.12 * len(columns) * len(rows)))
    number = lambda cell: float(cell.replace(",", "")) if cell not in ("", "-") else 0.0
    for k, c in enumerate(columns):
        ax.barh([i + 0.2 * k for i in range(len(rows))], [number(row[c]) for row in rows], height=0.18, color=figures.COLOURS[k],
                label=header[c])
    ax.set_yticks([i + 0.2 for i in range(len(rows))], [" ".join(row[:columns[0]]) for row in rows], fontsize=6)
    ax.invert_yaxis()
    ax.set_xlabel(label)
    if log:
        ax.set_xscale("log")
    if limit:
        ax.set_xlim(0, limit)
    ax.legend(fontsize=6)
    ax.set_title(title)
    return figures.save(fig, out, name, title, header, rows)


def figures_of(figures, plt, record, out):
    """Bars of the tables with rivals; GFLOP/s end at the peak of the cores, times are logarithmic."""
    made, r = [], Record(record)
    peak = max((l.gflops for l in r.all if l.name == "ceiling/%s/fma/threads:1" % r.isa), default=None)
    for (title, header, rows), columns, label, name in ((products(r), (2, 4, 5), "GFLOP/s", "rivals-products"),
                                                        (steps(r), (3, 9, 10, 11), "nanoseconds a parameter", "rivals-steps"),
                                                        (decompositions(r), (2, 3), "microseconds", "rivals-decompositions")):
        at = header.index("threads") if "threads" in header else None
        for threads in (("1", "2") if at is not None else (None,)):
            chosen = [row for row in rows if (at is None or row[at] == threads) and row[0] != "geometric mean" and
                      any(row[c] not in ("", "-") for c in columns[1:])]
            if chosen:
                limit = peak * int(threads) if name == "rivals-products" and peak else None
                of = name + ("-" + threads if threads else "")
                made.append(bars(figures, plt, out, of, title, header, chosen, columns, label, limit, name != "rivals-products"))
    return made
