#!/usr/bin/env python3
# `weft grad --check`: right gradients agree with the derivatives of the f64 reference and with differences of its loss; a compiler
# with a planted wrong rule is caught, and the rule is named with the place of a node that uses it.
import json
import os
import random
import subprocess
import unittest

from weft_cli import CommandTest, read_safetensors, write_safetensors

REFERENCE = os.path.join(os.environ["WEFT_BUILD"], "tools", "reference", "weft-reference")

# A residual block with tanh, three times; then one transformer layer and a pooled head. Sizes differ so that none stands for another.
MODEL = {
    "format": "1.0", "name": "checked", "dims": {"B": {"max": 8, "hint": 2}, "T": {"max": 16, "hint": 5}},
    "inputs": {"x": {"dtype": "f32", "shape": ["B", "T", 6]}},
    "blocks": {"layer": {"in": ["h"], "nodes": [
        {"id": "u", "op": "linear", "in": "h", "features": 7},
        {"id": "act", "op": "tanh"},
        {"id": "d", "op": "linear", "features": 8},
        {"id": "s", "op": "add", "in": ["h", "d"]}], "out": "s"}},
    "graph": [
        {"id": "h0", "op": "linear", "in": "x", "features": 8, "activation": "relu"},
        {"id": "enc", "op": "repeat", "block": "layer", "count": 3, "index": "i", "in": {"h": "h0"}, "carry": "h", "scope": "layer.{i}"},
        {"id": "n1", "op": "layer_norm"},
        {"id": "attn", "op": "mha", "heads": 2, "causal": True},
        {"id": "r1", "op": "add", "in": ["enc", "attn"]},
        {"id": "n2", "op": "layer_norm"},
        {"id": "up", "op": "linear", "features": 12},
        {"id": "gelu", "op": "gelu"},
        {"id": "down", "op": "linear", "features": 8},
        {"id": "r2", "op": "add", "in": ["r1", "down"]},
        {"id": "pooled", "op": "mean_pool"},
        {"id": "logits", "op": "linear", "features": 3}],
    "outputs": {"logits": "logits"},
    "train": {"inputs": {"y": {"dtype": "i32", "shape": ["B"], "range": [0, 2]}},
              "nodes": [{"id": "w", "op": "constant", "values": [1, 2, 0.5], "shape": [3]},
                        {"id": "loss", "op": "cross_entropy", "in": ["logits", "y", "w"], "label_smoothing": 0.1}], "loss": "loss"},
}


