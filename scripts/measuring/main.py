"""scripts/performance: measures, writes DIR/CPU.json (every repetition) and DIR/CPU.csv, and the tables of all result files in
DIR into the page; docs/kernels.md has the figures of DIR, too."""
import argparse
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
import time

import jobs
import tables

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, "results", "performance")


def arguments():
    p = argparse.ArgumentParser(prog="scripts/performance", description="Measures the figures of docs/performance.md.")
    p.add_argument("--rivals", action="store_true", help="also time PyTorch loops in the same session")
    p.add_argument("--build", default=os.environ.get("FEDLANE_BUILD", os.path.join(ROOT, "build")),
                   help="folder of a Release build with tests (default: FEDLANE_BUILD, else build)")
    p.add_argument("--repetitions", type=int, default=5, help="of every measurement, after one that is not kept (default: 5)")
    p.add_argument("--smoke", action="store_true", help="one repetition of tiny runs: does it work? The figures mean nothing")
    p.add_argument("--only", metavar="NAME", default="",
                   help="only what has a name that begins so, such as cnn_pfl, into --out; the page stays as it is")
    p.add_argument("--out", default=OUT, help="where the result files go")
    p.add_argument("--page", default=os.path.join(ROOT, "docs", "performance.md"), help="the page with the tables")
    p.add_argument("--tables", action="store_true", help="measure nothing: only write the tables anew")
    args = p.parse_args()
    if args.repetitions < 1:
        p.error("--repetitions %d; allowed: at least 1" % args.repetitions)
    args.out, args.build = os.path.abspath(args.out), os.path.abspath(args.build)
    if args.smoke and args.out == OUT:
        p.error("--smoke needs --out and --page: its figures must not replace real ones")
    if args.only and args.out == OUT:
        p.error("--only needs --out: a few figures must not replace all")
    return args


def measured(args):
    """The record of one session."""
    fedlane = os.path.join(args.build, "fedlane")
    for program in (fedlane, fedlane + "-bench", os.path.join(args.build, "tests", "fedlane-check")):
        if not os.path.exists(program):
            raise jobs.Failure("%s: not built; scripts/test builds it, or name the folder with --build" % program)
    if args.rivals and not importlib.util.find_spec("torch"):
        raise jobs.Failure("--rivals: %s has no PyTorch" % sys.executable)
    load, began = os.getloadavg()[0], time.time()
    if load > 0.3:
        print("the machine is not idle (load %.1f): the figures will be worse than they are" % load, file=sys.stderr)
    scratch = tempfile.mkdtemp(prefix="fedlane-performance-")
    try:
        session = jobs.Session(ROOT, fedlane, scratch, args.smoke, sys.executable if args.rivals else None)
        found = jobs.measure(session, 1 if args.smoke else args.repetitions, not args.smoke, args.only)
    finally:
        shutil.rmtree(scratch)
    if session.machine["dirty"]:
        print("the source tree has uncommitted changes: the result names commit %s, but is not of it" %
              session.machine["commit"][:12], file=sys.stderr)
    machine = {k: v for k, v in session.machine.items() if k != "threads"}
    return {"schema": 1, "machine": machine, "python": platform.python_version(), "torch": session.torch, "smoke": args.smoke,
            "started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)), "minutes": (time.time() - began) / 60,
            "load_before": load, "measurements": found, "versions": session.versions,
            "bench": {name: line.record() for name, line in session.lines.items()}}


def main():
    args = arguments()
    try:
        if not args.tables:
            record = measured(args)
            os.makedirs(args.out, exist_ok=True)
            slug = re.sub(r"[^a-z0-9]+", "-", record["machine"]["cpu"].lower()).strip("-")
            print(tables.write(record, os.path.join(args.out, slug), not args.only))
        if args.only:
            return 0
        tables.refresh(args.page, args.out)
        if args.out == OUT:
            jobs.execute([os.path.join(ROOT, "scripts", "kernels-page")], dict(os.environ, FEDLANE_BUILD=args.build))
    except jobs.Failure as e:
        print("performance: %s" % e, file=sys.stderr)
        return 1
    except OSError as e:
        print("performance: %s: %s" % (e.filename, e.strerror), file=sys.stderr)
        return 1
    return 0


sys.exit(main())
