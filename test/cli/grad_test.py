#!/usr/bin/env python3
# `weft grad`: the loss and its gradients, held against central differences of the loss; and what it refuses.
# The model has a repeat: its gradients come from a backward loop.
import json
import random
import unittest

from weft_cli import CommandTest, read_safetensors, write_safetensors

MODEL = {
    "format": "1.0", "name": "mlp", "dims": {"B": {"min": 1, "max": 64, "hint": 8}},
    "inputs": {"x": {"dtype": "f32", "shape": ["B", 6]}},
    "graph": [
        {"id": "h0", "op": "linear", "in": "x", "features": 8, "activation": "gelu"},
        {"id": "h", "op": "repeat", "block": "layer", "count": 3, "index": "i", "in": {"h": "h0"}, "carry": "h", "scope": "layer.{i}"},
        {"id": "n", "op": "rms_norm", "eps": 1e-5},
        {"id": "logits", "op": "linear", "features": 5}],
    "blocks": {"layer": {"in": ["h"], "nodes": [
        {"id": "n", "op": "layer_norm", "in": "h"},
        {"id": "u", "op": "linear", "features": 7, "activation": "silu"},
        {"id": "d", "op": "linear", "features": 8},
        {"id": "s", "op": "add", "in": ["h", "d"]}], "out": "s"}},
    "outputs": {"logits": "logits"},
    "train": {"inputs": {"y": {"dtype": "i32", "shape": ["B"], "range": [-1, 4]}},
              "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["logits", "y"], "label_smoothing": 0.1, "ignore_index": -1}],
              "loss": "loss"},
}

# Two layers of grouped-query attention, one with a learned bias and a window, under a causal mask.
ATTENTION = {
    "format": "1.0", "name": "attention", "dims": {"B": {"min": 1, "max": 8, "hint": 2}, "T": {"min": 1, "max": 256, "hint": 70}},
    "inputs": {"x": {"dtype": "f32", "shape": ["B", "T", 12]}, "mask": {"dtype": "bool", "shape": ["B", "T"]}},
    "init": {"near": {"normal": {"mean": 0, "std": 0.5}}},
    "graph": [
        {"id": "q", "op": "linear", "in": "x", "features": 16},
        {"id": "k", "op": "linear", "in": "x", "features": 8},
        {"id": "v", "op": "linear", "in": "x", "features": 12},
        {"id": "near", "op": "parameter", "shape": [4, 1, 256]},
        {"id": "bias", "op": "slice", "in": "near", "axis": 2, "start": 0, "end": "T"},
        {"id": "a", "op": "attention", "in": {"q": "q", "k": "k", "v": "v", "key_mask": "mask", "bias": "bias"}, "heads": 4, "kv_heads": 2,
         "causal": True, "window": 40, "softcap": 4.0},
        {"id": "o", "op": "linear", "features": 12},
        {"id": "h", "op": "repeat", "block": "layer", "count": 2, "index": "i", "in": {"h": "o"}, "carry": "h", "scope": "layer.{i}"}],
    "blocks": {"layer": {"in": ["h"], "nodes": [
        {"id": "n", "op": "layer_norm", "in": "h"},
        {"id": "q", "op": "linear", "features": 12},
        {"id": "k", "op": "linear", "in": "n", "features": 12},
        {"id": "v", "op": "linear", "in": "n", "features": 12},
        {"id": "a", "op": "attention", "in": {"q": "q", "k": "k", "v": "v"}, "heads": 3, "dropout": 0.2},
        {"id": "s", "op": "add", "in": ["h", "a"]}], "out": "s"}},
    "outputs": {"y": "h"},
    "train": {"inputs": {"t": {"dtype": "f32", "shape": ["B", "T", 12]}},
              "nodes": [{"id": "loss", "op": "mse", "in": ["h", "t"]}], "loss": "loss"},
}


