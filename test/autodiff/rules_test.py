#!/usr/bin/env python3
# Every gradient rule against central differences of the loss, in f64 where kernels do f64; subgradients at kinks exactly.
# One model holds many small cases: its loss is their sum, so a few runs check them all; a failure is then searched by case.
import json
import math
import random
import struct
import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/cli")
from draws import away, positive, probability  # noqa: E402
from weft_cli import CODES, CommandTest, read_safetensors, write_safetensors  # noqa: E402

CODES["F64"] = ("d", 8)
SEED = 11


def node(op, *inputs, **attributes):
    """The nodes of a case: op on its inputs, which are named x, y, z …"""
    return [{"op": op, "in": list(inputs), **attributes}]


# name: (shapes of the inputs, how they are drawn, nodes); a node without "in" reads the one before
X, ONE, ROW, CUBE = [3, 5], [1, 1], [1, 5], [2, 3, 4]
UNARY = {"abs": away, "cos": away, "elu": away, "erf": away, "exp": away, "gelu": away, "leaky_relu": away, "log": positive, "neg": away, "relu": away,
         "rsqrt": positive, "sigmoid": away, "silu": away, "sin": away, "softplus": away, "sqrt": positive, "tanh": away}
BINARY = {"add": away, "sub": away, "mul": away, "div": positive, "pow": positive, "maximum": away, "minimum": away}

F64 = {op: ([X], draw, node(op, "x")) for op, draw in UNARY.items()}
F64.update({f"{op}_of_one": ([ONE], draw, node(op, "x")) for op, draw in UNARY.items()})
for op, draw in BINARY.items():
    F64.update({op: ([X, X], draw, node(op, "x", "y")), f"{op}_row": ([X, ROW], draw, node(op, "x", "y")),
                f"{op}_column": ([[3, 1], X], draw, node(op, "x", "y")), f"{op}_of_one": ([X, [1]], draw, node(op, "x", "y")),
                f"{op}_outer": ([[3, 1], ROW], draw, node(op, "x", "y"))})
