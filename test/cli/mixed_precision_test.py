#!/usr/bin/env python3
# Training in bf16 and f16: losses stay near those of f32 and of PyTorch, activations take less memory, results do not depend
# on threads, f16 scales the loss, skips what overflows, and goes on bitwise from a checkpoint.
import copy
import json
import random
import re
import struct
import unittest

from train_test import MODEL, points
from training_goldens_test import GOLDENS, SHARED, folders
from weft_cli import SMALL, CommandTest, read_safetensors, write_safetensors

BOUND = 2e-2
# Layers in a repeat, attention with q, k, v in one product and dropout, a head with enough classes to be cut into chunks.
TRANSFORMER = {
    "format": "1.0", "name": "layers", "config": {"d": 64, "classes": 600},
    "dims": {"B": {"min": 1, "max": 16, "hint": 8}, "T": {"min": 1, "max": 64, "hint": 33}},
    "inputs": {"ids": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 599]}},
    "blocks": {"layer": {"in": ["h"], "nodes": [
        {"id": "n1", "op": "layer_norm", "in": "h"},
        {"id": "a", "op": "mha", "heads": 4, "causal": True, "dropout": 0.1},
        {"id": "h1", "op": "add", "in": ["h", "a"]},
        {"id": "n2", "op": "layer_norm", "in": "h1"},
        {"id": "u", "op": "linear", "features": "4 * d", "activation": "gelu"},
        {"id": "dn", "op": "linear", "features": "d"},
        {"id": "h2", "op": "add", "in": ["h1", "dn"]}], "out": "h2"}},
    "graph": [{"id": "e", "op": "embedding", "in": "ids", "rows": "classes", "features": "d"},
              {"id": "enc", "op": "repeat", "block": "layer", "count": 3, "index": "i", "in": {"h": "e"}, "carry": "h", "scope": "layer.{i}"},
              {"id": "n", "op": "layer_norm", "in": "enc"},
              {"id": "logits", "op": "linear", "features": "classes", "bias": False, "param": {"weight": "e.weight"}}],
    "outputs": {"logits": "logits"}, "init": {"e.weight": {"normal": {"std": 0.1}}},
    "train": {"inputs": {"y": {"dtype": "i32", "shape": ["B", "T"]}},
              "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["logits", "y"]}], "loss": "loss",
              "optimizer": {"kind": "adamw", "lr": 0.002}, "clip_grad_norm": 1.0}}