class GradTest(CommandTest):
    def write(self, model, inputs):
        (self.folder / "m.json").write_text(json.dumps(model))
        write_safetensors(self.folder / "in.safetensors", inputs)
        self.weft("init", "m.json", "--seed", "3", "--save", "w.safetensors")

    def grad(self, weights="w.safetensors", *words):
        self.weft("grad", "m.json", "--weights", weights, "--inputs", "in.safetensors", "--outputs", "g.safetensors", *words)
        return {name: values for name, (_, values) in read_safetensors(self.folder / "g.safetensors").items()}

    def loss_at(self, weights, name, direction, step):
        moved = {other: ("F32", shape, [v + step * d for v, d in zip(values, direction)] if other == name else values)
                 for other, (shape, values) in weights.items()}
        write_safetensors(self.folder / "moved.safetensors", moved)
        return self.grad("moved.safetensors")["loss"][0]

    def check_differences(self, names):
        gradients = self.grad()
        weights = read_safetensors(self.folder / "w.safetensors")
        self.assertEqual(set(gradients), {"loss"} | {"grad." + name for name in weights})
        draw = random.Random(7)
        for name in names:
            direction = [draw.gauss(0, 1) for _ in weights[name][1]]
            step = 2e-3
            difference = (self.loss_at(weights, name, direction, step) - self.loss_at(weights, name, direction, -step)) / (2 * step)
            slope = sum(g * d for g, d in zip(gradients["grad." + name], direction))
            self.assertAlmostEqual(slope, difference, delta=2e-4 + 1e-3 * abs(slope), msg=name)

    def check_threads(self):
        files = set()
        for threads in ("1", "2", "4"):
            self.grad("w.safetensors", "--threads", threads)
            files.add((self.folder / "g.safetensors").read_bytes())
        self.assertEqual(len(files), 1)