F64.update({
    "gelu_tanh": ([X], away, node("gelu", "x", approximate="tanh")),
    "elu_alpha": ([X], away, node("elu", "x", alpha=0.7)),
    "leaky_slope": ([X], away, node("leaky_relu", "x", slope=0.3)),
    "clamp": ([X], away, node("mul", "x", value=2) + [{"op": "clamp", "min": -2, "max": 1}]),
    "clamp_below": ([X], away, node("clamp", "x", min=0)),
    "same_operand_twice": ([X], away, node("mul", "x", "x")),
    "where": ([X, ROW], away, [{"id": "w", "op": "greater", "in": ["x", "y"]}, {"op": "where", "in": ["w", "x", "y"]}]),
    "masked_fill": ([X], away, [{"id": "w", "op": "greater", "in": ["x"], "value": 0.5}, {"op": "masked_fill", "in": ["x", "w"], "value": 3}]),
    "swiglu": ([X, X], away, node("swiglu", "x", "y")),
    "geglu": ([X, X], away, node("geglu", "x", "y")),
    "geglu_tanh": ([X, X], away, node("geglu", "x", "y", approximate="tanh")),
    # movement
    "concat": ([X, [3, 2], [3, 1]], away, node("concat", "x", "y", "z", axis=1)),
    "concat_twice": ([X], away, node("concat", "x", "x", axis=0)),
    "slice": ([X], away, node("slice", "x", axis=1, start=1, end=4)),
    "slice_step": ([X], away, node("slice", "x", axis=1, start=1, end=5, step=2)),
    "slice_step_to_the_end": ([X], away, node("slice", "x", axis=1, start=0, end=5, step=2)),
    "split": ([X], away, [{"op": "split", "in": "x", "axis": 1, "sizes": [2, 3], "out": ["@a", "@b"]}, {"id": "s", "op": "sum", "in": "@a", "axis": 1, "keepdim": True},
                          {"op": "mul", "in": ["@b", "s"]}]),
    "select": ([X], away, node("select", "x", axis=1, index=-1)),
    "transpose": ([CUBE], away, node("transpose", "x", perm=[2, 0, 1])),
    "reshape": ([CUBE], away, node("reshape", "x", shape=[6, 4])),
    "flatten": ([CUBE], away, node("flatten", "x", start=1)),
    "squeeze": ([[3, 1, 2]], away, node("squeeze", "x", axis=1)),
    "unsqueeze": ([X], away, node("unsqueeze", "x", axis=1)),
    "expand": ([[3, 1]], away, node("expand", "x", shape=[3, 4])),
    "expand_leading": ([[4]], away, node("expand", "x", shape=[2, 3, 4])),
    "gather": ([X], away, [{"id": "i", "op": "constant", "values": [4, 0, 0, 1, 4, 4], "shape": [3, 2], "dtype": "i32"}, {"op": "gather", "in": ["x", "i"], "axis": 1}]),
    "gather_rows": ([X], away, [{"id": "i", "op": "constant", "values": [2, 0, 2, 2], "shape": [4, 1], "dtype": "i32"}, {"op": "gather", "in": ["x", "i"], "axis": 0}]),
    "gather_in_the_middle": ([CUBE], away, [{"id": "i", "op": "constant", "values": [2, 2, 0, 1], "shape": [2, 2, 1], "dtype": "i32"},
                                            {"op": "gather", "in": ["x", "i"], "axis": 1}]),
    # The only parameter, because a model that trains has one.
    "cast": ([X], away, [{"op": "parameter", "shape": [3, 1]}, {"id": "w", "op": "cast", "in": "@0", "dtype": "f64"}, {"op": "mul", "in": ["x", "w"]}]),
    # reductions
    "sum": ([X], away, node("sum", "x", axis=1)), "sum_all": ([X], away, node("sum", "x")), "sum_two": ([CUBE], away, node("sum", "x", axis=[0, 2], keepdim=True)),
    "mean": ([X], away, node("mean", "x", axis=0)), "mean_all": ([X], away, node("mean", "x")),
    "max": ([X], away, node("max", "x", axis=1)), "max_all": ([X], away, node("max", "x")), "max_two": ([CUBE], away, node("max", "x", axis=[0, 2])),
    "min": ([X], away, node("min", "x", axis=0, keepdim=True)), "min_of_one": ([[3, 1]], away, node("min", "x", axis=1)),
    "var": ([X], away, node("var", "x", axis=1)), "var_unbiased": ([X], away, node("var", "x", axis=1, unbiased=True)),
    "var_two": ([CUBE], away, node("var", "x", axis=[0, 2], unbiased=True)), "var_of_one": ([[3, 1]], away, node("var", "x", axis=1)),
    "softmax": ([X], away, node("softmax", "x")), "softmax_axis": ([CUBE], away, node("softmax", "x", axis=1)), "softmax_of_one": ([[3, 1]], away, node("softmax", "x")),
    "log_softmax": ([X], away, node("log_softmax", "x")), "log_softmax_axis": ([CUBE], away, node("log_softmax", "x", axis=0)),
    "mean_pool": ([CUBE], away, node("mean_pool", "x")), "max_pool": ([CUBE], away, node("max_pool", "x")),
    "mean_pool_mask": ([CUBE, [2, 3]], away, [{"id": "m", "op": "greater", "in": ["y"], "value": 0}, {"op": "mean_pool", "in": ["x", "m"]}]),
    "max_pool_mask": ([CUBE, [2, 3]], away, [{"id": "m", "op": "greater", "in": ["y"], "value": 0}, {"op": "max_pool", "in": ["x", "m"]}]),
    # norms without parameters
    "layer_norm": ([X], away, node("layer_norm", "x", weight=False, bias=False)),
    "layer_norm_axis": ([CUBE], away, node("layer_norm", "x", axis=1, weight=False, bias=False)),
    "layer_norm_unbiased": ([X], away, node("layer_norm", "x", weight=False, bias=False, unbiased=True)),
    "layer_norm_eps_outside": ([X], away, node("layer_norm", "x", weight=False, bias=False, eps=0.1, eps_outside=True)),
    "layer_norm_both": ([X], away, node("layer_norm", "x", weight=False, bias=False, eps=0.1, eps_outside=True, unbiased=True)),
    "l2_normalize": ([X], away, node("l2_normalize", "x")), "l2_normalize_axis": ([CUBE], away, node("l2_normalize", "x", axis=1)),
    "l2_normalize_small": ([X], away, node("l2_normalize", "x", eps=50)),
    "rope": ([[2, 3, 8]], away, node("rope", "x", heads=2)), "rope_pairs": ([[2, 3, 8]], away, node("rope", "x", heads=1, interleaved=True, rotary_dim=4, offset=3)),
})

