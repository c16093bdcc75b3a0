#!/usr/bin/env python3
# Attention forward and backward, Weft beside PyTorch's scaled_dot_product_attention, in turns: B 1, 12 heads of 64, f32.
# Usage: attention_torch.py WEFT [--lengths 1024,4096] [--threads N] [--rounds N]. Prints medians over the rounds.
import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch
from torch.nn import functional as F

MODELS = Path(__file__).resolve().parent / "models"


def weft_ms(weft, causal, length, threads, iterations):
    model = MODELS / ("causal_attention_gradient.json" if causal else "attention_gradient.json")
    done = subprocess.run([weft, "bench", model, "--entry", "gradient", "--dim", f"B=1,T={length}", "--threads", str(threads),
                           "--iterations", str(iterations), "--json"], capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)
    return row["median_ms"], row["arena_bytes"]


def torch_ms(causal, length, iterations):
    q, k, v, dy = (torch.randn(1, 12, length, 64) for _ in range(4))
    leaves = [t.requires_grad_() for t in (q, k, v)]
    times = []
    for _ in range(iterations + 1):
        start = time.perf_counter()
        torch.autograd.grad(F.scaled_dot_product_attention(*leaves, is_causal=causal), leaves, dy)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[1:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weft")
    parser.add_argument("--lengths", default="1024,4096")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    for length in map(int, options.lengths.split(",")):
        iterations = max(3, 8192 // length)
        for causal in (False, True):
            rounds = [(*weft_ms(options.weft, causal, length, options.threads, iterations), torch_ms(causal, length, iterations))
                      for _ in range(options.rounds)]
            ours, theirs = statistics.median(r[0] for r in rounds), statistics.median(r[2] for r in rounds)
            naive = 2 * 12 * length * length * 4
            print(f"T {length} {'causal' if causal else 'full  '}  weft {ours:8.1f} ms  torch {theirs:8.1f} ms  torch / weft {theirs / ours:.2f}"
                  f"  arena {rounds[0][1] / 1e6:.1f} MB, two maps would be {naive / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