class Grad(GradTest):
    def write_model(self, **changes):
        draw = random.Random(5)
        self.write({**MODEL, **changes}, {"x": ("F32", [9, 6], [draw.gauss(0, 1) for _ in range(54)]),
                                          "y": ("I32", [9], [0, 1, 2, 3, 4, -1, 3, 2, 0])})

    def test_what_is_not_finite_is_warned_of_with_its_node(self):
        self.write(MODEL, {"x": ("F32", [2, 6], [float("nan")] + [1.0] * 11), "y": ("I32", [2], [0, 1])})
        _, err = self.weft("grad", "m.json", "--inputs", "in.safetensors", "--init", 1)
        self.assertIn("weft: warning: the loss is not finite; input 'x' is not finite: [0, 0] is nan\n", err)
        self.weft("init", "m.json", "--seed", 1, "--save", "w.safetensors")
        large = {"layer.1.u.bias": 10.0, "layer.1.d.weight": 3e38}
        weights = {name: ("F32", shape, [large.get(name, v) for v in values])
                   for name, (shape, values) in read_safetensors(self.folder / "w.safetensors").items()}
        write_safetensors(self.folder / "large.safetensors", weights)
        self.write(MODEL, {"x": ("F32", [2, 6], [float(i * i % 7) for i in range(12)]), "y": ("I32", [2], [0, 1])})
        _, err = self.weft("grad", "m.json", "--inputs", "in.safetensors", "--weights", "large.safetensors")
        self.assertRegex(err, r"weft: warning: the loss is not finite; the first value that is not finite is that of node 'h\[1\].d' \(m.json:1:\d+\): \[\d, \d\] is ")

    def test_outputs_are_written_whatever_becomes_of_the_explanation(self):
        # A model of standard input can't be read again.
        self.write_model(graph=[{"id": "before", "op": "linear", "in": "x", "features": 4}, {"id": "zero", "op": "mul", "value": 0}, {"id": "root", "op": "sqrt"},
                                {"id": "logits", "op": "linear", "features": 5}])
        _, err = self.weft("grad", "-", "--inputs", "in.safetensors", "--init", 1, "--outputs", "g.safetensors", stdin=(self.folder / "m.json").read_text())
        self.assertIn("weft: note: the search for where that begins ended early: ", err)
        self.assertIn("weft: warning: gradients are not finite; the backward pass comes to a gradient that is not finite at node 'before' (<stdin>:1:", err)
        self.assertIn("grad.before.weight", read_safetensors(self.folder / "g.safetensors"))

    def test_gradients_equal_central_differences(self):
        self.write_model()
        self.check_differences(("h0.weight", "layer.0.n.weight", "layer.0.u.weight", "layer.2.d.bias", "n.weight", "logits.bias"))

    def test_threads_do_not_change_gradients(self):
        self.write_model()
        self.check_threads()

    def test_an_entry_gives_the_gradients_that_it_names(self):
        self.write_model(entries={"slope": {"mode": "grad", "gradients": ["x", "layer.1.*"]}})
        gradients = self.grad("w.safetensors", "--entry", "slope")
        self.assertEqual(set(gradients), {"loss", "grad.x"} | {f"grad.layer.1.{p}" for p in ("n.weight", "n.bias", "u.weight", "u.bias", "d.weight", "d.bias")})

    def test_a_repeat_of_one_round_gives_gradients_of_the_parameters_shapes(self):
        self.write_model(graph=[{**node, "count": 1} if node["op"] == "repeat" else node for node in MODEL["graph"]])
        self.grad()
        shapes = {name: shape for name, (shape, _) in read_safetensors(self.folder / "g.safetensors").items()}
        self.assertEqual(shapes["grad.layer.0.u.weight"], [7, 8])
        self.assertEqual(shapes["grad.layer.0.u.bias"], [7])

    def test_a_layer_may_read_each_value_twice(self):
        squares = [{"id": "s0", "op": "mul", "in": ["h", "h"]}] + [{"id": f"s{i}", "op": "mul", "in": [f"s{i - 1}"] * 2} for i in range(1, 60)]
        model = {**MODEL, "inputs": {"x": {"dtype": "f32", "shape": [2]}},
                 "graph": [{"id": "w", "op": "parameter", "shape": [2]}, {"id": "wx", "op": "mul", "in": ["w", "x"]},
                           {"id": "h", "op": "repeat", "block": "layer", "count": 2, "in": {"h": "wx"}, "carry": "h"}],
                 "blocks": {"layer": {"in": ["h"], "nodes": squares, "out": "s59"}}, "outputs": {"h": "h"}}
        for recompute in ("none", "block", ["h.s3*"]):
            self.write({**model, "train": {"nodes": [{"id": "loss", "op": "sum", "in": "h"}], "loss": "loss", "recompute": recompute}}, {"x": ("F32", [2], [1.0, -1.0])})
            write_safetensors(self.folder / "w.safetensors", {"w": ("F32", [2], [1.0, 1.0])})
            self.assertEqual(self.grad(), {"loss": [2.0], "grad.w": [2.0 ** 120, 2.0 ** 120]})

    def test_what_has_no_rule_is_said_with_its_node_and_is_no_crash(self):
        self.write({"format": "1.0", "name": "learned", "inputs": {"x": {"dtype": "f32", "shape": [2, 4]}, "t": {"dtype": "i32", "shape": [2], "range": [0, 3]}},
                    "graph": [{"id": "q", "op": "linear", "in": "x", "features": 4}], "outputs": {"q": "q"},
                    "train": {"nodes": [{"id": "w", "op": "parameter", "shape": [4]}, {"id": "loss", "op": "cross_entropy", "in": ["q", "t", "w"]}], "loss": "loss"}},
                   {"x": ("F32", [2, 4], [0.5] * 8), "t": ("I32", [2], [0, 3])})
        _, err = self.weft("grad", "m.json", "--init", "1", "--inputs", "in.safetensors", "--outputs", "g.safetensors", code=5)
        self.assertIn("node 'loss': no gradient rule for the class weights of 'weft.cross_entropy', which the gradient of 'w' needs", err)
        self.assertNotIn("bug in weft", err)

    def test_a_label_out_of_range_is_named_by_its_input(self):
        model = json.loads(json.dumps(MODEL))
        del model["train"]["inputs"]["y"]["range"]
        self.write(model, {"x": ("F32", [2, 6], [0.5] * 12), "y": ("I32", [2], [0, 7])})
        _, err = self.weft("grad", "m.json", "--init", "1", "--inputs", "in.safetensors", code=1)
        self.assertIn("an index into the operand that input 'y' indexes is 7, expected 0..4", err)

    def test_a_model_without_a_loss(self):
        _, err = self.weft("grad", self.model(), "--init", "1", code=1)
        self.assertIn("expected a model with a 'train' section, which has the loss", err)


