"""Every kernel of the registry is a function of its own in every instruction set, and uses the set's registers: in itself, or in a
function of the same set that it calls. Prints a complaint a line.
usage: symbols.py OBJDUMP OPS_DEF FOLDER SUFFIX REGISTER, e.g. objdump kernels/ops.def .../fl_isa_avx512.dir avx512 '%zmm'"""
import pathlib, re, subprocess, sys

objdump, ops, folder, suffix, register = sys.argv[1:]
kernels = ["fl_%s_%s" % (name, suffix) for name in re.findall(r"^FL_OP\(\s*\w+\s*,\s*(\w+)", pathlib.Path(ops).read_text(), re.M)]
wide, calls, exported = set(), {}, set()
head = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
called = re.compile(r"\b(?:call|callq|jmp|bl|b)\s+[0-9a-f]+ <([^>+]+)(?:\+0x[0-9a-f]+)?>")
moved = re.compile(r"\bR_\w+\s+([A-Za-z_.][\w.]*)")
uses = re.compile(register)
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
        elif function:
            if uses.search(line):
                wide.add(function)
            for name in called.findall(line) + moved.findall(line):
                calls[function] |= {name if name in kernels else (o.name, name)}

def reaches(function, seen):
    seen.add(function)
    return function in wide or any(reaches(f, seen) for f in calls.get(function, ()) if f not in seen)

if not kernels:
    print("%s: no kernel is registered" % ops)
for kernel in kernels:
    if kernel not in exported:
        print("%s is not there" % kernel)
    elif not reaches(kernel, set()):
        print("%s uses no %s register, nor does what it calls" % (kernel, register))