F32 = {
    "linear": ([X], away, node("linear", "x", features=4)), "linear_gelu": ([CUBE], away, node("linear", "x", features=3, activation="gelu")),
    "linear_no_bias": ([[1, 5]], away, node("linear", "x", features=1, bias=False, activation="silu")),
    "matmul": ([X, [5, 2]], away, node("matmul", "x", "y")), "matmul_tb": ([X, [2, 5]], away, node("matmul", "x", "y", transpose_b=True)),
    "matmul_ta": ([[5, 3], [5, 2]], away, node("matmul", "x", "y", transpose_a=True)),
    "matmul_both": ([[5, 3], [2, 5]], away, node("matmul", "x", "y", transpose_a=True, transpose_b=True)),
    "matmul_batch": ([[2, 3, 4], [2, 4, 2]], away, node("matmul", "x", "y")), "matmul_one_right": ([[2, 3, 4], [4, 2]], away, node("matmul", "x", "y")),
    "matmul_one_left": ([[3, 4], [2, 4, 2]], away, node("matmul", "x", "y")), "matmul_unit_batch": ([[1, 3, 4], [2, 4, 2]], away, node("matmul", "x", "y")),
    "matmul_vector": ([[1, 5], [5, 1]], away, node("matmul", "x", "y")),
    "einsum": ([[2, 3, 4], [2, 5, 4]], away, node("einsum", "x", "y", equation="nqd,nkd->nqk")), "einsum_outer": ([[3], [4]], away, node("einsum", "x", "y", equation="i,j->ij")),
    "einsum_heads": ([[2, 3, 2, 4], [2, 5, 2, 4]], away, node("einsum", "x", "y", equation="nqhd,nkhd->nhqk")),
    "layer_norm_weight": ([X], away, node("layer_norm", "x")), "layer_norm_weight_axis": ([CUBE], away, node("layer_norm", "x", axis=1)),
    "layer_norm_weight_both": ([X], away, node("layer_norm", "x", eps=0.1, eps_outside=True, unbiased=True)),
    "rms_norm": ([X], away, node("rms_norm", "x", eps=0.01)), "rms_norm_of_one": ([[3, 1]], away, node("rms_norm", "x", eps=0.5)),
    "embedding": ([[2, 3]], away, [{"id": "i", "op": "constant", "values": [3, 0, 3, 1], "shape": [4], "dtype": "i32"},
                                   {"op": "embedding", "in": "i", "rows": 4, "features": 5}, {"id": "s", "op": "sum", "in": "x"}, {"op": "mul", "in": ["@1", "s"]}]),
    "position_embedding": ([CUBE], away, [{"op": "position_embedding", "in": "x", "kind": "learned", "rows": 6, "features": 4}, {"op": "add", "in": ["x", "@0"]}]),
    "parameter": ([X], away, [{"op": "parameter", "shape": [3, 1]}, {"op": "mul", "in": ["x", "@0"]}]),
}

# Losses stand in the train section; targets are inputs, too.
LABELS = [{"id": "i", "op": "constant", "values": [4, 0, 2], "shape": [3], "dtype": "i32"}]
LOSSES = {
    "parameter": ([X], away, [{"op": "parameter", "shape": [3, 1]}, {"id": "w", "op": "cast", "in": "@0", "dtype": "f64"}, {"id": "t", "op": "mul", "in": ["x", "w"]},
                                      {"op": "mse", "in": ["t", "x"]}]),
    **{f"{op}_{reduction}": ([X, X], away, node(op, "x", "y", reduction=reduction)) for op in ("mse", "l1") for reduction in ("mean", "sum", "none")},
    **{f"huber_{name}": ([X, X], away, node("huber", "x", "y", delta=delta)) for name, delta in (("wide", 1), ("narrow", 0.3))},
    "bce": ([X, X], probability, node("bce_with_logits", "x", "y")), "bce_sum": ([[1], [1]], probability, node("bce_with_logits", "x", "y", reduction="sum")),
    "bce_pos_weight": ([X, X], probability, node("bce_with_logits", "x", "y", pos_weight=[1, 2, 3, 0.5, 1.5])),
    **{f"kl_div_{reduction}": ([X, X], probability, node("kl_div", "x", "y", reduction=reduction)) for reduction in ("mean", "sum", "none", "batchmean")},
    **{f"cross_entropy_{reduction}": ([X], away, LABELS + node("cross_entropy", "x", "i", reduction=reduction)) for reduction in ("mean", "sum", "none")},
    "cross_entropy_ignore": ([X], away, LABELS + node("cross_entropy", "x", "i", ignore_index=0)),
    "cross_entropy_smooth": ([X], away, LABELS + node("cross_entropy", "x", "i", label_smoothing=0.2)),
    "cross_entropy_weights": ([X], away, LABELS + node("cross_entropy", "x", "i", class_weights=[1, 2, 0.5, 1, 3])),
    "cross_entropy_all": ([X], away, LABELS + node("cross_entropy", "x", "i", class_weights=[1, 2, 0.5, 1, 3], label_smoothing=0.1, ignore_index=2, reduction="none")),
    "cross_entropy_one_class": ([[3, 1]], away, [{"id": "i", "op": "constant", "values": [0, 0, 0], "shape": [3], "dtype": "i32"}] + node("cross_entropy", "x", "i")),
}