# Attention whose map is in the loss, alone (m) or with the result (my): attributes, and operands beside q, k, v.
MAPS = {
    "plain": ({"return_weights": "per_head"}, {}, "my"),
    "mean": ({"return_weights": "mean"}, {}, "my"),
    "map_alone": ({"return_weights": "per_head"}, {}, "m"),
    "mean_alone": ({"return_weights": "mean", "causal": True}, {}, "m"),
    "causal": ({"return_weights": "per_head", "causal": True}, {}, "my"),
    "window": ({"return_weights": "mean", "causal": True, "window": 2}, {}, "my"),
    "groups": ({"return_weights": "per_head", "kv_heads": 2}, {}, "my"),
    "groups_mean": ({"return_weights": "mean", "kv_heads": 1, "scale": 0.7}, {"mask": "mask"}, "my"),
    "softcap": ({"return_weights": "per_head", "softcap": 1.5}, {}, "my"),
    "softcap_mean": ({"return_weights": "mean", "softcap": 0.8, "causal": True}, {"bias": "near"}, "my"),
    "bias": ({"return_weights": "per_head"}, {"bias": "near"}, "my"),
    "bias_mean": ({"return_weights": "mean"}, {"bias": "near", "key_mask": "real"}, "m"),
    "masked": ({"return_weights": "per_head"}, {"key_mask": "real", "mask": "mask"}, "my"),
    "masked_mean": ({"return_weights": "mean"}, {"key_mask": "real", "mask": "mask", "bias": "near"}, "my"),
    "memory": ({"return_weights": "mean", "kv_heads": 2}, {}, "my"),
    "memory_softcap": ({"return_weights": "per_head", "softcap": 2, "causal": True}, {}, "my"),
}


