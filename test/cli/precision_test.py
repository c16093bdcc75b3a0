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

    def sum_of_64(self, weight, **keys):
        """[1, 64] of ones times a matrix of one number, by the operands x and w."""
        nodes = [{"id": "w", "op": "parameter", "shape": [64, 33]}]
        nodes += [{"id": f"{name}h", "op": "cast", "in": name, "dtype": keys["cast"]} for name in ("x", "w") if "cast" in keys]
        nodes.append({"id": "y", "op": "matmul", "in": ["xh", "wh"] if "cast" in keys else ["x", "w"]})
        model = {"format": "1.0", "name": "m", "inputs": {"x": {"dtype": "f32", "shape": [1, 64]}}, "graph": nodes, "outputs": {"y": "y"},
                 "train": {"nodes": [{"id": "f", "op": "cast", "in": "y", "dtype": "f32"}, {"id": "loss", "op": "mean", "in": "f"}], "loss": "loss"}}
        if "precision" in keys:
            model["precision"] = keys["precision"]
        (self.folder / "m.json").write_text(json.dumps(model))
        write_safetensors(self.folder / "w.safetensors", {"w": ("F32", [64, 33], [weight] * 64 * 33)})
        write_safetensors(self.folder / "x.safetensors", {"x": ("F32", [1, 64], [1.0] * 64)})
        files = ("--weights", "w.safetensors", "--inputs", "x.safetensors", "--outputs", "out.safetensors")
        self.weft("grad", "m.json", *files)
        return read_safetensors(self.folder / "out.safetensors")["loss"][1][0]

    def test_a_parameter_that_the_model_casts_is_rounded(self):
        for dtype, least in (("bf16", 2**-8), ("f16", 2**-11)):
            self.assertEqual(self.sum_of_64(1 + least / 2, cast=dtype), 64)

    def test_products_that_are_spared_read_parameters_as_they_are(self):
        self.assertEqual(self.sum_of_64(1 + 2**-10, precision={"compute": "bf16"}), 64)
        self.assertEqual(self.sum_of_64(1 + 2**-10, precision={"compute": "bf16", "keep_f32": ["matmul"]}), 64 + 2**-4)


if __name__ == "__main__":
    unittest.main()