class GradCheck(CommandTest):
    def setUp(self):
        super().setUp()
        (self.folder / "m.json").write_text(json.dumps(MODEL, indent=1))
        draw = random.Random(5)
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [2, 5, 6], [draw.gauss(0, 1) for _ in range(60)]), "y": ("I32", [2], [1, 2])})

    def check(self, *words, program="WEFT", code=0):
        done = subprocess.run([os.environ[program], "grad", "m.json", "--init", "3", "--inputs", "in.safetensors", "--check", "2", *words],
                              cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_right_gradients_agree_along_directions_of_the_seed(self):
        found = json.loads(self.check("--json"))["check"]
        self.assertEqual((found["agrees"], found["seed"], found["directions"]), (True, 0, 2))
        self.assertEqual({tensor["result"] for tensor in found["tensors"]}, {"ok"})
        self.assertEqual(len(found["tensors"]), 2 + 3 * 4 + 2 + 4 + 2 + 4 + 2)
        # All are small enough for every element, no direction crosses a kink, and the reference agrees with itself.
        self.assertEqual({(tensor["by_element"], tensor["differences"], tensor["corner"]) for tensor in found["tensors"]}, {(True, 2, False)})
        self.assertNotIn("rules", found)
        other = json.loads(self.check("--json", "--seed", "4", "--nodes"))["check"]
        self.assertEqual((other["agrees"], other["seed"], other["rules"]), (True, 4, 13))  # three nodes are like others, a constant has no rule
        self.assertEqual(other["wrong_rules"], [])
        [left] = other["not_checked"]  # class weights have no rule; the logits' is compared all the same
        self.assertEqual((left["node"], left["partly"]), ("loss", True))
        self.assertNotEqual(found["tensors"][0]["central_difference"], other["tensors"][0]["central_difference"])

    def test_gradients_under_dropout_agree_with_the_reference(self):
        model = json.loads(json.dumps(MODEL))
        model["blocks"]["layer"]["nodes"].insert(2, {"id": "drop", "op": "dropout", "in": "act", "p": 0.3})
        attn = next(node for node in model["graph"] if node["id"] == "attn")
        attn["dropout"] = 0.4
        (self.folder / "m.json").write_text(json.dumps(model))
        dry, wet = (json.loads(self.check("--json", "--nodes", *words))["check"] for words in ((), ("--dropout",)))
        self.assertTrue(dry["agrees"] and wet["agrees"])
        self.assertEqual({tensor["result"] for tensor in wet["tensors"]}, {"ok"})
        self.assertEqual(wet["wrong_rules"], [])
        self.assertTrue(all(a["gradient"] != b["gradient"] for a, b in zip(dry["tensors"], wet["tensors"])))

    def test_a_wrong_rule_is_named_with_its_node(self):
        out = self.check(program="WEFT_PLANTED", code=1)
        line = next(i for i, each in enumerate((self.folder / "m.json").read_text().splitlines(), 1) if '"id": "act"' in each) - 1  # the node's brace
        self.assertRegex(out, rf"the rule of op 'tanh' is wrong at node 'enc\.act' \(m\.json:{line}:\d+\): "
                              r"the gradient of its operand 1 \('x'\) differs by \d")
        self.assertEqual(out.count("the rule of op"), 1)
        self.assertRegex(out, r"layer\.0\.u\.weight .* WRONG \(gradient [^ ]+ (at element|along a random direction).*, derivative ")
        self.assertRegex(out, r"logits\.weight .* ok\n")  # nothing of the tanh lies behind it

    def test_both_ways_find_the_planted_rule(self):
        found = json.loads(self.check("--json", program="WEFT_PLANTED", code=1))["check"]
        behind = next(tensor for tensor in found["tensors"] if tensor["name"] == "layer.2.d.weight")
        self.assertEqual(behind["result"], "ok")
        wrong = [tensor for tensor in found["tensors"] if tensor["result"] == "wrong"]
        self.assertIn("layer.2.u.bias", [tensor["name"] for tensor in wrong])
        for tensor in wrong:
            # The reference's derivative is the limit of its differences, and the gradient is neither.
            self.assertGreater(tensor["difference"], 100 * tensor["allowed"])
            self.assertEqual((tensor["differences"], tensor["corner"]), (2, False))

    def test_at_a_kink_the_subgradient_is_compared(self):
        # Zeros through a bias of zeros: its relu stands at the kink, whatever the direction.
        self.weft("init", "m.json", "--seed", "3", "--save", "w.safetensors")
        weights = {name: ("F32", shape, [0.0] * len(values) if name == "h0.bias" else values)
                   for name, (shape, values) in read_safetensors(self.folder / "w.safetensors").items()}
        write_safetensors(self.folder / "w.safetensors", weights)
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [2, 5, 6], [0.0] * 60), "y": ("I32", [2], [1, 2])})
        out, _ = self.weft("grad", "m.json", "--weights", "w.safetensors", "--inputs", "in.safetensors", "--check", "1", "--json")
        bias = next(tensor for tensor in json.loads(out)["check"]["tensors"] if tensor["name"] == "h0.bias")
        self.assertEqual((bias["differences"], bias["norm"], bias["derivative"]), (0, 0, 0))
        self.assertEqual(bias["result"], "small")

    def test_every_element_is_the_reference_programs_own(self):
        self.weft("init", "m.json", "--seed", "3", "--save", "w.safetensors")
        files = ["m.json", "--weights", "w.safetensors", "--inputs", "in.safetensors", "--outputs"]
        self.weft("grad", *files, "g.safetensors")
        subprocess.run([REFERENCE, *files, "r.safetensors", "--gradients"], cwd=self.folder, check=True, timeout=120)
        got, want = (read_safetensors(self.folder / name) for name in ("g.safetensors", "r.safetensors"))
        self.assertEqual(set(got) - {"loss"}, {name for name in want if name.startswith("grad.")} - {"grad.x"})
        self.assertAlmostEqual(got["loss"][1][0], want["loss"][1][0], delta=1e-6)
        for name in set(got) - {"loss"}:
            largest = max(map(abs, want[name][1]))
            for ours, exact in zip(got[name][1], want[name][1]):
                self.assertAlmostEqual(ours, exact, delta=1e-5 * largest, msg=name)

    def test_nodes_needs_check(self):
        self.assertIn("--check", self.weft("grad", "m.json", "--nodes", code=2)[1])


if __name__ == "__main__":
    unittest.main()