class GradOfMaps(GradTest):
    def write_maps(self, cases, drop=0.0, **train):
        """Every case has its own projections, and its own part of the loss: Σ sin 3 m and Σ sin y."""
        graph, parts = [{"id": "near", "op": "parameter", "shape": [4, 5, 5]}], []
        for case, (attributes, operands, wanted) in cases.items():
            kv, source = attributes.get("kv_heads", 4), "z" if case.startswith("memory") else "x"
            graph += [{"id": f"{case}_q", "op": "linear", "in": "x", "features": 12}, {"id": f"{case}_k", "op": "linear", "in": source, "features": 3 * kv},
                      {"id": f"{case}_v", "op": "linear", "in": source, "features": 2 * kv},
                      {"id": case, "op": "attention", "in": {"q": f"{case}_q", "k": f"{case}_k", "v": f"{case}_v", **operands}, "heads": 4, "dropout": drop,
                       **attributes, "out": [f"{case}_y", f"{case}_m"]}]
            for letter in wanted:
                graph += [{"id": f"{case}_{letter}3", "op": "mul", "in": f"{case}_{letter}", "value": 3}, {"id": f"{case}_{letter}s", "op": "sin"},
                          {"id": f"{case}_{letter}l", "op": "sum"}]
                parts.append(f"{case}_{letter}l")
        draw = random.Random(6)
        inputs = {"x": ("F32", [2, 5, 6], [draw.gauss(0, 1) for _ in range(60)])}
        shapes = {"x": {"dtype": "f32", "shape": [2, 5, 6]}}
        named = json.dumps(graph)
        for name, dtype, shape, values in (("z", "F32", [2, 7, 6], [draw.gauss(0, 1) for _ in range(84)]),
                                           ("real", "BOOL", [2, 5], [1, 1, 0, 1, 1, 0, 0, 0, 0, 0]), ("mask", "BOOL", [5, 5], [draw.random() < 0.7 for _ in range(25)])):
            if f'"{name}"' in named:
                inputs[name] = (dtype, shape, values)
                shapes[name] = {"dtype": dtype.lower(), "shape": shape}
        self.write({"format": "1.0", "name": "maps", "inputs": shapes, "init": {"near": {"normal": {"std": 0.7}}, "*.weight": {"normal": {"std": 0.5}}},
                    "graph": graph, "outputs": {"out": parts[0]}, "train": {"nodes": [{"id": "loss", "op": "add", "in": parts}], "loss": "loss", **train}}, inputs)

    def test_gradients_through_maps_equal_those_of_the_reference(self):
        self.write_maps(MAPS)
        out, _ = self.weft("grad", "m.json", "--weights", "w.safetensors", "--inputs", "in.safetensors", "--check", "2", "--json")
        found = json.loads(out)["check"]
        self.assertEqual({tensor["name"]: tensor["result"] for tensor in found["tensors"] if tensor["result"] not in ("ok", "small")}, {})
        self.assertGreater(sum(tensor["result"] == "ok" for tensor in found["tensors"]), 4 * len(MAPS))
        self.check_threads()

    def test_dropout_is_the_same_in_both_directions(self):
        """A step of plain gradient descent shows the gradient; the loss beside it, of the same step and seed, its slope."""
        self.write_maps({case: MAPS[case] for case in ("plain", "mean", "groups", "softcap_mean")}, drop=0.3, optimizer={"kind": "sgd", "lr": 1})
        weights = read_safetensors(self.folder / "w.safetensors")

        def step(tensors):
            write_safetensors(self.folder / "moved.safetensors", {name: ("F32", shape, values) for name, (shape, values) in tensors.items()})
            self.weft("train", "m.json", "--batches", "in.safetensors", "--steps", "1", "--weights", "moved.safetensors", "--seed", "4", "--log", "l.jsonl", "--export",
                      "out.safetensors", "-q")
            return json.loads((self.folder / "l.jsonl").read_text().splitlines()[-1])

        there = step(weights)
        after = read_safetensors(self.folder / "out.safetensors")
        gradient = {name: [v - w for v, w in zip(values, after[name][1])] for name, (_, values) in weights.items()}

        def beside(length):
            return step({name: (shape, [v + length / there["grad_norm"] * g for v, g in zip(values, gradient[name])]) for name, (shape, values) in weights.items()})["loss"]

        self.assertAlmostEqual((beside(2e-3) - beside(-2e-3)) / 4e-3, there["grad_norm"], delta=2e-3 * there["grad_norm"])

    def test_dropout_is_that_of_the_first_step(self):
        self.write_maps({case: MAPS[case] for case in ("plain", "softcap_mean", "groups_mean")}, drop=0.3, optimizer={"kind": "sgd", "lr": 1})
        weights, gradients = read_safetensors(self.folder / "w.safetensors"), self.grad("w.safetensors", "--dropout")
        self.assertNotEqual(gradients["loss"], self.grad()["loss"])
        self.weft("train", "m.json", "--batches", "in.safetensors", "--steps", "1", "--weights", "w.safetensors", "--log", "l.jsonl", "--export", "out.safetensors", "-q")
        self.assertAlmostEqual(json.loads((self.folder / "l.jsonl").read_text())["loss"], gradients["loss"][0], delta=1e-5 * abs(gradients["loss"][0]))
        for name, (_, after) in read_safetensors(self.folder / "out.safetensors").items():
            for before, now, gradient in zip(weights[name][1], after, gradients["grad." + name]):
                self.assertAlmostEqual(before - now, gradient, delta=1e-5, msg=name)

    def test_layers_that_repeat_keep_their_maps(self):
        block = {"in": ["h", "sum"], "nodes": [{"id": "n", "op": "layer_norm", "in": "h"}, {"id": "k", "op": "linear", "features": 6},
                                               {"id": "a", "op": "attention", "in": ["n", "k", "k"], "heads": 2, "return_weights": "per_head", "out": ["y", "m"]},
                                               {"id": "s", "op": "add", "in": ["h", "y"]}, {"id": "square", "op": "mul", "in": ["m", "m"]}, {"id": "more", "op": "sum"},
                                               {"id": "total", "op": "add", "in": ["sum", "more"]}], "out": ["s", "total"]}
        draw = random.Random(8)
        for train in ({}, {"recompute": "block"}):
            self.write({"format": "1.0", "name": "deep", "inputs": {"x": {"dtype": "f32", "shape": [2, 5, 6]}}, "blocks": {"layer": block},
                        "graph": [{"id": "zero", "op": "constant", "value": 0.0},
                                  {"id": "h", "op": "repeat", "block": "layer", "count": 3, "index": "i", "in": {"h": "x", "sum": "zero"}, "carry": ["h", "sum"], "scope": "layer.{i}",
                                   "out": ["y", "sum"]}], "outputs": {"y": "y"},
                        "train": {"nodes": [{"id": "far", "op": "mean", "in": "y"}, {"id": "loss", "op": "add", "in": ["far", "sum"]}], "loss": "loss", **train}},
                       {"x": ("F32", [2, 5, 6], [draw.gauss(0, 1) for _ in range(60)])})
            self.check_differences(("layer.0.k.weight", "layer.2.k.bias", "layer.1.n.weight"))


