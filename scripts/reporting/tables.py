"""The main table: rows once, written as CSV, LaTeX (booktabs) and HTML."""
import csv
import html
import os

HEADER = ["data, model", "method", "seeds", "accuracy (%)", "rounds to target", "seconds to target", "samples/s", "MB up",
          "MB down"]


def fixed(value, digits, factor=1.0):
    return "-" if value is None else "%.*f" % (digits, value * factor)


def rows(all_series):
    out = []
    for s in all_series:
        a = s.accuracy()
        if a is None:
            bad = sorted({r.status for r in s.runs} - {"done"})
            accuracy = bad[0] if bad else "-"
        else:
            accuracy = "%.2f" % (100 * a[0]) + (" ± %.2f" % (100 * a[1]) if a[1] is not None else "")
        reach = s.reach()
        rate = s.mean(r.samples_per_second() for r in s.runs)
        out.append([s.problem, s.label, str(len(s.runs)), accuracy, fixed(reach and reach[0], 1), fixed(reach and reach[1], 2),
                    fixed(rate, 0), fixed(s.mean(r.last("total_bytes_up") for r in s.runs), 1, 1e-6),
                    fixed(s.mean(r.last("total_bytes_down") for r in s.runs), 1, 1e-6)])
    return out


def caption(all_series):
    targets = sorted({r.target() for s in all_series for r in s.runs if r.target()})
    text = ("Accuracy: mean of the last 5 evaluations of a run, then mean ± sample standard deviation over seeds. Seconds leave "
            "evaluation out. Target: ")
    text += ", ".join("%.1f %%" % (100 * t) for t in targets) if targets else "none set"
    text += '; "-": not reached by every seed'
    mixed = any(r.mixed for s in all_series for r in s.runs)
    return text + (", or no times, as a run was resumed with other threads or on another machine, or trained beside "
                   "others." if mixed else ".")


def latex_text(text):
    table = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
             "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    return "".join(table.get(c, c) for c in text)


def latex(path, title, header, body, columns=None):
    with open(path, "w", encoding="utf-8") as f:
        f.write("%% %s\n" % title)
        f.write("\\begin{tabular}{%s}\n\\toprule\n" % (columns or "l" + "r" * (len(header) - 1)))
        f.write(" & ".join(latex_text(h) for h in header) + " \\\\\n\\midrule\n")
        for r in body:
            f.write(" & ".join("--" if c == "-" else latex_text(c) for c in r) + " \\\\\n")
        f.write("\\bottomrule\n\\end{tabular}\n")


def write(all_series, out):
    body = rows(all_series)
    with open(os.path.join(out, "table.csv"), "w", newline="", encoding="utf-8") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(HEADER)
        w.writerows(body)
    latex(os.path.join(out, "table.tex"), caption(all_series), HEADER, body, "llrlrrrrr")
    return body


def as_html(header, body):
    head = "".join("<th>%s</th>" % html.escape(h) for h in header)
    lines = "".join("<tr>%s</tr>\n" % "".join("<td>%s</td>" % html.escape(str(c)) for c in r) for r in body)
    return '<table>\n<thead><tr>%s</tr></thead>\n<tbody>\n%s</tbody></table>\n' % (head, lines)
