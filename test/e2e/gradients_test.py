#!/usr/bin/env python3
# Gradients of random models, of inputs and of parameters, against the derivatives of the f64 reference, and these against
# central differences of its loss (`weft grad --check`). Every fourth model drops out as a step of training does.
# Usage: gradients_test.py WEFT WEFT-E2E [COUNT [FIRST]]. A model is repeated by its seed alone, which is printed when it fails.
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

weft, e2e = sys.argv[1:3]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 300
first = int(sys.argv[4]) if len(sys.argv) > 4 else 1


def check(seed, folder):
    """What is wrong with the model of this seed ("": nothing), and its gradients; None: it has nothing to differentiate."""
    prefix = folder / f"random-{seed}"
    written = subprocess.run([e2e, "write", "--seed", str(seed), "--out", str(prefix)], capture_output=True, text=True)
    if written.returncode:
        return None if written.returncode == 77 else (written.stderr, [])
    done = subprocess.run([weft, "grad", f"{prefix}.json", "--entry", "slope", "--init", str(seed), "--inputs", f"{prefix}.safetensors", "--check", "1",
                           "--threads", "1", "--json", "-q", *["--dropout"] * (seed % 4 == 0)], capture_output=True, text=True, timeout=300)
    # What can't be computed where the inputs stand (a logarithm of a negative number) has no gradient there.
    if done.returncode == 1 and ("not finite" in done.stderr or "can't compute" in done.stderr):
        return None
    if done.returncode not in (0, 1) or "\"check\"" not in done.stdout:
        return done.stdout + done.stderr, []
    tensors = json.loads(done.stdout)["check"]["tensors"]
    # The reference must agree with itself: at a corner that no difference sees it would not.
    bad = [tensor for tensor in tensors if tensor["result"] == "wrong" or tensor["corner"]]
    return "\n".join(map(str, bad)) + done.stderr * bool(bad), tensors


with tempfile.TemporaryDirectory(prefix="weft-gradients-") as name, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    seeds = range(first, first + count)
    results = list(pool.map(lambda seed: check(seed, pathlib.Path(name)), seeds))
failed = {seed: result[0] for seed, result in zip(seeds, results) if result and result[0]}
for seed, text in failed.items():
    print(f"FAIL seed {seed}\n{text}")
compared = sum(result is not None for result in results)
tensors = [tensor for result in results if result for tensor in result[1]]
differences = sum(tensor["differences"] > 0 for tensor in tensors)
print(f"count: random models with gradients = {compared}")
print(f"{len(tensors)} gradients, {sum(tensor['by_element'] for tensor in tensors)} by every element, {differences} also by differences, "
      f"{sum(tensor['result'] == 'kink' for tensor in tensors)} at a kink")
print(f"{compared - len(failed)} passed, {len(failed)} failed, {count - compared} without a gradient")
sys.exit(bool(failed) or compared < 0.88 * count or differences < 0.9 * len(tensors))
