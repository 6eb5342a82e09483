#!/usr/bin/env bash
# What a reader's screen holds: no line of C, C++, Python, shell or CMake beyond 130 columns, no file of it beyond 500 lines, no
# function of C or C++ beyond 60 lines; no first-order method beyond 60 lines of code at 100 columns.
# usage: style.sh FEDLANE SOURCE_DIR SCRATCH_DIR
set -euo pipefail
python3 - "$2" << 'PY'
import os, re, subprocess, sys

COLUMNS, LINES, FUNCTION = 130, 500, 60
METHOD, METHOD_COLUMNS = 60, 100    # lines of code of a stage or an element-wise rule; what is beyond the columns is a line more
# Rules by matrices and curvature with what they share, and two rules of central training with thresholds and blocks of their own;
# a rule that compares all uploads, one that divides a network into blocks and has three forms of control, and differential
# privacy, which has three clips, two places for noise, and much to refuse.
NOT_FIRST_ORDER = {"muon", "soap", "shampoo", "sophia", "kronecker", "factors", "adam_mini", "signadampp",
                   "krum", "trimmed", "bcgd", "dp", "ilora"}
# Test cases whose sections share one beginning.
LONG_FUNCTIONS = {"NPZ with the keys of Keras", "a checkpoint gives the session back, or says why not"}
SOURCE = (".c", ".h", ".cc", ".cpp", ".hpp", ".def", ".py", ".sh", ".cmake")
SKIPPED = re.compile(r"^(build[^/]*|fedlane-out|results)/|(^|/)__pycache__/")


def tracked(root):
    """What git tracks; every file where there is no repository, as in an unpacked archive."""
    listed = subprocess.run(["git", "-C", root, "ls-files"], capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return listed.stdout.split("\n")[:-1]
    found = (os.path.join(folder, f) for folder, _, files in os.walk(root) for f in files)
    return sorted(p for p in (os.path.relpath(f, root) for f in found) if not SKIPPED.search(p) and not p.startswith(".git/"))


def is_source(root, path):
    if path.endswith(SOURCE) or os.path.basename(path) == "CMakeLists.txt":
        return True
    if not path.startswith("scripts/") or "." in os.path.basename(path):
        return False
    with open(os.path.join(root, path), "rb") as f:
        return f.read(2) == b"#!"


def functions(lines):
    """(first line, lines, name) of what begins at the left margin and ends with a brace there; a test case is one as well."""
    head = None
    for i, line in enumerate(lines):
        opening = re.match(r"[A-Za-z].*[)]\s*(const)?\s*\{\s*(/[/*].*)?$", line) or (
            re.match(r"\s.*[)]\s*\{\s*(/[/*].*)?$", line) and begun(lines, i))
        if head is None and opening and not re.match(r"(namespace|extern|struct|enum|union|class)\b", line):
            head = i if line[:1].isalpha() else begun(lines, i) - 1
        elif line[:1] == "}":
            if head is not None:
                name = re.search(r'^TEST_CASE.*?"(.*?)"', lines[head]) or re.search(r"(\w+)\s*\(", lines[head])
                yield head, i - head + 1, name.group(1)
            head = None


def begun(lines, i):
    """1 + the line at the left margin that the argument list ending in line i began on; 0 for none."""
    while i > 0 and re.match(r"\s", lines[i]):
        i -= 1
    return i + 1 if re.match(r"[A-Za-z][^;{}=]*[(][^;{}]*,\s*$", lines[i]) else 0


def complaints(path, text):
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    for i, line in enumerate(lines):
        if len(line) > COLUMNS:
            yield f"{path}:{i + 1}: {len(line)} columns, more than {COLUMNS}"
    if len(lines) > LINES:
        yield f"{path}: {len(lines)} lines, more than {LINES}"
    if path.endswith((".c", ".h", ".cc", ".cpp", ".hpp")):
        for first, count, name in functions(lines):
            if count > FUNCTION and name not in LONG_FUNCTIONS:
                yield f"{path}:{first + 1}: {name}: {count} lines, more than {FUNCTION}"


def too_long(path, text):
    """A method's file, by its code without comments: 60 lines for each stage or rule that it defines."""
    if not re.match(r"optimizers/\w+/\w+\.c$", path) or os.path.basename(path)[:-2] in NOT_FIRST_ORDER:
        return
    code = re.sub(r"/[*].*?[*]/|//[^\n]*", "", text, flags=re.S).split("\n")
    count = sum(-(-len(line.rstrip()) // METHOD_COLUMNS) for line in code if line.strip())
    methods = max(1, len(re.findall(r"^const fl_(?:stage|rule) fl_", text, flags=re.M)))
    if count > METHOD * methods:
        yield f"{path}: {count} lines of code at {METHOD_COLUMNS} columns for {methods} methods, more than {METHOD} each"


# Itself first.
body = "  x = 1;\n"
for text, count in (("a" * 130 + "\n", 0), ("a" * 131 + "\n", 1), ("x\n" * 500, 0), ("x\n" * 501, 1),
                    ("int f(void) {\n" + body * 58 + "}\n", 0), ("int f(void) {\n" + body * 59 + "}\n", 1),
                    ("int f(int a,\n      int b) {\n" + body * 58 + "}\n", 1),
                    ("int f(int a,\n      int b) {\n" + body * 57 + "}\n", 0),
                    ("static const int a[] = {\n" + body * 99 + "};\n", 0), ('TEST_CASE("a") {\n' + body * 59 + "}\n", 1)):
    assert len(list(complaints("a.c", text))) == count, text

line, long = "x = 1; /* a\ncomment */\n\n", "y" * 101 + "\n"
for text, count in ((line * 60, 0), (line * 61, 1), (line * 59 + long, 1),
                    ("const fl_rule fl_rule_a = {};\n" * 2 + line * 118, 0)):
    assert len(list(too_long("optimizers/local/a.c", text))) == count, text
    assert not list(too_long("optimizers/local/soap.c", text)) and not list(too_long("optimizers/a.c", text))

root, bad, looked = sys.argv[1], 0, 0
for path in tracked(root):
    full = os.path.join(root, path)
    if os.path.isfile(full) and is_source(root, path):
        looked += 1
        with open(full, encoding="utf-8") as f:
            text = f.read()
            for what in [*complaints(path, text), *too_long(path, text)]:
                print(what, file=sys.stderr)
                bad += 1
print(f"{looked} files, {bad} complaints")
sys.exit(bad != 0 or looked < 200)
PY
