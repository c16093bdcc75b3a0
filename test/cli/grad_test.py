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


class Grad(CommandTest):
    def write_model(self, **changes):
        (self.folder / "mlp.json").write_text(json.dumps({**MODEL, **changes}))
        draw = random.Random(5)
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [9, 6], [draw.gauss(0, 1) for _ in range(54)]),
                                                           "y": ("I32", [9], [0, 1, 2, 3, 4, -1, 3, 2, 0])})
        self.weft("init", "mlp.json", "--seed", "3", "--save", "w.safetensors")

    def grad(self, weights="w.safetensors", *words):
        self.weft("grad", "mlp.json", "--weights", weights, "--inputs", "in.safetensors", "--outputs", "g.safetensors", *words)
        return {name: values for name, (_, values) in read_safetensors(self.folder / "g.safetensors").items()}

    def loss_at(self, weights, name, direction, step):
        moved = {other: ("F32", shape, [v + step * d for v, d in zip(values, direction)] if other == name else values)
                 for other, (shape, values) in weights.items()}
        write_safetensors(self.folder / "moved.safetensors", moved)
        return self.grad("moved.safetensors")["loss"][0]

    def test_gradients_equal_central_differences(self):
        self.write_model()
        gradients = self.grad()
        weights = read_safetensors(self.folder / "w.safetensors")
        self.assertEqual(set(gradients), {"loss"} | {"grad." + name for name in weights})
        draw = random.Random(7)
        for name in ("h0.weight", "layer.0.n.weight", "layer.0.u.weight", "layer.2.d.bias", "n.weight", "logits.bias"):
            direction = [draw.gauss(0, 1) for _ in weights[name][1]]
            step = 2e-3
            difference = (self.loss_at(weights, name, direction, step) - self.loss_at(weights, name, direction, -step)) / (2 * step)
            slope = sum(g * d for g, d in zip(gradients["grad." + name], direction))
            self.assertAlmostEqual(slope, difference, delta=2e-3 * max(1, abs(slope)), msg=name)

    def test_threads_do_not_change_gradients(self):
        self.write_model()
        files = set()
        for threads in ("1", "2", "4"):
            self.grad("w.safetensors", "--threads", threads)
            files.add((self.folder / "g.safetensors").read_bytes())
        self.assertEqual(len(files), 1)

    def test_an_entry_gives_the_gradients_that_it_names(self):
        self.write_model(entries={"slope": {"mode": "grad", "gradients": ["x", "layer.1.*"]}})
        gradients = self.grad("w.safetensors", "--entry", "slope")
        self.assertEqual(set(gradients), {"loss", "grad.x"} | {f"grad.layer.1.{p}" for p in ("n.weight", "n.bias", "u.weight", "u.bias", "d.weight", "d.bias")})

    def test_a_model_without_a_loss(self):
        _, err = self.weft("grad", self.model(), "--init", "1", code=1)
        self.assertIn("expected a model with a 'train' section, which has the loss", err)


if __name__ == "__main__":
    unittest.main()
