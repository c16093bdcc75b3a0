#!/usr/bin/env python3
# Times training steps of the same models in PyTorch, to stand beside `weft bench --entry train_step`.
# Usage: train_torch.py mnist | simple | gpt2:BxT [--compile] [--threads N] [--steps N]. Needs torch; nothing of Weft does.
import argparse
import resource
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """GPT-2's, pre-norm."""

    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.n1, self.n2 = heads, nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out, self.up, self.down = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(self.n1(x)).chunk(3, -1))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.n2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, d=768, heads=12, layers=12, vocabulary=50257, positions=1024):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, d), nn.Embedding(positions, d)
        self.h, self.norm = nn.Sequential(*[Block(d, heads) for _ in range(layers)]), nn.LayerNorm(d)

    def forward(self, tokens):
        return F.linear(self.norm(self.h(self.wte(tokens) + self.wpe.weight[:tokens.shape[1]])), self.wte.weight)


class Encoder(nn.Module):
    def __init__(self, d, heads, ff, layers, classes, dropout, words=0, positions=0):
        super().__init__()
        self.words = nn.Embedding(words, d) if words else None
        self.places = nn.Embedding(positions, d) if words else None
        layer = nn.TransformerEncoderLayer(d, heads, ff, dropout, batch_first=True)
        self.encoder, self.head = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False), nn.Linear(d, classes)

    def forward(self, x):
        if self.words:
            x = self.words(x) + self.places.weight[:x.shape[1]]
        return self.head(self.encoder(x).mean(1))


def workload(name):
    """The model, its inputs, labels, optimizer and clipping."""
    if name == "mnist":
        model = Encoder(512, 8, 2048, 3, 10, 0.1)
        return model, torch.rand(64, 1, 512), torch.randint(0, 10, (64,)), torch.optim.Adam(model.parameters(), 1e-3), 0
    if name == "simple":
        model = Encoder(16, 2, 32, 1, 3, 0.0, words=50, positions=10)
        return model, torch.randint(0, 50, (4, 10)), torch.randint(0, 3, (4,)), torch.optim.Adam(model.parameters(), 1e-3), 0
    batch, length = map(int, name.removeprefix("gpt2:").split("x"))
    model = Gpt2()
    shape = (batch, length)
    return model, torch.randint(0, 50257, shape), torch.randint(0, 50257, shape), torch.optim.AdamW(model.parameters(), 1e-4), 1.0


def main():
    parser = argparse.ArgumentParser(description="training steps in PyTorch")
    parser.add_argument("name", metavar="mnist|simple|gpt2:BxT")
    parser.add_argument("--compile", action="store_true", help="torch.compile forward and loss")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, inputs, labels, optimizer, clip = workload(options.name)
    loss_of = lambda: F.cross_entropy(model(inputs).flatten(0, -2), labels.flatten())
    if options.compile:
        loss_of = torch.compile(loss_of)

    def step():
        optimizer.zero_grad()
        loss_of().backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()

    times = []
    for i in range(options.steps + 2):
        begin = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - begin))
    times = sorted(times[2:])
    print(f"torch {torch.__version__} {options.name}{' compiled' if options.compile else ''}: median {times[len(times) // 2]:.4g} ms, least {times[0]:.4g} ms, "
          f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


main()
