#!/usr/bin/env python3
# `precision`: half-precision weights take half the memory of a model and little of its accuracy; what no kernel computes
# is refused with the node's place.
import copy
import json
import random
import struct
import unittest

from weft_cli import SMALL, CommandTest, read_safetensors, write_safetensors


class Precision(CommandTest):
    def model_with(self, name, precision, dtype="f32"):
        model = copy.deepcopy(SMALL)
        model["inputs"]["x"]["dtype"] = dtype
        model["precision"] = precision
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(model, indent=1))
        return str(path)

    def test_products_of_f64_are_refused_with_the_node(self):
        _, err = self.weft("compile", self.model_with("wide", {"params": "f64"}, "f64"), "-o", "wide", code=5)
        self.assertIn("products of f64 values are not supported on this target; use f32", err)
        self.assertRegex(err, r"wide\.json:\d+:\d+: error: node '")
        self.assertFalse((self.folder / "wide.o").exists())

    def test_half_precision_weights_give_nearly_the_same_result(self):
        results = {}
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [1, 3], [1.0, 2.0, 3.0])})
        for params in ("f32", "bf16", "f16"):
            self.weft("run", self.model_with(params, {"params": params}), "--inputs", "in.safetensors", "--init", "3", "--outputs", "out.safetensors")
            results[params] = read_safetensors(self.folder / "out.safetensors")["y"][1]
        for params in ("bf16", "f16"):
            self.assertNotEqual(results[params], results["f32"])
            for got, expected in zip(results[params], results["f32"]):
                self.assertAlmostEqual(got, expected, delta=0.02 * max(map(abs, results["f32"])) + 1e-3)

    def test_training_reads_weights_in_half_precision_and_keeps_them_in_f32(self):
        """Losses within 2e-2 of those in f32; after training, weights are not rounded."""
        draw = random.Random(1)
        write_safetensors(self.folder / "batch.safetensors", {"x": ("F32", [8, 3], [draw.gauss(0, 1) for _ in range(24)]), "t": ("F32", [8, 2], [draw.gauss(0, 1) for _ in range(16)])})
        losses, weights = {}, {}
        for compute in ("f32", "bf16", "f16"):
            model = copy.deepcopy(SMALL)
            model["graph"], model["outputs"] = model["graph"][:2], {"y": "y"}
            del model["inputs"]["ids"], model["entries"]
            model["precision"] = {"compute": compute}
            model["train"] = {"inputs": {"t": {"dtype": "f32", "shape": ["B", 2]}}, "nodes": [{"id": "loss", "op": "mse", "in": ["y", "t"]}], "loss": "loss",
                              "optimizer": {"kind": "adam", "lr": 0.01}, **({"loss_scale": "dynamic"} if compute == "f16" else {})}
            (self.folder / f"{compute}.json").write_text(json.dumps(model, indent=1))
            self.weft("train", f"{compute}.json", "--batches", "batch.safetensors", "--steps", "30", "--seed", "4", "--log", f"{compute}.jsonl", "--export", "w.safetensors")
            losses[compute] = [json.loads(line)["loss"] for line in (self.folder / f"{compute}.jsonl").read_text().splitlines()]
            weights[compute] = read_safetensors(self.folder / "w.safetensors")["up.weight"][1]
        self.assertLess(losses["f32"][-1], 0.9 * losses["f32"][0])
        for compute in ("bf16", "f16"):
            self.assertNotEqual(losses[compute], losses["f32"])
            for got, expected in zip(losses[compute], losses["f32"]):
                self.assertAlmostEqual(got, expected, delta=2e-2 * expected)
            self.assertTrue(any(struct.pack("<f", w)[:1] != b"\0" for w in weights[compute]))


if __name__ == "__main__":
    unittest.main()
