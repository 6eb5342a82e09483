"""The rivals: PyTorch eager loops as a user writes them by hand, without a framework. Prints one JSON object.

torch_loops.py train MODEL BATCH THREADS STEPS   steps on one batch that lies ready: zero_grad, forward, backward, SGD step
torch_loops.py round SETTING THREADS ROUNDS      rounds of FedAvg as in results/performance/SETTING.yaml, inputs ready as floats

Both leave out what Fedlane's figure includes: turning pixels into inputs, clipping, weight decay, and pfl's CNN its dropout.
"""
import json
import os
import sys
import time

import torch
from torch.nn import functional as F

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from torch_models import CnnPfl
from torch_replay import MODELS

# Of a round: model, clients, shape of a client's samples, cohort, batch, lr
SETTINGS = {"lr_mnist": (MODELS["logistic"], 1000, (60, 784), 10, 10, 0.03),
            "cnn_pfl": (CnnPfl, 1000, (50, 3, 32, 32), 50, 10, 0.1)}


def timed(work, warm, count):
    """Seconds of one call, after some that do not count."""
    for _ in range(warm):
        work()
    start = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - start) / count


def train(name, batch, steps):
    model = MODELS[name]()
    x, y = torch.randn(batch, 1, 28, 28), torch.randint(0, 10, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return {"samples_per_second": batch / timed(step, max(1, steps // 10), steps)}


def federated(setting, rounds):
    make, clients, shape, cohort, batch, lr = SETTINGS[setting]
    model = make()
    x, y = torch.randn(clients, *shape), torch.randint(0, 10, (clients, shape[0]))
    local = list(model.parameters())
    server = [p.detach().clone() for p in local]

    def one():
        total = [torch.zeros_like(p) for p in server]
        for client in torch.randperm(clients)[:cohort].tolist():
            with torch.no_grad():
                for p, q in zip(local, server):
                    p.copy_(q)
            optimizer = torch.optim.SGD(local, lr=lr)
            for rows in torch.randperm(shape[0]).split(batch):
                optimizer.zero_grad()
                F.cross_entropy(model(x[client, rows]), y[client, rows]).backward()
                optimizer.step()
            with torch.no_grad():
                for t, p in zip(total, local):
                    t.add_(p)
        for q, t in zip(server, total):
            q.copy_(t / cohort)
    return {"round_ms": 1e3 * timed(one, max(1, rounds // 10), rounds)}


def main(kind, *rest):
    torch.manual_seed(0)
    torch.set_num_threads(int(rest[-2]))
    out = train(rest[0], int(rest[1]), int(rest[-1])) if kind == "train" else federated(rest[0], int(rest[-1]))
    print(json.dumps(dict(out, torch=torch.__version__)))


main(*sys.argv[1:])
