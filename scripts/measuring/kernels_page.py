"""docs/kernels.md from ops.def, kernels.h, `fedlane-check --describe` and the result files: kernels_page.py BUILD [--print]"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "scripts", "reporting"))
import bench_lines  # noqa: E402

INTRO = """# Kernels

Written by `scripts/kernels-page` from the registry `kernels/ops.def`, from what `fedlane-check --describe` shows of each kernel,
and from the result files of [performance.md](performance.md). How the order of operations is fixed is said in
[reproducibility.md](reproducibility.md) and `kernels.h`; every kernel has one golden hash, the same on every instruction set.
[The example](examples/kernels/main.c) calls them from a program of its own.

Bytes are read and written an element (`+`: by the shape). *In place* names arguments that may be the same memory; otherwise
what is written overlaps nothing. *NaN* says what becomes NaN when one element of an input is: `at its place`, `everywhere`, or
`some` of the elements that depend on it; `number` that a number comes out, whose meaning the formula says.
"""
ORDER = {
    "step": "Element by element; each operation that the formula writes is rounded once, `fma` is one rounding. State that "
            "decays is stored as +0 below 2^-126, and the step uses what is stored.",
    "reduce": "32 partial sums in double, element i to partial i mod 32, then halves; above 4,096 elements chunks of 4,096, "
              "combined by the fixed tree. A mean is its sum divided once. Maxima do not depend on an order.",
    "math": "Polynomials of our own, the same instructions in the same order for each element; how far off: "
            "[reproducibility.md](reproducibility.md), 4.",
    "random": "Philox4x32-10: element i is word (i/16) mod 4 of block 16*(i/64) + i mod 16, a function of key and place alone.",
    "gemm": "One fp32 accumulator an output, from +0, k ascending, one fma each; k is cut at every `piece` and the pieces are "
            "added by the fixed tree. `_add` begins with C and does not cut.",
    "factor": "Parts of the factorisations; the order of operations is written out under [matrix](#matrix).",
    "layer": "Rows are independent. Sums over rows and taps are cut at whole samples and combined by the fixed tree; the sums of "
             "a row are fp32.",
}


class PageError(Exception):
    pass


def registry():
    """[(family, name, arguments, traffic, formula)] as the file has them."""
    with open(os.path.join(ROOT, "kernels", "ops.def"), encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    found = re.findall(r'FL_OP\(\s*(\w+),\s*(\w+),\s*(\w+),\s*\(([^()]*)\),\s*(\w+),\s*((?:"[^"]*"\s*)+)\)', text)
    if len(found) != len(re.findall(r"\bFL_OP\(", text)):
        raise PageError("kernels/ops.def: a line is not FL_OP(family, name, result, (arguments), traffic, \"formula\")")
    return [(family, name, arguments, traffic, "".join(re.findall(r'"([^"]*)"', formula)))
            for family, name, _, arguments, traffic, formula in found]


def arrays(arguments):
    """Names of the arrays among C arguments, in their order: pointers to numbers."""
    pointer = re.compile(r"(?:float|double|uint8_t|uint32_t|int32_t) \*(\w+)$")
    return [m.group(1) for m in (pointer.search(a.strip()) for a in arguments.split(",")) if m]


def effects(text, names):
    """What a NaN does, from fedlane-check's marks: equal effects of several inputs are said once."""
    if text == "-":
        return ""
    said = {}
    for part in text.split(";"):
        source, marks = part.split(">")
        outputs = {}
        for where, how in re.findall(r"(\d+)([aps])", marks):
            outputs.setdefault({"p": "at its place", "a": "everywhere", "s": "some"}[how], []).append(names[int(where)])
        words = ["%s %s" % (", ".join(o), how) for how, o in outputs.items()]
        if marks.startswith("r"):
            words.append("the result")
        said.setdefault("; ".join(words) or "number", []).append(names[int(source)])
    return ". ".join("%s: %s" % (", ".join(sources), what) for what, sources in said.items())


def described(build):
    program = os.path.join(build, "tests", "fedlane-check")
    try:
        done = subprocess.run([program, "--describe"], capture_output=True, text=True)
    except OSError as e:
        raise PageError("%s: %s; scripts/test builds it, or set FEDLANE_BUILD" % (program, e.strerror))
    if done.returncode:
        raise PageError("%s --describe: exit %d: %s" % (program, done.returncode, done.stderr))
    return {line.split("\t")[0]: line.split("\t")[1:] for line in done.stdout.splitlines()}


def cell(text):
    return text.replace("|", "\\|")


def tables(known):
    out, family = [], None
    for kind, name, arguments, traffic, formula in registry():
        if name not in known:
            raise PageError("fedlane-check does not know %s: the build is of another source" % name)
        roles, pairs, nan = known[name][:3]
        names = arrays(arguments)
        if roles != "-" and len(roles) > len(names):
            names += ["argument %d" % i for i in range(len(names), len(roles))]
        if kind != family:
            family = kind
            out += ["", "## %s" % kind, ORDER.get(kind, ""), "", "| kernel | formula | bytes | in place | NaN |",
                    "| --- | --- | --- | --- | --- |"]
        where = [] if pairs == "-" else ["%s = %s" % (names[int(p[0])], names[int(p[1])]) for p in pairs.split(",")]
        out.append("| `%s` | %s | %s | %s | %s |" % (name, cell("`%s`" % formula), "+" if traffic == "0r0w" else traffic,
                                                     ", ".join(where), effects(nan, names)))
    return out


