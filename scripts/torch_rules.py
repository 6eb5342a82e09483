"""The optimizers that PyTorch has, in double precision on a quadratic: tests/fixtures/rules.json, which the unit tests hold
Fedlane's rules to. Run by scripts/torch_python (which says where PyTorch comes from):

    scripts/torch_python scripts/torch_rules.py > tests/fixtures/rules.json

Muon takes the eight parameters as a matrix. PyTorch's own code runs, but where it rounds the gradient to bfloat16 for
Newton-Schulz it gets double: bfloat16 would differ from any fp32 in the third digit.
"""
import json
import unittest.mock

import torch

STEPS = [1, 2, 5, 20]
CURVATURE = [0.5, 0.8, 1.1, 1.4, 1.7, 0.01, 3.0, 1.0]
CENTRE = [-1.0, 0.25, 1.5, -0.125, 0.5, 2.0, 0.0, 1.0]
START = [0.5, -2.0, 1.25, 1.0, -0.75, -1.5, 0.375, 1.0]        # the last has gradient 0
O = torch.optim
# PyTorch's class and its arguments, and the same as settings of a rule.
CASES = [
    (O.SGD, {"lr": 0.1}, "rule=sgd"),
    (O.SGD, {"lr": 0.1, "weight_decay": 0.05}, "rule=sgd weight_decay=0.05"),
    (O.SGD, {"lr": 0.05, "momentum": 0.9}, "rule=momentum"),
    (O.SGD, {"lr": 0.05, "momentum": 0.8, "dampening": 0.5, "weight_decay": 0.01},
     "rule=momentum momentum=0.8 dampening=0.5 weight_decay=0.01"),
    (O.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
     "rule=momentum nesterov=yes weight_decay=0.01"),
    (O.Adam, {"lr": 0.05}, "rule=adam"),
    (O.Adam, {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
     "rule=adam beta1=0.8 beta2=0.95 eps=1e-3 weight_decay=0.1"),
    (O.Adam, {"lr": 0.05, "betas": (0.9, 0.9), "amsgrad": True}, "rule=adam beta2=0.9 amsgrad=yes"),
    (O.AdamW, {"lr": 0.05}, "rule=adamw"),
    (O.AdamW, {"lr": 0.05, "betas": (0.9, 0.9), "amsgrad": True, "weight_decay": 0.1},
     "rule=adamw beta2=0.9 amsgrad=yes weight_decay=0.1"),
    (O.Adagrad, {"lr": 0.1}, "rule=adagrad"),
    (O.Adagrad, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.1, "weight_decay": 0.01},
     "rule=adagrad adagrad_decay=0.1 initial_accumulator=0.1 weight_decay=0.01"),
    (O.RMSprop, {"lr": 0.01}, "rule=rmsprop"),
    (O.RMSprop, {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.01},
     "rule=rmsprop beta2=0.9 eps=1e-3 weight_decay=0.01"),
    (O.RMSprop, {"lr": 0.01, "momentum": 0.8}, "rule=rmsprop momentum=0.8"),
    (O.RMSprop, {"lr": 0.01, "centered": True}, "rule=rmsprop centred=yes"),
    (O.RMSprop, {"lr": 0.01, "momentum": 0.8, "centered": True}, "rule=rmsprop momentum=0.8 centred=yes"),
    (O.Muon, {"lr": 0.02}, "rule=muon muon_lr_scale=1 weight_decay=0.1", (2, 4)),
    (O.Muon, {"lr": 0.02, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
     "rule=muon muon_lr_scale=1 weight_decay=0 momentum=0.9 nesterov=no", (4, 2)),
    (O.Muon, {"lr": 0.05, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
     "rule=muon muon_lr_scale=1 weight_decay=0.1 muon_scale=moonshot ns_steps=3", (4, 2)),
]


def path(make, arguments, shape=(8,)):
    a, b, p = (torch.tensor(x, dtype=torch.float64).reshape(shape) for x in (CURVATURE, CENTRE, START))
    p.requires_grad_()
    optimizer, points = make([p], **arguments), []
    for step in range(1, STEPS[-1] + 1):
        optimizer.zero_grad()
        (0.5 * a * (p - b) ** 2).sum().backward()
        optimizer.step()
        if step in STEPS:
            points.append([float("%.12g" % x) for x in p.flatten().tolist()])
    return points


def main():
    print('{"torch": %s, "steps": %s,' % (json.dumps(torch.__version__), STEPS))
    print('"curvature": %s, "centre": %s, "start": %s,\n"cases": [' % (CURVATURE, CENTRE, START))
    lines = []
    for make, arguments, settings, *shape in CASES:
        with unittest.mock.patch.object(torch, "bfloat16", torch.float64):
            points = path(make, arguments, *shape)
        case = {"torch": make.__name__, "settings": "%s lr=%g" % (settings, arguments["lr"])}
        lines.append(json.dumps({**case, **({"shape": shape[0]} if shape else {}), "points": points}))
    print(",\n".join(lines) + "\n]}")


if __name__ == "__main__":
    main()