class Rules(CommandTest):
    def write_model(self, cases, dtype, in_train=False):
        """Each case's result y becomes Σ sin y + 0.3 y², whose gradient differs from element to element."""
        inputs, graph, sums = {}, [], []
        for case, (shapes, _, nodes) in cases.items():
            names = dict(zip("xyz", (f"{case}_{letter}" for letter in "xyz")))
            for letter, shape in zip("xyz", shapes):
                inputs[names[letter]] = {"dtype": dtype, "shape": shape}
            last = None
            for number, entry in enumerate(nodes):
                entry = json.loads(json.dumps(entry))
                names[entry.get("id", f"@{number}")] = names[f"@{number}"] = entry["id"] = f"{case}_{number}_"
                given = entry.get("in", [] if entry["op"] in ("constant", "parameter") else f"@{number - 1}")
                if "out" in entry:
                    for part in entry["out"]:
                        names[part] = f"{case}_{part[1:]}_"
                    entry["out"] = [names[part] for part in entry["out"]]
                if given:
                    entry["in"] = [names[name] for name in given] if isinstance(given, list) else names[given]
                if entry["op"] in ("constant", "parameter"):
                    entry.pop("in", None)
                graph.append(entry)
                last = entry["id"]
            graph += [{"id": f"{case}_sin", "op": "sin", "in": last}, {"id": f"{case}_square", "op": "mul", "in": [last, last]},
                      {"id": f"{case}_part", "op": "mul", "in": f"{case}_square", "value": 0.3},
                      {"id": f"{case}_both", "op": "add", "in": [f"{case}_sin", f"{case}_part"]}, {"id": f"{case}_sum", "op": "sum"}]
            sums.append(f"{case}_sum")
        loss = {"id": "total", "op": "add", "in": sums}
        probe = [{"id": "probe", "op": "neg", "in": next(iter(inputs))}]
        model = {"format": "1.0", "name": "rules", "inputs": inputs, "graph": probe if in_train else graph, "outputs": {"out": "probe" if in_train else sums[0]},
                 "train": {"nodes": graph + [loss] if in_train else [loss], "loss": "total"},
                 "entries": {"slope": {"mode": "grad", "gradients": ["*"]}}}
        if in_train:
            first = next(iter(inputs))
            model["train"]["inputs"] = {name: spec for name, spec in inputs.items() if name != first}
            model["inputs"] = {first: inputs[first]}
        (self.folder / "rules.json").write_text(json.dumps(model, indent=1))

    def draw_inputs(self, cases, seed):
        draw = random.Random(seed)
        return {f"{case}_{letter}": (shape, [how(draw) for _ in range(math.prod(shape))])
                for case, (shapes, how, _) in cases.items() for letter, shape in zip("xyz", shapes)}

    def slope(self, tensors, weights, dtype):
        write_safetensors(self.folder / "in.safetensors", {name: (dtype, shape, values) for name, (shape, values) in tensors.items()})
        write_safetensors(self.folder / "w.safetensors", {name: ("F32", shape, values) for name, (shape, values) in weights.items()})
        self.weft("grad", "rules.json", "--entry", "slope", "--weights", "w.safetensors", "--inputs", "in.safetensors", "--outputs", "g.safetensors")
        return {name: values for name, (_, values) in read_safetensors(self.folder / "g.safetensors").items()}

    def check(self, cases, dtype, step, bound, in_train=False):
        self.write_model(cases, dtype.lower(), in_train)
        inputs = self.draw_inputs(cases, SEED)
        self.weft("init", "rules.json", "--seed", "3", "--save", "w.safetensors")
        weights = read_safetensors(self.folder / "w.safetensors")
        gradients = self.slope(inputs, weights, dtype)
        tensors = {**inputs, **weights}
        self.assertEqual(set(gradients), {"loss"} | {"grad." + name for name in tensors})

        def error(names, seed):
            """|difference - slope| along a random direction of some tensors, over what it may be."""
            draw = random.Random(seed)
            # In f64 the step is below what an f32 parameter can follow: it stays.
            moves = {name: dtype == "F32" or name in inputs for name in tensors}
            direction = {name: [draw.gauss(0, 1) * moves[name] for _ in tensors[name][1]] for name in tensors}
            losses = []
            for sign in (1, -1):
                moved = {name: (shape, [v + sign * step * d for v, d in zip(values, direction[name])] if name in names else values)
                         for name, (shape, values) in tensors.items()}
                got = self.slope({n: v for n, v in moved.items() if n in inputs}, {n: v for n, v in moved.items() if n in weights}, dtype)
                losses.append(got["loss"][0])
            slope = sum(g * d for name in names for g, d in zip(gradients["grad." + name], direction[name]))
            return abs((losses[0] - losses[1]) / (2 * step) - slope) / (bound * max(1, abs(slope)))

        seed = 21
        if not error(list(tensors), seed) <= 1:
            wrong = [case for case in cases if not error([n for n in tensors if n.startswith(case + "_")], seed) <= 1]
            self.fail(f"gradients differ from central differences, seed {seed}: {', '.join(wrong) or 'no single case'}")

    def test_rules_in_f64(self):
        self.check(F64, "F64", 1e-6, 1e-6)

    def test_rules_of_products_and_parameters(self):
        self.check(F32, "F32", 5e-3, 2e-3)

    def test_losses(self):
        self.check(LOSSES, "F64", 1e-6, 1e-6, in_train=True)

    def test_subgradients(self):
        inf = math.inf
        table = {  # op and attributes, x, dy/dx
            "relu": (node("relu", "x"), [0.0, -0.0, 1], [0, 0, 1]),
            "abs": (node("abs", "x"), [0.0, -1, 1], [0, -1, 1]),
            "leaky_relu": (node("leaky_relu", "x", slope=0.1), [0.0], [0.1]),
            "elu": (node("elu", "x"), [0.0], [1]),
            "silu": (node("silu", "x"), [0.0], [0.5]),
            "clamp": (node("clamp", "x", min=-1, max=2), [-1, 2, -1.5, 2.5, 0], [1, 1, 0, 0, 1]),
            "sqrt": (node("sqrt", "x"), [0.0], [inf]),
            "pow_zero": (node("pow", "x", value=0), [0.0, 2], [0, 0]),
            "pow_one": (node("pow", "x", value=1), [0.0, -2], [1, 1]),
            "pow_two": (node("pow", "x", value=2), [0.0, -2], [0, -4]),
            "maximum": (node("maximum", "x", value=1), [1, 2, 0], [0.5, 1, 0]),
            "minimum": (node("minimum", "x", value=1), [1, 2, 0], [0.5, 0, 1]),
            "max": (node("max", "x"), [3, 1, 3, 3], [1 / 3, 0, 1 / 3, 1 / 3]),
            "min": (node("min", "x"), [1, 1, 3], [0.5, 0.5, 0]),
            "l2_normalize": (node("l2_normalize", "x", eps=0.5), [0.0, 0.0], [2, 2]),
            "equal": ([{"id": "e", "op": "equal", "in": ["x"], "value": 1}, {"op": "where", "in": ["e", "x"], "value_false": 0}], [1, 2], [1, 0]),
        }
        inputs = {f"at_{name}": {"dtype": "f64", "shape": [len(x)]} for name, (_, x, _) in table.items()}
        graph = [{"id": "w", "op": "parameter", "shape": [1]}, {"id": "wide", "op": "cast", "dtype": "f64"}, {"id": "w_sum", "op": "sum"}]
        for name, (nodes, _, _) in table.items():
            for number, entry in enumerate(nodes):
                graph.append({**entry, "id": f"at_{name}_{number}", "in": [f"at_{name}" if i == "x" else f"at_{name}_0" for i in entry["in"]]})
            graph.append({"id": f"at_{name}_sum", "op": "sum", "in": f"at_{name}_{len(nodes) - 1}"})
        model = {"format": "1.0", "name": "kinks", "inputs": inputs, "graph": graph, "outputs": {"out": "at_relu_sum"},
                 "train": {"nodes": [{"id": "total", "op": "add", "in": ["w_sum"] + [f"at_{name}_sum" for name in table]}], "loss": "total"},
                 "entries": {"slope": {"mode": "grad", "gradients": ["*"]}}}
        (self.folder / "rules.json").write_text(json.dumps(model))
        gradients = self.slope({f"at_{name}": ([len(x)], x) for name, (_, x, _) in table.items()}, {"w": ([1], [1.0])}, "F64")
        for name, (_, _, want) in table.items():
            found = gradients[f"grad.at_{name}"]
            for got, expected in zip(found, want):
                self.assertTrue(got == expected or abs(got - expected) < 1e-15, f"{name}: {found}, want {want}")


if __name__ == "__main__":
    unittest.main()
