"""Layers of libfedlane.so and of PyTorch in turns, on one thread: the processor's microseconds of each, the best of many short
repetitions, and how many times as fast ours are. torch_layers.py BUILD [REGEX]"""
import ctypes
import re
import sys
import time

import torch
from torch.nn import functional as F

from library import Library, p, size

SECONDS = 1.0                                   # of a row, at most some more


class Attention(ctypes.Structure):
    _fields_ = [(f, size) for f in ("length", "heads", "dim", "ld", "ldo")] + [("scale", ctypes.c_float),
                                                                               ("causal", ctypes.c_int)]


class GroupNorm(ctypes.Structure):
    _fields_ = [("c", size), ("hw", size), ("groups", size), ("eps", ctypes.c_float), ("relu", ctypes.c_int)]


class Pool(ctypes.Structure):
    _fields_ = [(f, size) for f in ("h", "w", "k", "stride", "pad")] + [("count_pad", ctypes.c_int)]


class Recurrent(ctypes.Structure):
    _fields_ = [("length", size), ("in", size), ("hidden", size)]


class Four(ctypes.Structure):
    _fields_ = [(f, ctypes.c_void_p) for f in ("w_ih", "w_hh", "b_ih", "b_hh")]


def layer_norm(k, rows, n):
    x, dy, y, dx = (torch.randn(rows, n) for _ in range(4))
    g, b, dg, db = (torch.randn(n) for _ in range(4))
    stat, work, piece = torch.empty(2 * rows), torch.empty(k.f.fl_norm_work(size(n), size(rows), size(rows))), size(rows)

    def ours():
        k.layer_norm(size(rows), size(n), p(x), p(g), p(b), ctypes.c_float(1e-5), p(y), p(stat))
        k.layer_norm_back(size(rows), size(n), p(x), p(g), p(stat), p(dy), p(dx), p(dg), p(db), piece, p(work))

    def theirs():
        _, m, s = torch.ops.aten.native_layer_norm(x, [n], g, b, 1e-5)
        torch.ops.aten.native_layer_norm_backward(dy, x, [n], m, s, g, b, [True] * 3)
    return ours, theirs


def group_norm(k, n, c, hw):
    x, dy, y, dx = (torch.randn(n, c, hw) for _ in range(4))
    g, b, dg, db = (torch.randn(c) for _ in range(4))
    s, piece = GroupNorm(c, hw, 2, 1e-5, 0), k.f.fl_sample_piece(size(hw))
    stat, work = torch.empty(4 * n), torch.empty(k.f.fl_norm_work(size(c), size(n), size(piece)))

    def ours():
        k.group_norm(ctypes.byref(s), size(n), p(x), p(g), p(b), p(y), p(stat))
        k.group_norm_back(ctypes.byref(s), size(n), p(x), p(g), p(b), p(stat), p(dy), p(dx), p(dg), p(db), size(piece), p(work))

    def theirs():
        _, m, r = torch.ops.aten.native_group_norm(x, g, b, n, c, hw, 2, 1e-5)
        torch.ops.aten.native_group_norm_backward(dy, x, m, r, g, n, c, hw, 2, [True] * 3)
    return ours, theirs


def attention(k, n, length, heads, dim, causal):
    width = heads * dim
    qkv, dqkv = torch.randn(n, length, 3 * width, requires_grad=True), torch.empty(n, length, 3 * width)
    y, dy = torch.empty(n, length, width), torch.randn(n, length, width)
    s = Attention(length, heads, dim, 3 * width, width, dim ** -0.5, causal)
    stat, work = torch.empty(2 * n * heads * length), torch.empty(k.f.fl_attention_work(ctypes.byref(s)))

    def ours():
        parts = [p(qkv, i * width) for i in range(3)]
        k.attention(ctypes.byref(s), size(n), *parts, p(y), p(stat), p(work))
        k.attention_back(ctypes.byref(s), size(n), *parts, p(y), p(stat), p(dy), *[p(dqkv, i * width) for i in range(3)], p(work))

    def theirs():
        a = qkv.view(n, length, 3, heads, dim).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(a[0], a[1], a[2], is_causal=bool(causal))
        torch.autograd.grad(out.transpose(1, 2).reshape(n, length, width), qkv, dy)
    return ours, theirs