class MixedPrecision(CommandTest):
    def write(self, name, model, compute, scales=False, **precision):
        model = copy.deepcopy(model)
        model["precision"] = {"compute": compute, **precision}
        if scales:
            model["train"]["loss_scale"] = "dynamic"
        (self.folder / name).write_text(json.dumps(model, indent=1))
        return name

    def batch(self, count=8, length=33, seed=3):
        draw = random.Random(seed)
        ids = [draw.randrange(600) for _ in range(count * length)]
        write_safetensors(self.folder / "b.safetensors", {"ids": ("I32", [count, length], ids), "y": ("I32", [count, length], [(i * 7 + 1) % 600 for i in ids])})
        return "b.safetensors"

    def log(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def losses(self, *words):
        self.weft("train", *words, "--log", "log.jsonl", "-q")
        return [line["loss"] for line in self.log("log.jsonl")]

    def near(self, got, expected, what):
        self.assertEqual(len(got), len(expected), what)
        for step, (x, y) in enumerate(zip(got, expected)):
            self.assertLessEqual(abs(x - y), BOUND * abs(y), f"{what}: step {step}: {x} is not near {y}")

    @unittest.skipUnless(GOLDENS.is_dir(), f"no goldens in {GOLDENS}")
    def test_eight_steps_are_near_those_of_pytorch(self):
        for folder, golden in folders():
            for compute in ("bf16", "f16"):
                with self.subTest(model=folder.name, compute=compute):
                    text = (SHARED / "design" / "format" / golden["model"]).read_text()
                    (self.folder / "m.json").write_text(text.replace("{", '{ "precision": {"compute": "%s"},' % compute, 1))
                    sets = [word for key, value in golden.get("set", {}).items() for word in ("--set", f"{key}={json.dumps(value)}")]
                    batches = [word for file in golden["train"]["batches"] for word in ("--batches", folder / file)]
                    got = self.losses("m.json", *sets, "--weights", folder / "weights.safetensors", *batches, "--steps", golden["train"]["steps"])
                    expected = [json.loads(line)["loss"] for line in (folder / "expected_train.jsonl").read_text().splitlines()]
                    self.assertNotEqual(got, expected)
                    self.near(got, expected, f"{folder.name} in {compute}")

    def test_losses_stay_near_those_of_f32(self):
        batch, losses = self.batch(), {}
        for compute in ("f32", "bf16", "f16"):
            losses[compute] = self.losses(self.write("m.json", TRANSFORMER, compute, scales=compute == "f16"), "--batches", batch, "--steps", 25, "--seed", 2)
        self.assertLess(losses["f32"][-1], 0.7 * losses["f32"][0])
        for compute in ("bf16", "f16"):
            self.assertNotEqual(losses[compute], losses["f32"])
            # Dropout draws by the attempt, and f16 may have left some out before its first update.
            self.near(losses[compute], losses["f32"], compute)

    def test_parameters_are_not_rounded(self):
        for compute in ("bf16", "f16"):
            self.losses(self.write("m.json", TRANSFORMER, compute), "--batches", self.batch(), "--steps", 3, "--export", "w.safetensors")
            weight = read_safetensors(self.folder / "w.safetensors")["layer.0.u.weight"][1]
            self.assertGreater(sum(struct.pack("<f", w)[:2] != b"\0\0" for w in weight), 0.9 * len(weight))

    def test_activations_take_less_memory(self):
        taken, model = {}, copy.deepcopy(TRANSFORMER)
        model["graph"][1]["count"] = 8
        for compute in ("f32", "bf16"):
            _, err = self.weft("train", self.write("m.json", model, compute), "--batches", self.batch(), "--steps", 1)
            amount, unit = re.search(r"activations ([\d.,]+) (\w+)", err).groups()
            taken[compute] = float(amount.replace(",", "")) * {"bytes": 1, "kB": 1e3, "KiB": 1024, "MB": 1e6, "MiB": 1 << 20}[unit]
        self.assertLess(taken["bf16"], 0.7 * taken["f32"])

    def test_spared_ops_change_nothing(self):
        kept = ["linear", "mha"]
        batch = self.batch()
        losses = [self.losses(self.write("m.json", TRANSFORMER, "bf16", keep_f32=keep), "--batches", batch, "--steps", 2) for keep in (kept, ["softmax"])]
        losses.append(self.losses(self.write("m.json", TRANSFORMER, "f32"), "--batches", batch, "--steps", 2))
        self.assertEqual(losses[0], losses[2])
        self.assertNotEqual(losses[1], losses[2])

    def test_threads_change_no_bit(self):
        for compute in ("bf16", "f16"):
            weights = set()
            for threads in (1, 2, 4):
                self.losses(self.write("m.json", TRANSFORMER, compute, scales=compute == "f16"), "--batches", self.batch(), "--steps", 3, "--threads", threads, "--export", "w.safetensors")
                weights.add((self.folder / "w.safetensors").read_bytes())
            self.assertEqual(len(weights), 1, compute)

    def test_gradients_of_half_precision_are_near_the_reference(self):
        model = copy.deepcopy(TRANSFORMER)
        model["config"] = {"d": 16, "classes": 9}
        model["inputs"]["ids"]["range"] = [0, 8]
        model["entries"] = {"g": {"mode": "grad", "gradients": ["*"]}}
        draw = random.Random(5)
        write_safetensors(self.folder / "i.safetensors", {name: ("I32", [2, 5], [draw.randrange(9) for _ in range(10)]) for name in ("ids", "y")})
        for compute in ("bf16", "f16"):
            out, _ = self.weft("grad", self.write("m.json", model, compute), "--entry", "g", "--init", 1, "--inputs", "i.safetensors", "--check", 1)
            self.assertNotIn("WRONG", out)

    # ---- Loss scaling ----

    def overflowing(self):
        """A sum of squares far from its target: gradients of about 20, which 65536 takes beyond f16."""
        model = copy.deepcopy(SMALL)
        model["graph"], model["outputs"] = model["graph"][:2], {"y": "y"}
        del model["inputs"]["ids"], model["entries"]
        model["train"] = {"inputs": {"t": {"dtype": "f32", "shape": ["B", 2]}}, "nodes": [{"id": "loss", "op": "mse", "in": ["y", "t"], "reduction": "sum"}], "loss": "loss",
                          "optimizer": {"kind": "adam", "lr": 0.01}}
        draw = random.Random(1)
        write_safetensors(self.folder / "far.safetensors", {"x": ("F32", [8, 3], [draw.gauss(0, 1) for _ in range(24)]), "t": ("F32", [8, 2], [10 + draw.gauss(0, 1) for _ in range(16)])})
        return model

    def test_an_overflow_is_skipped_and_halves_the_scale(self):
        model = self.overflowing()
        losses = {}
        for compute in ("f32", "f16"):
            losses[compute] = self.losses(self.write("m.json", model, compute, scales=compute == "f16"), "--batches", "far.safetensors", "--steps", 40)
        lines = self.log("log.jsonl")
        skipped = lines[0]["skipped"]
        self.assertIn(skipped, range(3, 8))
        self.assertEqual(lines[0]["loss_scale"], 65536 / 2 ** skipped)
        self.assertEqual(lines[-1]["skipped"], skipped)
        self.near(losses["f16"], losses["f32"][:40 - skipped], "f16")
        _, err = self.weft("train", "m.json", "--batches", "far.safetensors", "--steps", 20)
        self.assertIn(f"scale {65536 >> skipped:,}  skipped {skipped}", err)

    def test_norms_and_clipping_see_the_unscaled_gradient(self):
        model = self.overflowing()
        model["train"]["clip_grad_norm"] = 1.0
        norms = {}
        for compute in ("f32", "f16"):
            self.losses(self.write("m.json", model, compute, scales=compute == "f16"), "--batches", "far.safetensors", "--steps", 10)
            norms[compute] = [line["grad_norm"] for line in self.log("log.jsonl")]
        self.near(norms["f16"], norms["f32"][:len(norms["f16"])], "norm")
        self.assertGreater(len(norms["f16"]), 2)

    def test_two_thousand_good_updates_double_the_scale(self):
        self.losses(self.write("m.json", MODEL, "f16", scales=True), "--data", self.points(), "--steps", 2003)
        scales = [line["loss_scale"] for line in self.log("log.jsonl")]
        self.assertEqual(scales[1998:2001], [65536, 131072, 131072])

    def points(self):
        write_safetensors(self.folder / "d.safetensors", points(200, 1))
        return "d.safetensors"

    def test_a_checkpoint_continues_f16_bitwise(self):
        model, data = self.write("m.json", self.overflowing(), "f16", scales=True), "far.safetensors"
        self.losses(model, "--batches", data, "--steps", 30, "--save", "whole")
        whole = self.log("log.jsonl")
        self.losses(model, "--batches", data, "--steps", 11, "--save", "parts")
        self.losses(model, "--batches", data, "--steps", 30, "--resume", "parts")
        newest = [max((self.folder / name).glob("step-*")) for name in ("whole", "parts")]
        self.assertEqual(newest[0].name, newest[1].name)
        for name in ("model.safetensors", "trainer.safetensors"):
            self.assertEqual(*((folder / name).read_bytes() for folder in newest), name)
        parts = self.log("log.jsonl")
        self.assertGreater(len(parts), 10)
        for key in ("loss", "grad_norm", "loss_scale", "skipped"):
            self.assertEqual([line[key] for line in whole[-len(parts):]], [line[key] for line in parts], key)


if __name__ == "__main__":
    unittest.main()
