#!/usr/bin/env python3
# `precision`: half-precision weights take half the memory of a model and little of its accuracy; what no kernel computes
# is refused with the node's place.
import copy
import json
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


if __name__ == "__main__":
    unittest.main()
