"""The last lines of scripts/test and scripts/test-long: failures and skips by name, then "N passed, N failed, N skipped" over all
the JUnit files given. Exit 1 when a test failed or none passed. usage: junit.py [LABEL=]FILE..."""
import sys, xml.etree.ElementTree as tree

n = {"passed": 0, "failed": 0, "skipped": 0}
for argument in sys.argv[1:]:
    label, _, path = argument.rpartition("=")
    prefix = label + ": " if label else ""
    for case in tree.parse(path).getroot().iter("testcase"):
        state, skip = case.get("status", ""), case.find("skipped")
        name = prefix + case.get("name")
        if case.find("failure") is not None or state == "fail":
            kind = "failed"
            print("failed:", name)
        elif skip is not None or state in ("notrun", "disabled"):
            said = [line.strip() for line in (case.findtext("system-out") or "").splitlines() if line.strip()]
            message = skip.get("message", "") if skip is not None else ""
            # A test that could not be started is no skip: nobody decided to leave it out.
            kind = "skipped" if "SKIP_RETURN_CODE" in message else "failed"
            print("%s: %s: %s" % (kind, name, said[-1] if said else message or "no reason given"))
        else:
            kind = "passed"
        n[kind] += 1
print("%d passed, %d failed, %d skipped" % (n["passed"], n["failed"], n["skipped"]))
sys.exit(1 if n["failed"] or not n["passed"] else 0)
