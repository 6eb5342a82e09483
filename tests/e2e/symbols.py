"""Every kernel of the registry is a function of its own in every instruction set, and computes in the set's registers: in itself,
or in a function of the same set that it calls. A move proves nothing, since a compiler copies structures through the widest
register there is; so an instruction must be floating-point arithmetic, a comparison or a conversion, or the random numbers'
multiplication. Prints a complaint a line.
usage: symbols.py OBJDUMP OPS_DEF FOLDER SUFFIX SET, e.g. objdump kernels/ops.def .../fl_isa_avx512.dir avx512 zmm; the set is
zmm, ymm, neon, or any: the function must be there, and nothing more"""
import pathlib, re, subprocess, sys

objdump, ops, folder, suffix, registers = sys.argv[1:]
x86 = r"v(?:add|sub|mul|div|sqrt|min|max|fn?m(?:add|sub)(?:132|213|231)|cmp\w*)p[sd]|vcvt\w+|vpmuludq"
arm = r"f(?:add|sub|mul|div|sqrt|mla|mls|cm(?:eq|gt|ge|lt|le)|cvt\w+)|[su]cvtf|umull2?"
SETS = {"zmm": (x86, r"%zmm"), "ymm": (x86, r"%ymm"),
        "neon": (arm, r"\b(?:v[0-9]+\.(?:16b|8h|4s|2d)|q[0-9]+)\b"), "any": (r".+", "")}
# What has no such instruction: the kernel, the instructions that are its work instead, and why.
OTHERWISE = {
    "transpose": (r"vshuf\w+|vunpck\w+|vperm\w+|zip[12]|trn[12]", "a change of places alone"),
    "embed": (r"vmovup[sd]|vmovdqu\w*|ld[pr1]", "rows are copied"),
    "absmax": (r"vpcmp\w*d|vpmaxu?d|cmgt", "magnitudes are compared as integers, by which a NaN is the largest"),
    "maxpool2_back": (r"vpcmp\w*d|vpermt2ps|cmeq", "the places of the largest, bytes, are compared, and the gradient put there"),
}
# Reductions: eight doubles are two ymm in both sets of x86, which is no slower (kernels/simd/ymm_double.h).
HALVES = ("sum", "asum", "dot", "sumsq", "sumsq_diff", "variance", "mean_runs", "mean_sq_runs")

registered = re.findall(r"^FL_OP\(\s*\w+\s*,\s*(\w+)", pathlib.Path(ops).read_text(), re.M)
kernels = {"fl_%s_%s" % (name, suffix): name for name in registered}
lines, calls, exported = {}, {}, set()
head = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
called = re.compile(r"\b(?:call|callq|jmp|bl|b)\s+[0-9a-f]+ <([^>+]+)(?:\+0x[0-9a-f]+)?>")
moved = re.compile(r"\bR_\w+\s+([A-Za-z_.][\w.]*)")
for o in sorted(pathlib.Path(folder).rglob("*.o")):
    text = subprocess.run([objdump, "-dr", "--no-show-raw-insn", str(o)], capture_output=True, text=True, check=True).stdout
    function = None
    for line in text.splitlines():
        at = head.match(line)
        if at:
            # A static function is known in its object alone; a part that the compiler split off belongs to its function.
            name = at.group(1).removesuffix(".cold")
            function = name if name in kernels else (o.name, name)
            exported |= {name} & set(kernels)
            calls.setdefault(function, set())
            lines.setdefault(function, [])
        elif function:
            lines[function].append(line)
            for name in called.findall(line) + moved.findall(line):
                calls[function] |= {name if name in kernels else (o.name, name)}

def reaches(function, pattern, seen):
    seen.add(function)
    return any(map(pattern.search, lines.get(function, ()))) or any(
        reaches(f, pattern, seen) for f in calls.get(function, ()) if f not in seen)

if not kernels:
    print("%s: no kernel is registered" % ops)
for kernel, name in kernels.items():
    mnemonics, register = SETS["ymm" if registers == "zmm" and name in HALVES else registers]
    if name in OTHERWISE and registers != "any":
        mnemonics = OTHERWISE[name][0]
    if kernel not in exported:
        print("%s is not there" % kernel)
    elif not reaches(kernel, re.compile(r"\t(?:%s)\s.*%s" % (mnemonics, register)), set()):
        print("%s computes in no %s register, nor does what it calls" % (kernel, registers))
