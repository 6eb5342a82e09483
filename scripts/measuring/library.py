"""libfedlane.so in this process: its table of kernels, and its networks, on arrays of PyTorch and NumPy."""
import csv
import ctypes
import os
import platform
import re
import threading

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
size, pointer, text = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_char_p


def cpu():
    """Its name."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        return next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())


def write(path, rows, machine):
    """A table of rows by column, each with the machine's columns; what a row has not is "-"."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, columns + list(machine), restval="-", lineterminator="\n")
        w.writeheader()
        w.writerows({**row, **machine} for row in rows)


class Library:
    """The kernels of the table that this machine would choose, by name; `f`: functions beside the table."""

    def __init__(self, build):
        self.f = ctypes.CDLL(os.path.join(build, "libfedlane.so"))
        self.f.fl_kernels_select.restype = ctypes.c_void_p
        for name in ("fl_norm_work", "fl_sample_piece", "fl_attention_work", "fl_recurrent_work"):
            getattr(self.f, name).restype = size
        self.table, self.crew = self.f.fl_kernels_select(None, None), None
        self.isa = text.from_address(self.table + 8).value.decode()
        with open(os.path.join(ROOT, "kernels", "ops.def"), encoding="utf-8") as source:
            self.names = re.findall(r"^FL_OP\(\w+,\s*(\w+)", source.read(), flags=re.M)

    def __getattr__(self, name):
        at = self.table + 2 * 8 + 8 * self.names.index(name)    # behind isa and name
        call = ctypes.CFUNCTYPE(None)(ctypes.c_void_p.from_address(at).value)
        setattr(self, name, call)                       # a small network's step takes no longer than finding it
        return call


class Team(ctypes.Structure):
    _fields_ = [("self", pointer), ("workers", size), ("each", pointer)]


class Division(ctypes.Structure):
    _fields_ = [("kernels", pointer), ("team", Team), ("memory", pointer), ("floats", size), ("least", size)]


