"""One self-contained HTML page: table, figures (panels where the reader has JavaScript), hashes, machines, configurations, and
the files it was made from."""
import html
import json
import os

import figures
import load
import tables

MAX_POINTS = 160   # of a line in a panel; its CSV has all
MAX_ROWS = 2000    # of the lists of runs


def shown(value):
    """As `fedlane info` and a configuration have it."""
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return ", ".join(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return {None: "unknown", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else str(value)


def first(rows):
    """Of a long list the beginning, and what is left out in words."""
    return rows[:MAX_ROWS], ("<p>%d more are in <code>summary.json</code>.</p>" % (len(rows) - MAX_ROWS)
                             if len(rows) > MAX_ROWS else "")


def configurations(runs):
    """What all runs share, and one line a run for what they do not."""
    each = [load.leaves(r.config) for r in runs]
    keys = list(dict.fromkeys(k for c in each for k in c))
    same = {k: each[0].get(k) for k in keys if all(k in c and c[k] == each[0].get(k) for c in each)}
    differ = [k for k in keys if k not in same]
    text = "<h3>Settings that all runs share</h3>" + tables.as_html(["key", "value"], [(k, shown(v)) for k, v in same.items()])
    if differ:
        body, more = first([(os.path.basename(r.folder), c) for r, c in zip(runs, each)])
        body = [[name] + [shown(c[k]) if k in c else "" for k in differ] for name, c in body]
        text += "<h3>Settings that differ</h3>" + tables.as_html(["run"] + differ, body) + more
    return text


def machines(runs):
    text = ""
    for cpu in dict.fromkeys(r.cpu for r in runs):
        m = next(r.machine for r in runs if r.cpu == cpu)
        text += "<h3>%s</h3>" % html.escape(cpu) + tables.as_html(["field", "value"],
                                                                  [(k, shown(v)) for k, v in load.leaves(m).items()])
    return text


def hashes(runs):
    body, more = first(runs)
    rows = []
    for r in body:
        repeat = r.record.get("reproducible", r.summary.get("reproducible"))
        rows.append([os.path.basename(r.folder), r.label, r.seed, r.status, r.summary.get("hash", "-"),
                     r.summary.get("trajectory_hash", "-"),
                     "-" if repeat is None else "yes" if repeat else "no: " + shown(r.record.get("reasons") or "")])
    return tables.as_html(["run", "method", "seed", "status", "hash", "trajectory hash", "reproducible"], rows) + more


def thinned(points):
    """At most MAX_POINTS of them, the last one among them; numbers with five digits."""
    every = -(-len(points) // MAX_POINTS)
    kept = points[::every] + ([points[-1]] if (len(points) - 1) % every else [])
    return [[float("%.5g" % v) for v in p] for p in kept]


def panels(plots):
    """What page.js draws: the plots by group, each with what it shows and against what."""
    groups = []
    for name in dict.fromkeys(p.group for p in plots):
        groups.append({"name": name, "plots": [
            {"title": p.title, "what": p.what, "axis": p.axis, "x": p.x, "y": p.y, "kind": p.kind, "log": p.log,
             "lines": [{"label": l.label, "style": l.style, "seeds": l.seeds, "points": thinned(l.points)} for l in p.lines]}
            for p in plots if p.group == name]})
    return {"colours": figures.COLOURS, "groups": groups}


def figure(f):
    return "<figure>%s<figcaption>%s (<code>%s.csv</code>)</figcaption></figure>" % (f.svg, html.escape(f.title), f.name)


def beside(name):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), encoding="utf-8") as f:
        return f.read()


def drawn(plots, made):
    """A section a group: the panel's place, then the still figures."""
    data, parts = panels(plots), []
    for i, group in enumerate(data["groups"]):
        parts += ["<h3>%s</h3><div class=panel id=panel-%d></div><div id=still-%d>" % (html.escape(group["name"]), i, i)]
        parts += [figure(f) for f in made if f.group == group["name"]] + ["</div>"]
    parts += [figure(f) for f in made if not f.group]
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/").replace("<!--", "<\\u0021--")
    return parts, '<script type="application/json" id=points>%s</script>\n<script>\n%s</script>' % (text, beside("page.js"))


def write(path, report, plots, made, notes, sections):
    runs = report.runs
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
             "<title>Fedlane report</title><style>\n%s</style>" % beside("page.css"), "<h1>Fedlane report</h1>",
             "<p>%d runs on %s.</p>" % (len(runs), html.escape(", ".join(dict.fromkeys(r.cpu for r in runs))))]
    parts += ["<p class=note>%s</p>" % html.escape(n) for n in notes]
    for name, heading in (("table", "Results"), ("accuracy", "Accuracy by problem"), ("targets", "Cost of the target")):
        t = report.tables.get(name)
        if t:
            parts += ["<h2>%s</h2>" % heading, tables.as_html(t["header"], t["rows"], t["strong"]),
                      "<p>%s (<code>%s.csv</code>, <code>%s.tex</code>)</p>" % (html.escape(t["caption"]), name, name)]
    figures_of, script = drawn(plots, made)
    parts += sections
    parts += ["<h2>Figures</h2>", "<p>Lines are means over seeds, bands the range from the smallest to the largest seed. Each "
              "figure lies beside this page as PDF and SVG, with a CSV of its points and a caption in LaTeX.</p>"] + figures_of
    parts += ["<h2>Hashes</h2>", "<p>SHA-256 of the final parameters and buffers as little-endian fp32. They do not depend on "
              "threads, instruction set or machine.</p>", hashes(runs)]
    parts += ["<h2>Machines</h2>", machines(runs), "<h2>Configuration</h2>", configurations(runs), "<h2>Made from</h2><ul>"]
    body, more = first(runs)
    parts += ["<li><code>%s</code></li>" % html.escape(r.folder) for r in body] + ["</ul>", more, script, "</html>\n"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(parts))
