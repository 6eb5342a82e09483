"""The rivals: PyTorch eager loops as a user writes them by hand, without a framework. Prints one JSON object.

torch_loops.py train MODEL BATCH THREADS STEPS   steps on one batch that lies ready: zero_grad, forward, backward, SGD step
torch_loops.py round THREADS ROUNDS              rounds of FedAvg as in results/performance/lr_mnist.yaml, inputs ready as floats

Both leave out what Fedlane's figure includes: turning pixels into inputs, clipping, weight decay.
"""
import json
import os
import sys
import time

import torch
from torch.nn import functional as F

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from torch_replay import MODELS

CLIENTS, SAMPLES, COHORT, BATCH = 1000, 60, 10, 10


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


def federated(rounds):
    model = MODELS["logistic"]()
    x, y = torch.randn(CLIENTS, SAMPLES, 784), torch.randint(0, 10, (CLIENTS, SAMPLES))
    local = list(model.parameters())
    server = [p.detach().clone() for p in local]

    def one():
        total = [torch.zeros_like(p) for p in server]
        for client in torch.randperm(CLIENTS)[:COHORT].tolist():
            with torch.no_grad():
                for p, q in zip(local, server):
                    p.copy_(q)
            optimizer = torch.optim.SGD(local, lr=0.03)
            for rows in torch.randperm(SAMPLES).split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(model(x[client, rows]), y[client, rows]).backward()
                optimizer.step()
            with torch.no_grad():
                for t, p in zip(total, local):
                    t.add_(p)
        for q, t in zip(server, total):
            q.copy_(t / COHORT)
    return {"round_ms": 1e3 * timed(one, max(1, rounds // 10), rounds)}


def main(kind, *rest):
    torch.manual_seed(0)
    torch.set_num_threads(int(rest[-2]))
    out = train(rest[0], int(rest[1]), int(rest[-1])) if kind == "train" else federated(int(rest[-1]))
    print(json.dumps(dict(out, torch=torch.__version__)))


main(*sys.argv[1:])