class Crew:
    """Threads over which the library's calls are divided from now on (kernels/divide.h): this one leads, the others serve until
    it ends. Of no use to a thread that is not this one."""

    def __init__(self, library, workers):
        f = library.f
        f.fl_crew_open.restype, f.fl_crew_team.restype, f.fl_crew_serve.restype = pointer, Team, ctypes.c_double
        self.library, self.alone, self.crew = library, library.table, pointer(f.fl_crew_open(size(workers)))
        self.table = np.zeros(3 + len(library.names), np.uint64)
        f.fl_divided_table(pointer(self.alone), pointer(self.table.ctypes.data))
        self.division, self.memory = Division(self.alone, f.fl_crew_team(self.crew)), None
        self.threads = [threading.Thread(target=self.serve) for _ in range(workers - 1)]
        for thread in self.threads:
            thread.start()
        f.fl_divide_over(ctypes.byref(self.division))
        library.table, library.crew = self.table.ctypes.data, self

    def serve(self):
        self.library.f.fl_fpenv_enter()
        self.library.f.fl_crew_serve(self.crew)

    def room(self, need):
        """Scratch for what each part of an objective's call needs, in bytes."""
        floats = (need // 4 + 1024) * (len(self.threads) + 1)
        if floats > self.division.floats:
            self.memory = np.zeros(floats + 16, np.float32)
            self.division.memory, self.division.floats = (self.memory.ctypes.data + 63) & ~63, floats

    def end(self):
        f = self.library.f
        f.fl_divide_over(None)
        f.fl_crew_dismiss(self.crew)
        for thread in self.threads:
            thread.join()
        f.fl_crew_close(self.crew)
        self.library.table, self.library.crew = self.alone, None


def p(tensor, skip=0):
    return ctypes.c_void_p(tensor.data_ptr() + 4 * skip)


# ---- models/model.h, models/objective.h -----------------------------------------------------------------------------------
class Layer(ctypes.Structure):
    _fields_ = [(f, text) for f in ("type", "name", "settings", "reads", "where")]


class Net(ctypes.Structure):
    _fields_ = [("name", text), ("help", text), ("n", size), ("layer", ctypes.POINTER(Layer))]


class Samples(ctypes.Structure):
    _fields_ = [(f, size) for f in ("n", "c", "h", "w", "classes")] + [
        (f, pointer) for f in ("pixels", "label", "features", "tokens")] + [("positions", size)] + [
        (f, pointer) for f in ("channel", "label32", "begin", "column", "value")] + [("augment", ctypes.c_uint)]


class Tensor(ctypes.Structure):
    _fields_ = [("name", text)] + [(f, ctypes.c_int) for f in ("role", "layer", "heads", "ndim")] + [
        ("shape", size * 4), ("offset", size), ("size", size)]


class Layout(ctypes.Structure):
    _fields_ = [(f, size) for f in ("n", "d", "buffers")] + [("tensor", ctypes.POINTER(Tensor))]


class Rows(ctypes.Structure):
    _fields_ = [("index", pointer), ("count", size), ("labels", pointer), ("draws", pointer), ("flipped", ctypes.c_int),
                ("buffers", pointer)]


class Objective(ctypes.Structure):
    _fields_ = [("name", text), ("self", pointer), ("layout", ctypes.POINTER(Layout))] + [
        (f, size) for f in ("n", "n_test", "classes")] + [
        (f, pointer) for f in ("init", "work", "loss_grad", "evaluate", "sampled_grad", "flipped_grad", "evaluate_samples",
                               "step_grad", "grad")] + [("frozen", size), ("adapter_scale", ctypes.c_double)]


class Network:
    """A network of the list over samples in memory, its parameters in the vector `x` (behind them the buffers). images, tokens:
    NumPy arrays, bytes (n, c, h, w) or 32-bit integers (n, positions); labels: bytes, (n) or (n, positions)."""

    def __init__(self, library, name, labels, classes, images=None, tokens=None, mean=0.5, std=0.5, winograd=True):
        self.library, f = library, library.f
        f.fl_net_find.restype, f.fl_net_find.argtypes = ctypes.POINTER(Net), [text, pointer]
        f.fl_model_new.restype = f.fl_model_objective.restype = pointer
        self.room, err = ctypes.create_string_buffer(4096), ctypes.create_string_buffer(1024)
        net = f.fl_net_find(name.encode(), self.room)
        if not net:
            raise SystemExit("torch-networks: no network '%s' in %s" % (name, f._name))
        n, c, h, w = images.shape if tokens is None else (tokens.shape[0], 1, 1, tokens.shape[1])
        held = [None if a is None else np.ascontiguousarray(a) for a in (images, tokens, labels)]
        self.arrays = images, tokens, labels = held
        assert labels.dtype == np.uint8 and (images is None or images.dtype == np.uint8)
        assert tokens is None or tokens.dtype == np.int32
        at = [None if a is None else a.ctypes.data for a in self.arrays]
        positions = labels.shape[1] if labels.ndim > 1 else 0
        self.samples = Samples(n, c, h, w, classes, at[0], at[2], None, at[1], positions)
        net = net.contents if winograd else self.plain(net.contents)
        self.model = f.fl_model_new(ctypes.byref(net), ctypes.byref(self.samples), None, ctypes.c_double(mean),
                                    ctypes.c_double(std), err, size(1024))
        if not self.model:
            raise SystemExit("torch-networks: %s" % err.value.decode())
        self.objective = Objective.from_address(f.fl_model_objective(pointer(self.model)))
        layout = self.objective.layout.contents
        self.tensors = [layout.tensor[i] for i in range(layout.n)]
        self.d = layout.d
        self.x, self.g = np.zeros(layout.d + layout.buffers, np.float32), np.empty(layout.d, np.float32)
        self.room_of, self.work, self.call = 0, None, None

    def plain(self, net):
        """The same with winograd=no in every convolution."""
        self.layers = (Layer * net.n)(*[net.layer[i] for i in range(net.n)])
        for layer in self.layers:
            if layer.type == b"conv":
                layer.settings = layer.settings + b" winograd=no"
        return Net(net.name, net.help, net.n, self.layers)

    def shapes(self):
        return [(t.name.decode(), list(t.shape[:t.ndim])) for t in self.tensors]

    def begin(self, state):
        """From a state_dict: names and shapes must be those of the layout, save counters, which have no floats."""
        state = {k: v for k, v in state.items() if v.is_floating_point()}
        if sorted((k, list(v.shape)) for k, v in state.items()) != sorted(self.shapes()):
            raise SystemExit("torch-networks: tensors differ: %s here, %s in PyTorch" % (
                sorted(self.shapes()), sorted((k, list(v.shape)) for k, v in state.items())))
        for t in self.tensors:
            self.x[t.offset:t.offset + t.size] = state[t.name.decode()].detach().numpy().reshape(-1)

    def loss_grad(self, rows):
        """The mean loss over the rows, its gradient in g; buffers move."""
        o, index = self.objective, np.ascontiguousarray(rows, np.uint32)
        if len(index) > self.room_of:
            need = ctypes.CFUNCTYPE(size, pointer, size)(o.work)(o.self, len(index))
            self.room_of, self.work = len(index), np.zeros(need + 64, np.uint8)
            if self.library.crew:
                self.library.crew.room(need)
        x, g, work = self.x.ctypes.data, self.g.ctypes.data, self.work.ctypes.data
        if not self.call:
            middle = [pointer] if o.grad else [pointer, size]
            self.call = ctypes.CFUNCTYPE(ctypes.c_double, *[pointer] * 3, *middle, pointer, pointer)(o.grad or o.loss_grad)
        if not o.grad:
            return self.call(o.self, self.library.table, x, index.ctypes.data, len(index), g, work)
        ask = Rows(index.ctypes.data, len(index), None, None, 0, x + 4 * self.d)
        return self.call(o.self, self.library.table, x, ctypes.addressof(ask), g, work)

    def step(self, rows, lr):
        """One of SGD; the loss before it."""
        loss = self.loss_grad(rows)
        self.library.sgd(size(self.d), pointer(self.x.ctypes.data), pointer(self.g.ctypes.data), ctypes.c_float(1),
                         ctypes.c_float(lr))
        return loss
