#!/usr/bin/env python3
# Gradients of random models, of inputs and of parameters, against central differences of the f64 reference (`weft grad --check`).
# Usage: gradients_test.py WEFT WEFT-E2E [COUNT [FIRST]]. A model is repeated by its seed alone, which is printed when it fails.
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

weft, e2e = sys.argv[1:3]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 300
first = int(sys.argv[4]) if len(sys.argv) > 4 else 1


def check(seed, folder):
    """What is wrong with the model of this seed: "" nothing, None: it has nothing to differentiate."""
    prefix = folder / f"random-{seed}"
    written = subprocess.run([e2e, "write", "--seed", str(seed), "--out", str(prefix)], capture_output=True, text=True)
    if written.returncode:
        return None if written.returncode == 77 else written.stderr
    done = subprocess.run([weft, "grad", f"{prefix}.json", "--entry", "slope", "--init", str(seed), "--inputs", f"{prefix}.safetensors", "--check", "1",
                           "--threads", "1"], capture_output=True, text=True, timeout=300)
    # What can't be computed where the inputs stand (a logarithm of a negative number) has no gradient there.
    if done.returncode == 1 and ("not finite" in done.stderr or "can't compute" in done.stderr):
        return None
    if done.returncode == 5 and "no gradient rule for the map that attention returns" in done.stderr:
        return None
    return "" if done.returncode == 0 else done.stdout + done.stderr


with tempfile.TemporaryDirectory(prefix="weft-gradients-") as name, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    seeds = range(first, first + count)
    results = list(pool.map(lambda seed: check(seed, pathlib.Path(name)), seeds))
failed = {seed: result for seed, result in zip(seeds, results) if result}
for seed, text in failed.items():
    print(f"FAIL seed {seed}\n{text}")
compared = sum(result is not None for result in results)
print(f"count: random models with gradients = {compared}")
print(f"{compared - len(failed)} passed, {len(failed)} failed, {count - compared} without a gradient")
sys.exit(bool(failed) or compared < count // 2)
