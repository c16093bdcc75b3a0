#!/usr/bin/env python3
# Gradients of tables: rows that tokens read, tied to the logits.
import json
import random
import unittest

from weft_cli import CommandTest, read_safetensors, write_safetensors

# The table is read by tokens and, tied, by the logits; positions are picked by an input.
TIED = {
    "format": "1.0", "name": "tied", "dims": {"B": {"min": 1, "max": 8, "hint": 2}, "T": {"min": 1, "max": 16, "hint": 8}},
    "inputs": {"tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 29]}, "pick": {"dtype": "i32", "shape": ["B", 2, 1], "range": [0, 4]}},
    "graph": [
        {"id": "tok", "op": "embedding", "in": "tokens", "rows": 30, "features": 6, "padding_idx": 7},
        {"id": "picked", "op": "gather", "in": ["tok", "pick"], "axis": 1},
        {"id": "both", "op": "mean", "axis": 1, "keepdim": True},
        {"id": "h", "op": "add", "in": ["tok", "both"]},
        {"id": "n", "op": "rms_norm", "eps": 1e-5},
        {"id": "logits", "op": "linear", "features": 30, "bias": False, "param": {"weight": "tok.weight"}}],
    "outputs": {"logits": "logits"},
    "train": {"inputs": {"y": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 29]}},
              "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["logits", "y"]}], "loss": "loss"},
}


class Tables(CommandTest):
    """The table of TIED, held against central differences."""

    def grad(self, weights="w.safetensors", *words):
        self.weft("grad", "tied.json", "--weights", weights, "--inputs", "in.safetensors", "--outputs", "g.safetensors", *words)
        return {name: values for name, (_, values) in read_safetensors(self.folder / "g.safetensors").items()}

    def write_tied(self):
        (self.folder / "tied.json").write_text(json.dumps(TIED))
        draw = random.Random(6)
        tokens = [draw.choice([1, 2, 7, 8, 29]) for _ in range(10)]
        write_safetensors(self.folder / "in.safetensors", {"tokens": ("I32", [2, 5], tokens), "pick": ("I32", [2, 2, 1], [4, 4, 0, 2]),
                                                           "y": ("I32", [2, 5], [draw.randrange(30) for _ in range(10)])})
        self.weft("init", "tied.json", "--seed", "3", "--save", "w.safetensors")

    def loss_at(self, weights, name, direction, step):
        moved = {other: ("F32", shape, [v + step * d for v, d in zip(values, direction)] if other == name else values)
                 for other, (shape, values) in weights.items()}
        write_safetensors(self.folder / "moved.safetensors", moved)
        return self.grad("moved.safetensors")["loss"][0]

    def test_a_tied_table_has_the_gradients_of_its_rows_and_of_the_logits(self):
        self.write_tied()
        gradients = self.grad()["grad.tok.weight"]
        weights = read_safetensors(self.folder / "w.safetensors")
        draw = random.Random(7)
        for rows in ([1], [2], [29], [3], range(30)):
            # Row 7 is padding: tokens add nothing to its gradient, but move the loss.
            direction = [draw.gauss(0, 1) if i // 6 in rows and i // 6 != 7 else 0 for i in range(180)]
            step = 2e-3
            difference = (self.loss_at(weights, "tok.weight", direction, step) - self.loss_at(weights, "tok.weight", direction, -step)) / (2 * step)
            slope = sum(g * d for g, d in zip(gradients, direction))
            self.assertAlmostEqual(slope, difference, delta=2e-3 * max(1, abs(slope)), msg=rows)

    def test_threads_do_not_change_the_gradient_of_a_table(self):
        self.write_tied()
        self.assertEqual(len({tuple(self.grad("w.safetensors", "--threads", n)["grad.tok.weight"]) for n in ("1", "2", "4")}), 1)


if __name__ == "__main__":
    unittest.main()