def starred(text):
    """Text with products, of which Markdown would make emphasis."""
    return text.replace("*", "\\*")


def function(header, name):
    """Prototype and comment of a function that is built on a table, as kernels.h has them."""
    prototype = re.search(r"^(?:void|int) fl_%s\([^;]*\);" % name, header, flags=re.M)
    start = header.rfind("/*", 0, header.find("size_t fl_%s_work(" % name))
    if not prototype or start < 0:
        raise PageError("kernels/kernels.h: fl_%s has no prototype, or no comment" % name)
    comment = header[start + 2:header.index("*/", start)]
    lines = (line.lstrip(" *").strip() for line in comment.split("\n"))
    return " ".join(prototype.group().split()), starred(" ".join(lines).strip())


def orders(header):
    """[(name, order of operations)], the paragraphs of kernels.h under Decompositions."""
    start = header.index("/* Decompositions.")
    found = []
    for line in header[start:header.index("*/", start)].split("\n"):
        entry = re.match(r" \* ([a-z_]+) {2,}(\S.*)", line)
        if entry:
            found.append([entry.group(1), entry.group(2).strip()])
        elif found:
            found[-1][1] += " " + line.lstrip(" *").strip()
    return found


def matrix(known):
    """What is built on the tables: a table of what fedlane-check shows, then the words of kernels.h."""
    with open(os.path.join(ROOT, "kernels", "kernels.h"), encoding="utf-8") as f:
        header = f.read()
    rows, words, sizes = [], [], ""
    for name, fields in known.items():
        if len(fields) < 6:
            continue
        pairs, nan, formula, names, scratch = fields[1:]
        names, scratch = names.split(), [entry.split(":") for entry in scratch.split(",")]
        sizes = " / ".join(n for n, _ in scratch)
        where = [] if pairs == "-" else ["%s = %s" % (names[int(p[1])], names[int(p[0])]) for p in pairs.split(",")]
        rows.append("| `%s` | `%s` | %s | %s | %s |" % (name, formula, " / ".join("{:,}".format(int(s)) for _, s in scratch),
                                                        ", ".join(where), effects(nan, names)))
        words.append("- `%s` %s" % function(header, name))
    panel = re.search(r"FL_PANEL (\d+)", header).group(1)
    return (["", "## matrix", "Functions over a table's kernels: `fl_NAME(table, ...)`, matrices row-major and dense. Nothing is "
             "allocated: scratch, in floats, is the caller's; `fl_NAME_work` has it for any size, the table for n x n.", "",
             "| function | computes | scratch at n = %s | in place | NaN |" % sizes, "| --- | --- | --- | --- | --- |"] +
            rows + [""] + words +
            ["", "Orders of operations of the decompositions; *root* is what `inverse_root` does after `eigh`. `gemm_xy` is the "
             "table's product, whose k is not cut; double expressions round every operation; fl(x) is x as a float; P is %s." %
             panel, ""] + ["- *%s*: %s" % (name, starred(order)) for name, order in orders(header)])


def figures():
    """Every result file with lines of fedlane bench: each kernel at each place, by instruction set."""
    out = []
    for path in sorted(glob.glob(os.path.join(ROOT, "results", "performance", "*.json"))):
        with open(path, encoding="utf-8") as f:
            record = json.load(f)
        lines = [l for l in bench_lines.lines(record) if l.kernel != "ceiling"] if "bench" in record else []
        if not lines:
            continue
        name = os.path.basename(path)
        cpu, commit, date = bench_lines.machine(record)
        isas = list(dict.fromkeys(l.isa for l in lines))
        out += ["", "## Figures: %s" % cpu,
                "From [%s](../results/performance/%s): %s, commit %s. Nanoseconds an element, the best repetition; "
                "in parentheses %% of what binds it." % (name, name, date[:10], commit[:12]), "",
                "| kernel | place | threads | " + " | ".join(isas) + " |", "| --- | --- | --- |" + " --- |" * len(isas)]
        rows = {}
        refuted = [l for l in lines if l.ceiling_ns and l.percent > bench_lines.ABOVE]
        if refuted:
            out[-2:-2] = ["%d of %d lines are faster than their ceiling by more than %d %% and stand as *refuted*: what is "
                          "measured there, or the ceiling, is wrong." % (len(refuted), len(lines), bench_lines.ABOVE - 100), ""]
        for l in lines:
            text = "%.3g" % l.best + (" (%.0f %%)" % l.percent if l.ceiling_ns else "")
            if l in refuted:
                text = "*refuted*"
            rows.setdefault((l.kernel, l.place, l.threads), {})[l.isa] = text
        out += ["| `%s` | %s | %d | %s |" % (k + (" | ".join(found.get(isa, "") for isa in isas),)) for k, found in rows.items()]
    return out


def main():
    build, mode = sys.argv[1], sys.argv[2:]
    if mode not in ([], ["--print"]):
        print("kernels-page: unknown argument '%s'; allowed: --print" % " ".join(mode), file=sys.stderr)
        return 2
    try:
        known = described(build)
        text = INTRO + "\n".join(tables(known) + matrix(known) + figures()) + "\n"
    except PageError as e:
        print("kernels-page: %s" % e, file=sys.stderr)
        return 1
    if mode:
        sys.stdout.write(text)
    else:
        with open(os.path.join(ROOT, "docs", "kernels.md"), "w", encoding="utf-8") as f:
            f.write(text)
    return 0


sys.exit(main())