class GradOfOneKey(GradTest):
    def test_the_softmax_of_one_score_has_no_gradient(self):
        """Exactly none: an optimizer that divides by the size of gradients would step by what rounding leaves."""
        draw = random.Random(2)
        self.write({"format": "1.0", "name": "one", "dims": {"B": {"min": 1, "max": 64, "hint": 8}}, "inputs": {"x": {"dtype": "f32", "shape": ["B", 1, 24]}},
                    "graph": [{"id": "a", "op": "mha", "in": "x", "heads": 3}], "outputs": {"a": "a"},
                    "train": {"nodes": [{"id": "square", "op": "mul", "in": ["a", "a"]}, {"id": "loss", "op": "sum"}], "loss": "loss"}},
                   {"x": ("F32", [37, 1, 24], [draw.gauss(0, 1) for _ in range(37 * 24)])})
        gradient = self.grad()["grad.a.in_proj_weight"]
        self.assertEqual(set(gradient[:2 * 24 * 24]), {0.0})
        self.assertGreater(max(map(abs, gradient[2 * 24 * 24:])), 1e-2)


class GradOfAttention(GradTest):
    def setUp(self):
        super().setUp()
        draw = random.Random(9)
        numbers = lambda: ("F32", [2, 70, 12], [draw.gauss(0, 1) for _ in range(2 * 70 * 12)])
        self.write(ATTENTION, {"x": numbers(), "t": numbers(), "mask": ("BOOL", [2, 70], [int(i < 100) for i in range(140)])})

    def test_gradients_equal_central_differences(self):
        self.check_differences(("q.weight", "near", "layer.0.k.weight"))

    def test_threads_do_not_change_gradients(self):
        self.check_threads()


if __name__ == "__main__":
    unittest.main()
