"""The rivals: PyTorch's optimizers, each form it has. Prints one JSON object of "OPTIMIZER FORM N": nanoseconds a parameter, the
best of eight short repetitions. Muon takes a matrix: N is then its number of elements.

torch_optimizers.py THREADS BUDGET   BUDGET: about how many parameters a repetition updates
"""
import json
import sys
import time

import torch

SHAPES = [(64, 64), (246, 251), (1024, 1024), (8192, 8192)]
FORMS = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}}
OPTIMIZERS = {"SGD": ({}, FORMS), "SGD momentum": ({"momentum": 0.9}, FORMS), "AdamW": ({}, FORMS),
              "Adagrad": ({}, FORMS), "RMSprop": ({}, ("default", "foreach")),
              "RMSprop centered momentum": ({"momentum": 0.9, "centered": True}, ("default", "foreach")),
              "Muon": ({}, ("default",))}


def best(step, parameters, budget, repetitions):
    step()
    calls = max(1, budget // parameters)
    least = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        for _ in range(calls):
            step()
        least = min(least, (time.perf_counter() - start) / calls)
    return 1e9 * least / parameters


def main(threads, budget):
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    found = {}
    for shape in SHAPES if budget >= 1 << 16 else SHAPES[:1]:
        n = shape[0] * shape[1]
        p = torch.nn.Parameter(torch.randn(shape))
        p.grad = torch.randn(shape) * 1e-3
        for name, (settings, forms) in OPTIMIZERS.items():
            kind = name.split()[0]
            if not hasattr(torch.optim, kind) or (kind == "Muon" and n > 1 << 20):
                continue
            for form in forms:
                try:
                    optimizer = getattr(torch.optim, kind)([p], lr=1e-9, **settings, **FORMS[form])
                    found["%s %s %d" % (name, form, n)] = best(optimizer.step, n, budget if kind != "Muon" else budget >> 6,
                                                               8)
                except (RuntimeError, TypeError) as e: # this PyTorch has no such form
                    print("%s %s: %s" % (name, form, e), file=sys.stderr)
    print(json.dumps(dict(found, torch=torch.__version__)))


main(int(sys.argv[1]), int(sys.argv[2]))
