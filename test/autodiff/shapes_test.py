#!/usr/bin/env python3
# The gradient of every op for at least 20 shapes (`shape_cases.py`), each element held against the f64 reference's own derivative.
# Usage: shapes_test.py [--seed N] [OP…]. One model an op, or a few: its cases are independent, and the loss is the sum of theirs.
import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "cli"))
from shape_cases import F32, LEAST, LOSSES, NAMES, WITHOUT, table  # noqa: E402
from weft_cli import CODES, WEFT, write_safetensors  # noqa: E402

CODES["F64"] = ("d", 8)
LETTERS = "xyzu"
ELEMENTS = 1000  # of one model, so that `weft grad --check` compares each


def holes(cases):
    """What the table lacks: ops of the model file, and ops of the dialect that have a rule."""
    schema = json.loads((ROOT / "docs" / "weft-1.schema.json").read_text())
    ops = {name[3:] for name in schema["$defs"] if name.startswith("op_")}
    rules = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=2)(?=[A-Z])", "_", name).lower()
             for file in (ROOT / "compiler" / "autodiff" / "rules").glob("*.cpp") for name in re.findall(r"attach<(\w+)Op,", file.read_text())}
    found = [f"op '{op}' has no shapes and is not among those without a gradient" for op in sorted(ops - set(cases) - WITHOUT)]
    found += [f"op '{op}' is said to have no gradient, but has shapes or a rule" for op in sorted(WITHOUT & (set(cases) | rules))]
    found += [f"the rule of 'weft.{rule}' has no shapes" for rule in sorted(rules) if NAMES.get(rule, rule) not in cases]
    found += [f"op '{op}' has only {len(each)} shapes" for op, each in cases.items() if len(each) < LEAST]
    return found


def model_of(op, cases):
    """The model of an op's cases, and its inputs; names of a case begin with "c" and its number."""
    dtype = "f32" if op in F32 else "f64"
    inputs, graph, sums, tensors, draw = {}, [], [], {}, random.Random(f"{op} inputs")
    for number, case in enumerate(cases):
        names = {}
        for letter, (shape, how) in zip(LETTERS, case.inputs):
            name = names[letter] = f"c{number}_{letter}"
            values = [how(draw) for _ in range(math.prod(0 if size == "Z" else size for size in shape))]
            kind = "i32" if isinstance(how(random.Random(0)), int) else dtype
            inputs[name] = {"dtype": kind, "shape": shape}
            tensors[name] = (kind.upper(), [0 if size == "Z" else size for size in shape], values)
        for n, node in enumerate(case.nodes):
            node = json.loads(json.dumps(node))
            given = node.pop("in", None if node["op"] == "parameter" else f"@{n - 1}")
            node["id"] = names[f"@{n}"] = f"c{number}_n{n}"
            if "out" in node:
                names.update({part: f"c{number}_{part[1:]}" for part in node["out"]})
                node["out"] = [names[part] for part in node["out"]]
            if isinstance(given, dict):
                node["in"] = {key: names[value] for key, value in given.items()}
            elif given is not None:
                node["in"] = [names[each] for each in given] if isinstance(given, list) else names[given]
            graph.append(node)
        last = node.get("out", [node["id"]])[0]
        # Σ sin y + 0.3 y², whose gradient differs from element to element
        graph += [{"id": f"c{number}_sin", "op": "sin", "in": last}, {"id": f"c{number}_square", "op": "mul", "in": [last, last]},
                  {"id": f"c{number}_part", "op": "mul", "value": 0.3}, {"id": f"c{number}_both", "op": "add", "in": [f"c{number}_sin", f"c{number}_part"]},
                  {"id": f"c{number}_sum", "op": "sum"}]
        sums.append(f"c{number}_sum")
    # A model that trains has a parameter.
    graph += [{"id": "own", "op": "parameter", "shape": [1]}, {"id": "own_sum", "op": "sum"}]
    total = {"id": "total", "op": "add", "in": ["own_sum", *sums]}
    in_train = op in LOSSES
    model = {"format": "1.0", "name": "shapes", "precision": {"params": dtype, "compute": dtype, "accumulate": dtype},
             "dims": {"Z": {"min": 0, "max": 2}} if any("Z" in spec["shape"] for spec in inputs.values()) else {},
             "inputs": {} if in_train else inputs, "graph": [{"id": "probe", "op": "parameter", "shape": [1]}] if in_train else graph,
             "outputs": {"out": "probe" if in_train else "own_sum"},
             "train": {"inputs": inputs if in_train else {}, "nodes": (graph if in_train else []) + [total], "loss": "total"},
             "entries": {"slope": {"mode": "grad", "gradients": ["*"]}}}
    return model, tensors


def parts_of(op, cases):
    """The cases of an op, model by model."""
    parts = [[]]
    for case in cases:
        if parts[-1] and sum(each.elements() for each in [*parts[-1], case]) > ELEMENTS:
            parts.append([])
        parts[-1].append(case)
    return [(op, part, f"{op}{number}") for number, part in enumerate(parts)]


def check(program, op, cases, file, folder):
    """Failures of the gradients of some cases of an op, and how many gradients were compared."""
    model, tensors = model_of(op, cases)
    (folder / f"{file}.json").write_text(json.dumps(model))
    write_safetensors(folder / f"{file}.safetensors", tensors)
    done = subprocess.run([program, "grad", f"{file}.json", "--entry", "slope", "--init", "1", "--inputs", f"{file}.safetensors", "--dropout", "--check", "1", "--threads", "1",
                           "--json"], cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode not in (0, 1) or "\"check\"" not in done.stdout:
        return [f"exit code {done.returncode}\n{done.stdout}{done.stderr}"], 0
    found, gradients = [], json.loads(done.stdout)["check"]["tensors"]
    for gradient in gradients:
        number = re.match(r"c(\d+)_", gradient["name"])
        what = f"{gradient['name']} of {cases[int(number[1])]}" if number else gradient["name"]
        if gradient["result"] in ("wrong", "kink", "corner"):
            found.append(f"{what}: {gradient}")
        elif not gradient["by_element"]:
            found.append(f"{what}: too many elements to compare each")
    return found, len(gradients)


parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("ops", nargs="*")
options = parser.parse_args()
every = table(random.Random(options.seed))
failures = holes(every)
chosen = {op: cases for op, cases in every.items() if not options.ops or op in options.ops}
parts = [part for op, cases in chosen.items() for part in parts_of(op, cases)]
compared = 0
with tempfile.TemporaryDirectory(prefix="weft-shapes-") as name, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    folder = pathlib.Path(name)
    for (op, _, _), (found, count) in zip(parts, pool.map(lambda part: check(WEFT, *part, folder), parts)):
        failures += [f"op '{op}': {text}" for text in found]
        compared += count
    # A compiler whose rule of tanh is wrong: every shape shows it.
    if "WEFT_PLANTED" in os.environ and not options.ops:
        found, count = check(os.environ["WEFT_PLANTED"], "tanh", every["tanh"], "planted", folder)
        moving = sum("Z" not in case.inputs[0][0] for case in every["tanh"])
        if len(found) != moving:
            failures.append(f"a planted wrong rule was found for {len(found)} of {moving} shapes")
for failure in failures:
    print(f"FAIL seed {options.seed}: {failure}")
print(f"count: shapes of ops with gradients = {sum(map(len, chosen.values()))}")
print(f"{len(chosen)} ops, {sum(map(len, chosen.values()))} shapes of seed {options.seed}, {compared} gradients, {len(failures)} failures")
sys.exit(bool(failures))
