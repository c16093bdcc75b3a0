#!/usr/bin/env python3
# Gradients of tables: rows that tokens read, tied to the logits; and the logits of a language model, which are never whole.
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


def language_model(whole=False, classes=40000, **loss):
    """A tied language model. With `whole`, its logits are read by a sum (times 0), too, so that they exist at once."""
    nodes = [{"id": "loss", "op": "cross_entropy", "in": ["logits", "y"], **loss}]
    if whole:
        nodes += [{"id": "all", "op": "sum", "in": "logits"}, {"id": "none", "op": "mul", "value": 0}, {"id": "total", "op": "add", "in": ["loss", "none"]}]
    return {
        "format": "1.0", "name": "lm", "dims": {"B": {"min": 1, "max": 64}, "T": {"min": 1, "max": 256}},
        "inputs": {"tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, classes - 1]}},
        "graph": [
            {"id": "tok", "op": "embedding", "in": "tokens", "rows": classes, "features": 5},
            {"id": "up", "op": "linear", "features": 6, "activation": "gelu"},
            {"id": "h", "op": "linear", "features": 5},
            {"id": "logits", "op": "linear", "features": classes, "param": {"weight": "tok.weight", "bias": "bias"}}],
        "outputs": {"logits": "logits"},
        "train": {"inputs": {"y": {"dtype": "i32", "shape": ["B", "T"], "range": [-1, classes - 1]}}, "nodes": nodes, "loss": nodes[-1]["id"]},
        "entries": {"slope": {"mode": "grad"}},
    }


class Chunks(CommandTest):
    """Logits, loss and gradients chunk by chunk, held against the same model with all logits at once."""

    def gradients(self, shape, *words, ignored=0, classes=40000, **changes):
        (self.folder / "lm.json").write_text(json.dumps(language_model(classes=classes, **changes)))
        draw = random.Random(8)
        count = shape[0] * shape[1]
        labels = [-1] * ignored + [draw.randrange(classes) for _ in range(count - ignored)]
        write_safetensors(self.folder / "in.safetensors", {"tokens": ("I32", shape, [draw.choice([3, 9, draw.randrange(classes)]) for _ in range(count)]),
                                                           "y": ("I32", shape, labels)})
        if not (self.folder / "w.safetensors").exists():
            self.weft("init", "lm.json", "--seed", "3", "--save", "w.safetensors")
        self.weft("grad", "lm.json", "--entry", "slope", "--weights", "w.safetensors", "--inputs", "in.safetensors", "--outputs", "g.safetensors", *words)
        return {name: values for name, (_, values) in read_safetensors(self.folder / "g.safetensors").items()}

    def compare(self, shape, **changes):
        got, want = self.gradients(shape, **changes), self.gradients(shape, whole=True, **changes)
        self.assertEqual(set(got), set(want))
        for name in want:
            scale = max(abs(v) for v in want[name])
            self.assertLessEqual(max(abs(g - w) for g, w in zip(got[name], want[name])), 2e-5 * scale, f"{name} {shape} {changes}")

    def test_chunks_give_the_gradients_of_all_rows_at_once(self):
        self.compare([3, 100])  # two chunks of 128 rows and one of 44

    def test_rows_that_do_not_fill_a_chunk(self):
        self.compare([1, 1])
        self.compare([1, 128], reduction="sum", label_smoothing=0.1)

    def test_ignored_rows_do_not_count(self):
        self.compare([2, 70], ignored=139, ignore_index=-1)
        self.assertEqual(set(self.gradients([2, 70], ignored=140, ignore_index=-1)["grad.bias"]), {0})

    def test_class_weights(self):
        self.compare([50, 200], classes=600, class_weights=[0.5 + i % 7 for i in range(600)], label_smoothing=0.2)

    def test_threads_do_not_change_gradients(self):
        self.assertEqual(len({tuple(self.gradients([2, 100], "--threads", n)["grad.tok.weight"]) for n in ("1", "2", "4")}), 1)

    def test_memory_does_not_grow_with_the_logits_of_all_rows(self):
        arenas = {}
        for whole in (False, True):
            (self.folder / "lm.json").write_text(json.dumps(language_model(whole)))
            out, _ = self.weft("compile", "lm.json", "--entry", "slope", "--json")
            arenas[whole] = json.loads(out)["entries"][0]["arena_bytes"]
        logits = 64 * 256 * 40000 * 4
        self.assertLess(arenas[False], logits / 20)
        self.assertGreater(arenas[True], logits)


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
