"""The networks in plain PyTorch, with the names of our layers in their state_dict, and what they train on."""
import os
import sys
from dataclasses import dataclass
from typing import Callable

import numpy as np
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from torch_replay import LeNet5  # noqa: E402


# ---- convolutional ---------------------------------------------------------------------------------------------------------
class CnnPfl(nn.Module):
    """Without its dropout."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(12544, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Vgg11(nn.Module):
    POOLED = (1, 2, 4, 6, 8)

    def __init__(self):
        super().__init__()
        widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
        for i in range(8):
            setattr(self, "conv%d" % (i + 1), nn.Conv2d(widths[i], widths[i + 1], 3, padding=1))
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        for i in range(1, 9):
            x = F.relu(getattr(self, "conv%d" % i)(x))
            x = F.max_pool2d(x, 2) if i in self.POOLED else x
        return self.fc(x.flatten(1))


class Block(nn.Module):
    def __init__(self, c, o, stride, norm):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, o, 3, stride, 1, bias=False), norm(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), norm(o)
        self.downsample = nn.Sequential(nn.Conv2d(c, o, 1, stride, bias=False), norm(o)) if stride > 1 else nn.Identity()

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.downsample(x))


class ResNet(nn.Module):
    """Blocks of two convolutions: `widths` stages of `blocks`; ResNet-18 with a 3x3 stem by default."""

    def __init__(self, norm, widths=(64, 128, 256, 512), blocks=2):
        super().__init__()
        self.conv1, self.bn1, c = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), norm(widths[0]), widths[0]
        for i, o in enumerate(widths):
            first = Block(c, o, 2 if i else 1, norm)
            setattr(self, "layer%d" % (i + 1), nn.Sequential(first, *[Block(o, o, 1, norm) for _ in range(blocks - 1)]))
            c = o
        self.stages, self.fc = len(widths), nn.Linear(c, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, "layer%d" % (i + 1))(x)
        return self.fc(x.mean((2, 3)))


def two_groups(c):
    return nn.GroupNorm(2, c)


# ---- what they train on: made, so that there is something to learn -----------------------------------------------------------
def images(c, side):
    """Each class a coarse picture, each sample that picture under noise."""
    def make(r, n, classes):
        labels = r.integers(0, classes, n).astype(np.uint8)
        coarse = r.integers(0, 256, (classes, c, 4, 4)).repeat(side // 4, 2).repeat(side // 4, 3)
        return {"images": ((coarse[labels] + r.integers(0, 256, (n, c, side, side))) // 2).astype(np.uint8), "labels": labels}
    return make


@dataclass
class Twin:
    make: Callable[[], nn.Module]
    data: Callable              # (generator, rows, classes) -> images or tokens, and labels, as of library.Network
    batch: int = 16             # of the comparison
    lr: float = 0.01
    classes: int = 10
    timed: tuple = (50,)        # batches whose steps are timed
    winograd: bool = False      # some of its layers are faster so


NETWORKS = {
    "lenet5": Twin(LeNet5, images(1, 28), batch=50, lr=0.1, timed=(10, 50)),
    "cnn_pfl": Twin(CnnPfl, images(3, 32), timed=(10,), winograd=True),
    "vgg11": Twin(Vgg11, images(3, 32), winograd=True),
    "resnet18": Twin(lambda: ResNet(two_groups), images(3, 32), lr=1e-4, winograd=True),
    "resnet18_bn": Twin(lambda: ResNet(nn.BatchNorm2d), images(3, 32), lr=1e-4, winograd=True),
}


@dataclass
class Small:
    """A network of the tests: its rows, and training steps of `batch` rows from the first on, round and round."""
    make: Callable[[], nn.Module]
    shape: tuple                # of a row: (c, h, w), or (tokens,)
    tokens: int = 0             # vocabulary, 0: bytes as pixels
    positions: int = 0          # labels of a row, 0: one
    classes: int = 10
    rows: int = 32
    batch: int = 8
    lr: float = 0.01
    steps: int = 20


# tests/fixtures/networks/NAME.yaml describes each, unless the list of networks has one of that name.
FIXTURES = {
    "resnet_narrow": Small(lambda: ResNet(two_groups, (16, 32), 1), (3, 16, 16)),
}
