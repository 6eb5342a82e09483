"""summary.json of a report: the machines and, for every run, what was run and what came out; small enough to be committed."""
import json
import os

KEEP = ("run_id", "status", "hash", "trajectory_hash", "accuracy", "best_accuracy", "test_loss", "rounds", "seconds",
        "seconds_evaluation", "samples_per_second", "bytes_up", "bytes_down", "rounds_to_target", "seconds_to_target",
        "thread_seconds", "bound", "speedup_bound")


def write(runs, out):
    """Writes out/summary.json; machines are listed once, runs name theirs by position."""
    machines, rows = [], []
    for r in runs:
        if r.machine not in machines:
            machines.append(r.machine)
        row = {"label": r.label, "model": r.model, "data": r.data, "seed": r.seed, "machine": machines.index(r.machine),
               "threads": r.record.get("threads"), "config": r.config,
               "partition_sha256": (r.record.get("partition") or {}).get("sha256")}
        row.update((k, r.summary[k]) for k in KEEP if k in r.summary)
        if r.mixed:
            row["parts"] = r.parts
        rows.append(row)
    path = os.path.join(out, "summary.json")
    with open(path + ".new", "w") as f:
        json.dump({"schema": 1, "machines": machines, "runs": rows}, f, indent=1, sort_keys=True)
        f.write("\n")
    os.replace(path + ".new", path)