def pool(k, kind, n, c, h, kernel, stride, pad, count_pad=1):
    """Both give the same numbers: maxima, places and means, and gradients, which are sums in the same order."""
    s, planes = Pool(h, h, kernel, stride, pad, count_pad), size(n * c)
    out = (h + 2 * pad - kernel) // stride + 1
    x, dx = (torch.randn(n, c, h, h) * 4).round() / 4, torch.empty(n, c, h, h)     # some are equal
    y, dy, at = torch.empty(n, c, out, out), torch.randn(n, c, out, out), torch.empty(n, c, out, out, dtype=torch.uint8)
    windows = [kernel] * 2, [stride] * 2, [pad] * 2

    def ours():
        if kind == "max":
            k.max_pool(ctypes.byref(s), planes, p(x), p(y), p(at))
            k.max_pool_back(ctypes.byref(s), planes, p(dy), p(at), p(dx))
        else:
            k.avg_pool(ctypes.byref(s), planes, p(x), p(y))
            k.avg_pool_back(ctypes.byref(s), planes, p(dy), p(dx))
        return y, at, dx

    def theirs():
        if kind == "max":
            maxima, index = torch.ops.aten.max_pool2d_with_indices(x, *windows)
            return maxima, index, torch.ops.aten.max_pool2d_with_indices_backward(dy, x, *windows, [1, 1], False, index)
        options = False, bool(count_pad), None
        means = torch.ops.aten.avg_pool2d(x, *windows, *options)
        return means, None, torch.ops.aten.avg_pool2d_backward(dy, x, *windows, *options)
    (_, place, _), (values, index, slopes) = ours(), theirs()
    if kind == "max":
        first = torch.arange(out) * stride - pad
        row, column = first.view(-1, 1) + place // kernel, first + place % kernel
        same = torch.equal(row * h + column, index)
    else:
        same = True
    if not (same and torch.equal(y, values) and torch.equal(dx, slopes)):
        raise SystemExit("torch-layers: %s_pool %s differs from PyTorch's" % (kind, (n, c, h, kernel, stride, pad, count_pad)))
    return ours, theirs


def recurrent(k, kind, n, length, width, hidden):
    net = getattr(torch.nn, kind)(width, hidden, batch_first=True)
    gates, rows = net.weight_ih_l0.shape[0], n * length
    x, dy = torch.randn(n, length, width, requires_grad=True), torch.randn(n, length, hidden)
    y, kept, dx, g = torch.empty(rows, hidden), torch.empty(rows, hidden), torch.empty(rows, width), torch.empty(rows, gates)
    parameters = [net.weight_ih_l0, net.weight_hh_l0, net.bias_ih_l0, net.bias_hh_l0]
    slopes = [torch.empty_like(w) for w in parameters]
    s, w = Recurrent(length, width, hidden), Four(*[w.data_ptr() for w in parameters])
    work, by = torch.empty(k.f.fl_recurrent_work(ctypes.byref(s), size(n))), ctypes.byref
    forward, back = getattr(k.f, "fl_" + kind.lower()), getattr(k.f, "fl_" + kind.lower() + "_back")
    table = ctypes.c_void_p(k.table)

    def ours():
        d = Four(*[w.data_ptr() for w in slopes])
        forward(table, by(s), size(n), p(x), by(w), p(y), p(g), p(kept), p(work))
        back(table, by(s), size(n), p(x), by(w), p(y), p(g), p(kept), p(dy), p(dx), by(d), p(work))

    def theirs():
        torch.autograd.grad(net(x)[0], [x] + parameters, dy)
    return ours, theirs


def rows(k):
    for shape in ((3250, 192), (512, 24)):
        yield "layer_norm rows:%d n:%d" % shape, layer_norm(k, *shape)
    for shape in ((8, 64, 1024), (50, 512, 16)):
        yield "group_norm n:%d c:%d hw:%d" % shape, group_norm(k, *shape)
    for shape in ((64, 8, 6, 4, 1), (1, 8, 6, 4, 1), (4, 65, 3, 64, 0), (1, 1024, 1, 64, 1), (1, 1024, 1, 64, 0)):
        yield "attention n:%d length:%d heads:%d dim:%d causal:%d" % shape, attention(k, *shape)
    for shape in ((8, 64, 56, 3, 2, 1), (8, 64, 32, 3, 1, 1), (50, 64, 8, 3, 1, 1), (50, 32, 28, 2, 2, 0), (8, 16, 32, 5, 3, 2),
                  (8, 16, 28, 7, 7, 0)):
        for kind in ("max", "avg"):
            yield kind + "_pool n:%d c:%d h:%d kernel:%d stride:%d pad:%d" % shape, pool(k, kind, *shape)
        if shape[-1]:
            yield "avg_pool n:%d c:%d h:%d kernel:%d stride:%d pad:%d count_pad:0" % shape, pool(k, "avg", *shape, count_pad=0)
    for kind in ("LSTM", "GRU"):
        for width in (8, 256):
            yield "%s n:50 length:80 in:%d hidden:256" % (kind, width), recurrent(k, kind, 50, 80, width, 256)


def main(build, wanted=""):
    torch.set_num_threads(1)
    print("forward and backward, microseconds; PyTorch %s" % torch.__version__)
    print("| layer | ours | PyTorch | times as fast |\n| --- | --- | --- | --- |")
    for name, pair in rows(Library(build)):
        if not re.search(wanted, name):
            continue
        least, end = [float("inf")] * 2, time.thread_time() + SECONDS
        while time.thread_time() < end or float("inf") in least:
            for i, call in enumerate(pair):
                start = time.thread_time()
                call()
                least[i] = min(least[i], time.thread_time() - start)
        print("| %s | %.1f | %.1f | %.2f |" % (name, 1e6 * least[0], 1e6 * least[1], least[1] / least[0]), flush=True)


main(*sys.argv[1:])
