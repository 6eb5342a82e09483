"""Tables that the page shows, and those that Python makes as LaTeX (booktabs)."""
import html


def latex_text(text):
    table = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
             "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"\textless{}", ">": r"\textgreater{}",
             "|": r"\textbar{}", "²": r"$^2$", "Θ": r"$\Theta$", "[": "{[}", "*": "{*}", '"': r"\char34{}"}
    return "".join(table.get(c, c) for c in text)


def latex(path, title, header, body, columns=None):
    with open(path, "w", encoding="utf-8") as f:
        f.write("%% %s\n" % title)
        f.write("\\begin{tabular}{%s}\n\\toprule\n" % (columns or "l" + "r" * (len(header) - 1)))
        f.write(" & ".join(latex_text(h) for h in header) + " \\\\\n\\midrule\n")
        for r in body:
            f.write(" & ".join("--" if c == "-" else latex_text(c) for c in r) + " \\\\\n")
        f.write("\\bottomrule\n\\end{tabular}\n")


def as_html(header, body, strong=None):
    head = "".join("<th>%s</th>" % html.escape(h) for h in header)
    lines = []
    for i, r in enumerate(body):
        cells = [html.escape(str(c)) for c in r]
        if strong:  # a table of `fedlane report`
            cells = ["∞" if c == "inf" else c for c in cells]
            cells = ["<b>%s</b>" % c if b else c for c, b in zip(cells, strong[i])]
        lines.append("<tr>%s</tr>\n" % "".join("<td>%s</td>" % c for c in cells))
    return '<table>\n<thead><tr>%s</tr></thead>\n<tbody>\n%s</tbody></table>\n' % (head, "".join(lines))
