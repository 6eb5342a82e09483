"""Kernels beside other libraries, from a record of scripts/performance: tables, and figures of them."""
import statistics

import bench_lines

FORMS = {"gemm_nn": "NN", "gemm_nt": "NT", "gemm_tn": "TN"}
STEPS = {"sgd": "SGD", "momentum": "SGD momentum", "adamw": "AdamW", "rmsprop": "RMSprop", "newton_schulz": "Muon"}
PRODUCTS_HEADER = ["product, m x n x k", "threads", "Fedlane, GFLOP/s", "of the peak", "oneDNN", "OpenBLAS", "against oneDNN"]
STEPS_HEADER = ["step", "parameters", "threads", "Fedlane, ns a parameter", "of its ceiling", "PyTorch fused", "foreach",
                "default", "Fedlane is faster"]


def tables(record):
    """[(header, rows)]: products and steps beside their rivals; the best repetition of each, because a ceiling is one."""
    m, isa = record["measurements"], record["machine"]["isa_used"]
    lines = [l for l in bench_lines.lines(record) if l.isa == isa and not l.cold]
    most = lambda job, key: max(m.get(job, {}).get(key, []), default=None)
    least = lambda job, key: min(m.get(job, {}).get(key, []), default=None)
    text = lambda x, digits: "-" if x is None else "%.*f" % (digits, x)
    share = lambda line: "%.0f %%" % line.percent if line.ceiling_ns else ""
    products, steps, ratios = [], [], {}
    for l in lines:
        if l.kernel in FORMS:
            shape = "%s %s" % (FORMS[l.kernel], "x".join(part.split(":")[1] for part in l.place.split("/")))
            job = "products %d" % l.threads
            onednn = max((x for x in (most(job, "sgemm " + shape), most(job, "packed " + shape)) if x), default=None)
            if onednn:
                ratios.setdefault(l.threads, []).append(l.gflops / onednn)
            products.append([shape, str(l.threads), text(l.gflops, 1), share(l), text(onednn, 1),
                             text(most(job, "openblas " + shape), 1), "%.2f x" % (l.gflops / onednn) if onednn else "-"])
        elif l.kernel in STEPS:
            n = l.n if l.kernel != "newton_schulz" else int(l.place.split("/")[0][2:]) * l.n
            at = {61706: 61746}.get(n, n)  # the rivals' matrix nearest to LeNet-5
            job = "optimizers torch %d" % l.threads
            rivals = [least(job, "%s %s %d" % (STEPS[l.kernel], form, at)) for form in ("fused", "foreach", "default")]
            fastest = min((x for x in rivals if x), default=None)
            steps.append([l.kernel, "{:,}".format(n), str(l.threads), text(l.best, 3 if l.best < 10 else 1), share(l)] +
                         [text(x, 2) for x in rivals] + ["%.1f x" % (fastest / l.best) if fastest else "-"])
    for threads, r in sorted(ratios.items()):
        products.append(["geometric mean", str(threads), "", "", "", "", "%.2f x" % statistics.geometric_mean(r)])
    return [(header, rows_) for header, rows_ in ((PRODUCTS_HEADER, products), (STEPS_HEADER, steps)) if rows_]


def figures_of(figures, plt, record, out):
    """Bars of the tables' figures; GFLOP/s end at the peak of a core, nanoseconds are logarithmic."""
    made = []
    found = {header[0]: rows_ for header, rows_ in tables(record)}
    isa = record["machine"]["isa_used"]
    peak = max((l.gflops for l in bench_lines.lines(record) if l.name == "ceiling/%s/fma/threads:1" % isa), default=None)
    for header, columns, label, name in ((PRODUCTS_HEADER, (2, 4, 5), "GFLOP/s", "rivals-products"),
                                         (STEPS_HEADER, (3, 5, 6, 7), "nanoseconds a parameter", "rivals-steps")):
        for threads in ("1", "2"):
            at = header.index("threads")
            rows_ = [r for r in found.get(header[0], []) if r[at] == threads and any(r[c] not in ("", "-") for c in columns[1:])
                     and r[columns[0]]]
            if not rows_:
                continue
            fig, ax = plt.subplots(figsize=(6.4, 0.8 + 0.12 * len(columns) * len(rows_)))
            for k, c in enumerate(columns):
                values = [float(r[c]) if r[c] not in ("", "-") else 0.0 for r in rows_]
                ax.barh([i + 0.2 * k for i in range(len(rows_))], values, height=0.18, color=figures.COLOURS[k], label=header[c])
            ax.set_yticks([i + 0.2 for i in range(len(rows_))], [" ".join(r[:at]) for r in rows_], fontsize=6)
            ax.invert_yaxis()
            ax.set_xlabel(label)
            if header is STEPS_HEADER:
                ax.set_xscale("log")
            elif peak:
                ax.set_xlim(0, peak * int(threads))
            ax.legend(fontsize=6)
            title = "%s thread%s" % (threads, "s" if threads != "1" else "")
            ax.set_title(title)
            made.append(figures.save(fig, out, "%s-%s" % (name, threads), title, header, rows_))
    return made
