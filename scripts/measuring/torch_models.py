"""The networks in plain PyTorch, with the names of our layers in their state_dict, and what they train on."""
import os
import sys
from dataclasses import dataclass
from typing import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from torch_replay import LeNet5  # noqa: E402


# ---- of linear layers alone --------------------------------------------------------------------------------------------------
class Perceptron(nn.Module):
    """Linear layers of these widths, ReLU between them; of one alone the name is fc, as in the network `logistic`."""

    def __init__(self, *widths):
        super().__init__()
        self.names = ["fc%d" % (i + 1) for i in range(len(widths) - 1)] if len(widths) > 2 else ["fc"]
        for name, inputs, outputs in zip(self.names, widths, widths[1:]):
            setattr(self, name, nn.Linear(inputs, outputs))

    def forward(self, x):
        x = x.flatten(1)
        for name in self.names:
            x = getattr(self, name)(x if name == self.names[0] else F.relu(x))
        return x


# ---- convolutional ---------------------------------------------------------------------------------------------------------
class CnnMcMahan(nn.Module):
    def __init__(self, side=28, c1=32, c2=64, hidden=512):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, c1, 5, padding=2), nn.Conv2d(c1, c2, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(c2 * (side // 4) ** 2, hidden), nn.Linear(hidden, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class CnnPfl(nn.Module):
    """Without its dropout."""

    def __init__(self, side=32, c1=32, c2=64, hidden=128):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, c1, 3), nn.Conv2d(c1, c2, 3)
        self.fc1, self.fc2 = nn.Linear(c2 * ((side - 4) // 2) ** 2, hidden), nn.Linear(hidden, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Vgg11(nn.Module):
    """he: begun so that signals keep their size over the eight layers; else as PyTorch begins its layers, and they fade."""
    POOLED = (1, 2, 4, 6, 8)

    def __init__(self, widths=(3, 64, 128, 256, 256, 512, 512, 512, 512), he=False):
        super().__init__()
        for i in range(8):
            conv = nn.Conv2d(widths[i], widths[i + 1], 3, padding=1)
            if he:
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            setattr(self, "conv%d" % (i + 1), conv)
        self.fc = nn.Linear(widths[8], 10)

    def forward(self, x):
        for i in range(1, 9):
            x = F.relu(getattr(self, "conv%d" % i)(x))
            x = F.max_pool2d(x, 2) if i in self.POOLED else x
        return self.fc(x.flatten(1))


class Pools(nn.Module):
    """Every kind of pooling: windows that overlap, that leave gaps, with padding that counts and that does not."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 16, 3)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1)
        x = F.avg_pool2d(F.relu(self.conv2(x)), 3, 1, 1, count_include_pad=False)
        x = F.avg_pool2d(F.relu(self.conv3(x)), 4, 1, 2)
        return self.fc(F.max_pool2d(x, 2, 4, 1).flatten(1))


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


# ---- attention -------------------------------------------------------------------------------------------------------------
class Attention(nn.Module):
    def __init__(self, d, heads, causal, qkv_bias):
        super().__init__()
        self.qkv, self.proj = nn.Linear(d, 3 * d, bias=qkv_bias), nn.Linear(d, d)
        self.heads, self.causal = heads, causal

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(y.transpose(1, 2).reshape(n, t, d))


class Mlp(nn.Module):
    def __init__(self, d, hidden, act):
        super().__init__()
        self.fc1, self.fc2, self.act = nn.Linear(d, hidden), nn.Linear(hidden, d), act

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class AttentionBlock(nn.Module):
    def __init__(self, d, heads, hidden, act, eps=1e-5, causal=False, qkv_bias=True):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d, eps=eps), nn.LayerNorm(d, eps=eps)
        self.attn, self.mlp = Attention(d, heads, causal, qkv_bias), Mlp(d, hidden, act)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MiniGpt(nn.Module):
    def __init__(self, vocabulary=65, context=8, d=24, blocks=6, heads=6):
        super().__init__()
        self.embed, self.pos = nn.Embedding(vocabulary, d), nn.Embedding(context, d)
        self.blocks = nn.Sequential(*[AttentionBlock(d, heads, 4 * d, F.relu, causal=True, qkv_bias=False)
                                      for _ in range(blocks)])
        self.head = nn.Linear(d, vocabulary)

    def forward(self, x):
        return self.head(self.blocks(self.embed(x) + self.pos.weight))


class ClassToken(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(d))

    def forward(self, x):
        return torch.cat((self.weight.expand(len(x), 1, -1), x), 1)


class Patches(nn.Module):
    def __init__(self, d, side):
        super().__init__()
        self.proj = nn.Conv2d(3, d, side, side)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Vit(nn.Module):
    """ViT-Tiny/4 by default; matrices, positions and class token begin as in DeiT."""

    def __init__(self, side=32, d=192, blocks=12, heads=3):
        super().__init__()
        self.patch_embed, self.cls, self.pos = Patches(d, 4), ClassToken(d), nn.Embedding((side // 4) ** 2 + 1, d)
        self.blocks = nn.Sequential(*[AttentionBlock(d, heads, 4 * d, F.gelu, eps=1e-6) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(d, eps=1e-6), nn.Linear(d, 10)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding, ClassToken)):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, x):
        x = self.cls(self.patch_embed(x)) + self.pos.weight
        return self.head(self.norm(self.blocks(x))[:, 0])


class Text(nn.Module):
    """Attention both ways over bytes, the mean of all positions."""

    def __init__(self, vocabulary=256, length=64, d=128, blocks=4, heads=4, classes=2):
        super().__init__()
        self.embed, self.pos = nn.Embedding(vocabulary, d), nn.Embedding(length, d)
        self.blocks = nn.Sequential(*[AttentionBlock(d, heads, 4 * d, F.gelu) for _ in range(blocks)])
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, classes)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.embed(x) + self.pos.weight)).mean(1))


class Adapted(nn.Module):
    """A linear layer that stays as it is, and its adapters: weight + alpha/rank B A, B kept as its transpose. It begins at random
    here: where it is 0, as in a run, A has no gradient."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.scale = alpha / rank
        out, inputs = linear.weight.shape
        self.weight, self.bias = linear.weight, linear.bias
        self.lora_A = nn.Parameter(torch.empty(rank, inputs).uniform_(-inputs ** -0.5, inputs ** -0.5))
        self.lora_B_T = nn.Parameter(torch.empty(rank, out).normal_(std=0.2))

    def forward(self, x):
        return F.linear(x, self.weight + self.scale * (self.lora_B_T.T @ self.lora_A), self.bias)


def adapted(model, rank, alpha=None, on=()):
    """The model with adapters on every linear layer but the head (or on those of them whose name ends with one of `on`), which
    alone is trained besides them. alpha is the rank unless it is said."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for path, module in list(model.named_modules()):
        for name, child in list(module.named_children()):
            full = "%s.%s" % (path, name)
            if isinstance(child, nn.Linear) and child is not model.head and (not on or full.endswith(tuple("." + o for o in on))):
                setattr(module, name, Adapted(child, rank, alpha or rank))
    model.head.requires_grad_(True)
    return model


# ---- recurrent -------------------------------------------------------------------------------------------------------------
class Characters(nn.Module):
    """Two recurrent layers, nn.LSTM or nn.GRU, over characters; what the last state tells, or each."""

    def __init__(self, kind, names, vocabulary, d, hidden, classes, each=True):
        super().__init__()
        self.embedding, self.names, self.each = nn.Embedding(vocabulary, d), names, each
        for name, width in zip(names, (d, hidden)):
            setattr(self, name, kind(width, hidden, batch_first=True))
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x):
        x = self.embedding(x)
        for name in self.names:
            x = getattr(self, name)(x)[0]
        return self.fc(x if self.each else x[:, -1])


def char_lstm():
    return Characters(nn.LSTM, ("lstm1", "lstm2"), 80, 8, 256, 80)


# ---- what they train on: made, so that there is something to learn -----------------------------------------------------------
def images(c, side):
    """Each class a coarse picture, each sample that picture under noise."""
    def make(r, n, classes):
        labels = r.integers(0, classes, n).astype(np.uint8)
        coarse = r.integers(0, 256, (classes, c, 4, 4)).repeat(side // 4, 2).repeat(side // 4, 3)
        return {"images": ((coarse[labels] + r.integers(0, 256, (n, c, side, side))) // 2).astype(np.uint8), "labels": labels}
    return make


def sentences(length):
    """Each token mostly follows from the one before it; labels are the next tokens."""
    def make(r, n, classes):
        t = r.integers(0, classes, (n, length + 1))
        for i in range(length):
            t[:, i + 1] = np.where(r.random(n) < 0.8, (7 * t[:, i] + 3) % classes, t[:, i + 1])
        return {"tokens": t[:, :-1].astype(np.int32), "labels": t[:, 1:].astype(np.uint8)}
    return make


def texts(length):
    """Bytes, of one half rather or of the other, as the label says."""
    def make(r, n, classes):
        labels = r.integers(0, classes, n).astype(np.uint8)
        tokens = r.integers(0, 128, (n, length)) + 128 * (r.random((n, length)) < 0.35 + 0.3 * labels[:, None])
        return {"tokens": tokens.astype(np.int32), "labels": labels}
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
    "cnn_mcmahan": Twin(CnnMcMahan, images(1, 28)),
    "cnn_pfl": Twin(CnnPfl, images(3, 32), timed=(10,)),
    "vgg11": Twin(lambda: Vgg11(he=True), images(3, 32), lr=1e-3, winograd=True),    # as PyTorch begins it, it learns nothing
    "resnet18": Twin(lambda: ResNet(two_groups), images(3, 32), lr=1e-4, winograd=True),
    "resnet18_bn": Twin(lambda: ResNet(nn.BatchNorm2d), images(3, 32), lr=1e-4, winograd=True),
    "vit_tiny": Twin(Vit, images(3, 32), lr=0.01),
    "mini_gpt": Twin(MiniGpt, sentences(8), lr=0.1, classes=65, timed=(1, 4, 16, 64)),
    "text_transformer": Twin(Text, texts(64), lr=0.01, classes=2),
    "text_transformer_lora8": Twin(lambda: adapted(Text(), 8), texts(64), lr=0.01, classes=2),
    "char_lstm": Twin(char_lstm, sentences(80), lr=1.0, classes=80),
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
    # How far apart the weights may be after the steps, of their change (of whole networks: the gradients). Where norms bring
    # thousands of inputs of ReLU near to 0, a step decides some of them otherwise than PyTorch in fp64, as PyTorch in fp32
    # does: it ends 4e-4 and 1.4e-4 apart from it.
    apart: float = 1e-4


# tests/fixtures/networks/NAME.yaml describes each, unless the list of networks has one of that name. 13x13, 15x15, 18x18: sides
# of which pooling leaves a row and a column out; 32x32: VGG's last images are 2x2 and 1x1.
FIXTURES = {
    "logistic": Small(lambda: Perceptron(64, 10), (1, 8, 8), lr=0.05),
    "mlp_60_40": Small(lambda: Perceptron(64, 60, 40, 10), (1, 8, 8), lr=0.1),
    "lenet5": Small(lambda: LeNet5(64), (1, 18, 18), lr=0.1),
    "mcmahan_narrow": Small(lambda: CnnMcMahan(13, 6, 10, 24), (1, 13, 13), lr=0.1),
    "pfl_narrow": Small(lambda: CnnPfl(15, 6, 9, 24), (3, 15, 15), lr=0.1),
    "vgg_narrow": Small(lambda: Vgg11((3, 4, 6, 8, 8, 12, 12, 16, 16), he=True), (3, 32, 32), lr=0.02),
    "mini_gpt": Small(MiniGpt, (8,), tokens=65, positions=8, classes=65, rows=12, lr=0.1),
    "vit_narrow": Small(lambda: Vit(16, 24, 2, 3), (3, 16, 16)),
    "pool_narrow": Small(Pools, (3, 16, 16), lr=0.05),
    "resnet_narrow": Small(lambda: ResNet(two_groups, (16, 32), 1), (3, 16, 16), apart=2e-3),
    "resnet_bn_narrow": Small(lambda: ResNet(nn.BatchNorm2d, (6, 10), 1), (3, 9, 9), apart=1e-3),
    "text_narrow": Small(lambda: Text(40, 11, 24, 2, 4, 3), (11,), tokens=40, classes=3, lr=0.1),
    "text_narrow_lora2": Small(lambda: adapted(Text(40, 11, 24, 2, 4, 3), 2), (11,), tokens=40, classes=3, lr=0.1),
    "text_narrow_lora2_alpha3_on_attn": Small(lambda: adapted(Text(40, 11, 24, 2, 4, 3), 2, 3, ("attn.qkv", "attn.proj")), (11,),
                                              tokens=40, classes=3, lr=0.1),
    "lstm_narrow": Small(lambda: Characters(nn.LSTM, ("lstm1", "lstm2"), 13, 5, 9, 7), (6,), tokens=13, positions=6, classes=7,
                         lr=0.5),
    "gru_narrow": Small(lambda: Characters(nn.GRU, ("gru1", "gru2"), 13, 5, 9, 7, each=False), (6,), tokens=13, classes=7,
                        lr=0.5),
}

# The networks of the list themselves, two rows and one gradient of each: their weights are made, not kept.
WHOLE = {
    "cnn_mcmahan": Small(NETWORKS["cnn_mcmahan"].make, (1, 28, 28)),
    "cnn_pfl": Small(NETWORKS["cnn_pfl"].make, (3, 32, 32)),
    "vgg11": Small(NETWORKS["vgg11"].make, (3, 32, 32)),
    "resnet18": Small(NETWORKS["resnet18"].make, (3, 32, 32), apart=1e-3),
    "resnet18_bn": Small(NETWORKS["resnet18_bn"].make, (3, 32, 32), apart=1e-2),
    "vit_tiny": Small(NETWORKS["vit_tiny"].make, (3, 32, 32)),
    "text_transformer": Small(NETWORKS["text_transformer"].make, (64,), tokens=256, classes=2),
    "text_transformer_lora8": Small(NETWORKS["text_transformer_lora8"].make, (64,), tokens=256, classes=2),
    "char_lstm": Small(lambda: Characters(nn.LSTM, ("lstm1", "lstm2"), 80, 8, 256, 80, each=False), (80,), tokens=80, classes=80),
}
for small in WHOLE.values():
    small.rows = small.batch = 2
