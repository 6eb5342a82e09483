"""Rounding errors of the 3x3 convolutions of stride 1 of ResNet-18, VGG-11 and pfl's CNN. winograd_errors.py BUILD [arguments]

Forward, input gradient and weight gradient of libfedlane.so, direct and by Winograd where it takes the shape, and of PyTorch in
fp32 if there is one, each against the definition in double: the largest error over the largest result, and the root mean square
of the errors over that of the results. Weights and gradients of the output are normal, inputs normal or what ReLU leaves of them.
Ours have the same bits everywhere; PyTorch's depend on its version and the CPU."""
import argparse
import ctypes
import sys

import numpy as np

from library import Library, cpu, pointer, size, write

try:
    import torch
except ImportError:
    torch = None

SEED = 1
# Networks, then channels, rows and columns of the input, channels of the output, padding.
SHAPES = [("resnet18 vgg11", 3, 32, 64, 1), ("resnet18", 64, 32, 64, 1), ("resnet18", 128, 16, 128, 1),
          ("resnet18 vgg11", 256, 8, 256, 1), ("resnet18 vgg11", 512, 4, 512, 1), ("vgg11", 64, 16, 128, 1),
          ("vgg11", 128, 8, 256, 1), ("vgg11", 256, 4, 512, 1), ("vgg11", 512, 2, 512, 1), ("cnn_pfl", 3, 32, 32, 0),
          ("cnn_pfl", 32, 30, 64, 0)]
DIRECTIONS = ["forward", "grad_input", "grad_weight"]


class Conv(ctypes.Structure):
    """fl_conv (kernels/kernels.h)."""
    _fields_ = [(f, size) for f in ("c", "h", "w", "o", "k", "p", "kw", "pw", "stride", "groups")] + [("winograd", ctypes.c_int)]


def windows(x, rows, columns):
    """The nine taps' views of padded planes."""
    for ky in range(3):
        for kx in range(3):
            yield ky, kx, x[:, :, ky:ky + rows, kx:kx + columns].reshape(x.shape[0], x.shape[1], -1)


def padded(x, pad):
    return np.pad(x.astype(np.float64), [(0, 0), (0, 0), (pad, pad), (pad, pad)])


def exact(x, w, dy, pad):
    """The three results by the definition, in double."""
    w = w.astype(np.float64)
    rows, columns = dy.shape[2:]
    y, dx, dw = np.zeros((len(dy), dy.shape[1], rows * columns)), np.zeros((len(x), x.shape[1], x[0, 0].size)), np.zeros(w.shape)
    flat = dy.astype(np.float64).reshape(y.shape)
    for ky, kx, seen in windows(padded(x, pad), rows, columns):
        y += w[:, :, ky, kx] @ seen
        dw[:, :, ky, kx] = np.matmul(flat, seen.transpose(0, 2, 1)).sum(0)
    for ky, kx, seen in windows(padded(dy, 2 - pad), *x.shape[2:]):
        dx += w[:, :, 2 - ky, 2 - kx].T @ seen
    return [y.reshape(dy.shape), dx.reshape(x.shape), dw]


def ours(k, x, w, dy, pad, winograd):
    """The three results of the kernels; None where Winograd does not take the shape."""
    (n, c, h, width), o = x.shape, w.shape[0]
    s = Conv(c, h, width, o, 3, pad, 0, 0, 1, 1, winograd)
    if winograd and not k.f.fl_conv_winograd(ctypes.byref(s)):
        return None
    y, dx, dw = np.empty_like(dy), np.empty_like(x), np.empty_like(w)
    k.f.fl_conv_work.restype = size
    work = np.empty(k.f.fl_conv_work(ctypes.byref(s), size(n)) + 16, np.float32)
    room = pointer((work.ctypes.data + 63) & ~63)
    at = [pointer(a.ctypes.data) for a in (x, w, dy, y, dx, dw)]
    k.conv_forward(ctypes.byref(s), size(n), at[0], at[1], None, at[3], room)
    k.conv_grad_input(ctypes.byref(s), size(n), at[1], at[2], at[4], room)
    k.conv_grad_weight(ctypes.byref(s), size(n), at[0], at[2], at[5], None, room)
    return [y, dx, dw]


def theirs(x, w, dy, pad):
    if torch is None:
        return None
    a, b = torch.from_numpy(x).requires_grad_(), torch.from_numpy(w).requires_grad_()
    y = torch.nn.functional.conv2d(a, b, padding=pad)
    return [t.detach().numpy() for t in (y, *torch.autograd.grad(y, [a, b], torch.from_numpy(dy)))]


def errors(got, want):
    """(largest error over the largest result, root mean square of the errors over that of the results)"""
    off = got.astype(np.float64) - want
    return np.abs(off).max() / np.abs(want).max(), np.sqrt((off * off).mean() / (want * want).mean())


def measure(k, shape, batch, relu):
    networks, c, h, o, pad = shape
    draw, out = np.random.default_rng(SEED), h + 2 * pad - 2
    x, w, dy = (draw.standard_normal(s, dtype=np.float32) for s in ((batch, c, h, h), (o, c, 3, 3), (batch, o, out, out)))
    if relu:
        x = np.maximum(x, 0)
    want = exact(x, w, dy, pad)
    paths = {"direct": ours(k, x, w, dy, pad, 0), "winograd": ours(k, x, w, dy, pad, 1), "torch": theirs(x, w, dy, pad)}
    for i, direction in enumerate(DIRECTIONS):
        row = {"networks": networks, "c": c, "h": h, "w": h, "o": o, "pad": pad, "batch": batch,
               "inputs": "relu" if relu else "normal", "direction": direction}
        for path, got in paths.items():
            pair = ["-", "-"] if got is None else ["%.2e" % e for e in errors(got[i], want[i])]
            row[path + " max"], row[path + " rms"] = pair
        yield row


def main():
    a = argparse.ArgumentParser(prog="scripts/winograd-errors", description=__doc__.split("\n", maxsplit=1)[0])
    a.add_argument("build", help=argparse.SUPPRESS)
    a.add_argument("--batch", type=int, default=50, help="samples, over which weight gradients add (default: 50)")
    a.add_argument("--csv", help="write the table here too, such as results/networks/winograd_errors.csv")
    args = a.parse_args()
    if args.batch < 1:
        a.error("--batch %d; allowed: from 1" % args.batch)
    k, rows = Library(args.build), []
    if torch is not None:
        torch.set_num_threads(1)
    machine = {"cpu": cpu(), "isa": k.isa, "torch": "-" if torch is None else torch.__version__}
    for shape in SHAPES:
        for relu in (0, 1):
            for row in measure(k, shape, args.batch, relu):
                rows.append(row)
                print(", ".join("%s %s" % item for item in row.items()), flush=True)
    if args.csv:
        write(args.csv, rows, machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
