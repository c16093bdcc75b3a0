#!/usr/bin/env python3
# Whole models train as in PyTorch: gradients, eight training steps and the parameters after them, against results in f64.
# The goldens lie in the folder of shared data (WEFT_SHARED, or `shared` beside the checkout); without it there is nothing to compare.
import json
import os
import pathlib
import unittest

from weft_cli import MODELS, CommandTest, read_safetensors

SHARED = pathlib.Path(os.environ.get("WEFT_SHARED", MODELS.parent.parent / "shared"))
GOLDENS = SHARED / "data" / "goldens"
BOUND = 1e-5


def folders():
    for file in sorted(GOLDENS.glob("*/golden.json")):
        golden = json.loads(file.read_text())
        if "train" in golden:
            yield file.parent, golden


@unittest.skipUnless(GOLDENS.is_dir(), f"no goldens in {GOLDENS}")
class TrainingGoldens(CommandTest):
    def words(self, golden):
        sets = [word for key, value in golden.get("set", {}).items() for word in ("--set", f"{key}={json.dumps(value)}")]
        return [SHARED / "design" / "format" / golden["model"], *sets]

    def test_gradients_are_those_of_pytorch(self):
        for folder, golden in folders():
            with self.subTest(model=folder.name):
                expected = read_safetensors(folder / "expected_grads.safetensors")
                self.weft("grad", *self.words(golden), "--weights", folder / "weights.safetensors", "--inputs", folder / golden["train"]["batches"][0],
                          "--outputs", "grads.safetensors")
                got = read_safetensors(self.folder / "grads.safetensors")
                scale = max(abs(x) for name, (_, values) in expected.items() if name != "loss" for x in values)
                for name, (shape, values) in expected.items():
                    self.assertEqual(got[name][0], shape, name)
                    bound = BOUND * (abs(values[0]) if name == "loss" else scale)
                    worst = max((abs(x - y) for x, y in zip(got[name][1], values)), default=0)
                    self.assertLessEqual(worst, bound, f"{folder.name}: {name}")

    def test_eight_steps_are_those_of_pytorch(self):
        for folder, golden in folders():
            with self.subTest(model=folder.name):
                train = golden["train"]
                batches = [word for file in train["batches"] for word in ("--batches", folder / file)]
                self.weft("train", *self.words(golden), "--weights", folder / "weights.safetensors", *batches, "--steps", train["steps"],
                          "--log", "log.jsonl", "--export", "after.safetensors")
                log = [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]
                steps = [json.loads(line) for line in (folder / "expected_train.jsonl").read_text().splitlines()]
                self.assertEqual(len(log), len(steps))
                for got, expected in zip(log, steps):
                    for key in ("loss", "grad_norm", "lr"):
                        self.assertLessEqual(abs(got[key] - expected[key]), BOUND * abs(expected[key]), f"{folder.name}: step {expected['step']}: {key}")
                after = read_safetensors(self.folder / "after.safetensors")
                for name, (shape, values) in read_safetensors(folder / "expected_weights_after.safetensors").items():
                    self.assertEqual(after[name][0], shape, name)
                    fragile = train.get("fragile", {}).get(name, [])
                    worst = max((abs(x - y) for i, (x, y) in enumerate(zip(after[name][1], values)) if not any(a <= i < b for a, b in fragile)), default=0)
                    self.assertLessEqual(worst, BOUND, f"{folder.name}: {name}")


if __name__ == "__main__":
    unittest.main()
