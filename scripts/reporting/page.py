"""One self-contained HTML page: table, figures, hashes, machines, configurations, and the files it was made from."""
import html
import json
import os

import load
import tables

STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;margin:1rem 0;font-size:13px;display:block;overflow-x:auto}
th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:left}
figure{display:inline-block;vertical-align:top;margin:0 1rem 1.5rem 0;max-width:100%}figure svg{max-width:100%;height:auto}
figcaption{font-size:13px;color:#444;max-width:31rem}td:first-child{white-space:nowrap}code,pre{font-size:12px}
pre{overflow-x:auto;background:#f6f6f6;padding:.7rem}
.note{background:#fff6df;padding:.5rem .8rem}"""


def shown(value):
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def configurations(runs):
    """What all runs share, and one line a run for what they do not."""
    each = [load.leaves(r.config) for r in runs]
    keys = list(dict.fromkeys(k for c in each for k in c))
    same = {k: each[0].get(k) for k in keys if all(k in c and c[k] == each[0].get(k) for c in each)}
    differ = [k for k in keys if k not in same]
    text = "<h3>Settings that all runs share</h3>" + tables.as_html(["key", "value"], [(k, shown(v)) for k, v in same.items()])
    if differ:
        body = [[os.path.basename(r.folder)] + [shown(c[k]) if k in c else "" for k in differ] for r, c in zip(runs, each)]
        text += "<h3>Settings that differ</h3>" + tables.as_html(["run"] + differ, body)
    return text


def machines(runs):
    text = ""
    for cpu in dict.fromkeys(r.cpu for r in runs):
        m = next(r.machine for r in runs if r.cpu == cpu)
        text += "<h3>%s</h3>" % html.escape(cpu) + tables.as_html(["field", "value"],
                                                                      [(k, shown(v)) for k, v in load.leaves(m).items()])
    return text


def hashes(runs):
    body = []
    for r in runs:
        repeat = r.record.get("reproducible", r.summary.get("reproducible"))
        reasons = r.record.get("not_reproducible") or r.record.get("reasons") or ""
        body.append([os.path.basename(r.folder), r.label, r.seed, r.status, r.summary.get("hash", "-"),
                     r.summary.get("trajectory_hash", "-"),
                     "-" if repeat is None else "yes" if repeat else "no: " + shown(reasons)])
    return tables.as_html(["run", "method", "seed", "status", "hash", "trajectory hash", "reproducible"], body)


def write(path, runs, all_series, body, figures, notes, beside):
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
             "<title>Fedlane report</title><style>%s</style>" % STYLE, "<h1>Fedlane report</h1>",
             "<p>%d runs on %s.</p>" % (len(runs), html.escape(", ".join(dict.fromkeys(r.cpu for r in runs))))]
    parts += ["<p class=note>%s</p>" % html.escape(n) for n in notes]
    parts += ["<h2>Results</h2>", tables.as_html(tables.HEADER, body), "<p>%s</p>" % html.escape(tables.caption(all_series)),
              beside,
              "<h2>Figures</h2>",
              "<p>Lines are means over seeds, bands the range from the smallest to the largest seed. Each figure lies beside "
              "this page as PDF and "
              "SVG, with a CSV of its points.</p>"]
    parts += ["<figure>%s<figcaption>%s (<code>%s.csv</code>)</figcaption></figure>" % (f.svg, html.escape(f.title), f.name)
              for f in figures]
    parts += ["<h2>Hashes</h2>", "<p>SHA-256 of the final parameters and buffers as little-endian fp32. They do not depend on "
                                 "threads, "
              "instruction set or machine.</p>", hashes(runs)]
    parts += ["<h2>Machines</h2>", machines(runs), "<h2>Configuration</h2>", configurations(runs), "<h2>Made from</h2><ul>"]
    parts += ["<li><code>%s</code></li>" % html.escape(r.folder) for r in runs]
    parts += ["</ul></html>\n"]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(parts))
