#!/usr/bin/env python3
# `weft run --compare F --bisect`: a compiler with a planted bug is caught, and the first wrong node is named with its place;
# when the compiler is right, the expectation is said to be wrong.
import json
import os
import random
import subprocess
import unittest

from probe_test import NESTED
from weft_cli import CommandTest, read_safetensors, write_safetensors


class Bisect(CommandTest):
    def setUp(self):
        super().setUp()
        (self.folder / "m.json").write_text(json.dumps(NESTED, indent=1))
        self.weft("init", "m.json", "--seed", "3", "--save", "w.safetensors")
        write_safetensors(self.folder / "in.safetensors", {"tokens": ("I32", [2, 5], random.Random(5).choices(range(11), k=10))})
        self.weft("run", "m.json", "--weights", "w.safetensors", "--inputs", "in.safetensors", "--outputs", "right.safetensors")

    def run_with(self, program, *words, code):
        done = subprocess.run([program, "run", "m.json", "--weights", "w.safetensors", "--inputs", "in.safetensors", "--bisect", "--compare", *words],
                              cwd=self.folder, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_a_planted_bug_is_found_at_its_first_node(self):
        out = self.run_with(os.environ["WEFT_PLANTED"], "right.safetensors", code=1)
        lines = (self.folder / "m.json").read_text().splitlines()
        line = next(i for i, each in enumerate(lines, 1) if '"id": "up"' in each) - 1  # the node's brace
        self.assertRegex(out, rf"bisect: m\.json:{line}:\d+: node 'enc\[0\]\.ff\[0\]\.up' \(linear\) is the first that leaves the bound")
        self.assertIn("at /blocks/inner/nodes/0\n", out)
        self.assertRegex(out, r"\d+ of 160 elements differ; first \[\d, \d, \d+\]: expected ")
        found = json.loads(self.run_with(os.environ["WEFT_PLANTED"], "right.safetensors", "--json", code=1))["bisect"]
        self.assertEqual((found["node"], found["op"], found["pointer"], found["line"]), ("enc[0].ff[0].up", "linear", "/blocks/inner/nodes/0", line))
        self.assertLess(found["probes"], 15)  # of 40 values: it is a search

    def test_a_right_compiler_is_not_blamed(self):
        shape, values = read_safetensors(self.folder / "right.safetensors")["logits"]
        write_safetensors(self.folder / "wrong.safetensors", {"logits": ("F32", shape, [2 * v + 1 for v in values])})
        self.assertIn("every value that the outputs depend on agrees with the f64 reference", self.run_with(os.environ["WEFT"], "wrong.safetensors", code=1))

    def test_nothing_is_searched_when_all_is_equal(self):
        self.assertNotIn("bisect", self.run_with(os.environ["WEFT"], "right.safetensors", code=0))
        self.assertIn("--compare", self.weft("run", "m.json", "--bisect", code=2)[1])


if __name__ == "__main__":
    unittest.main()
