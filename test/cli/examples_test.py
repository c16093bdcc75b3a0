#!/usr/bin/env python3
# The commands of examples/README.md, run as they stand: C++ with two models and two pools, Python with ctypes. Both tell the
# story that `weft generate` tells.
import json
import os
import pathlib
import re
import subprocess
import unittest

from weft_cli import MODELS, STORIES, CommandTest, read_safetensors

ROOT = MODELS.parent
BUILD = pathlib.Path(os.environ["WEFT_BUILD"])


class Examples(CommandTest):
    def setUp(self):
        super().setUp()
        for name in ("models", "runtime", "examples"):
            (self.folder / name).symlink_to(ROOT / name)
        (self.folder / "build" / "tools").mkdir(parents=True)
        (self.folder / "build" / "tools" / "weft").symlink_to(BUILD / "tools" / "weft")
        (self.folder / "build" / "runtime").symlink_to(BUILD / "runtime")
        self.story = json.loads(self.weft("generate", STORIES / "stories260k.json", "--tokens", "1", "--max-new", "20", "--json")[0])["tokens"]

    def commands(self, title):
        page = (ROOT / "examples" / "README.md").read_text()
        block = re.search(rf"(?ms)^## {title}.*?^```sh\n(.*?)^```", page).group(1)
        done = subprocess.run(["bash", "-e", "-c", block], cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.splitlines()

    def test_cpp_with_two_models_and_two_pools(self):
        story, encoder = self.commands("C\\+\\+")[-2:]
        self.assertEqual(story, "story: " + " ".join(map(str, self.story)))
        sizes = ("--set", "d=32", "--set", "heads=4", "--set", "ff=64")
        self.weft("run", MODELS / "encoder_layer" / "encoder_layer.json", *sizes, "--init", "1", "--inputs", MODELS / "encoder_layer" / "example.safetensors", "--outputs", "alone.safetensors", "-q")
        alone = read_safetensors(self.folder / "alone.safetensors")["out"][1]
        self.assertEqual(encoder, f"encoder: {len(alone)} numbers, the first {alone[0]:.6f}")
        done = subprocess.run(["build/two_models", "missing.safetensors", "models/encoder_layer/example.safetensors"], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("missing.safetensors", done.stderr)

    def test_python_with_ctypes(self):
        story, error = self.commands("Python")[-2:]
        self.assertEqual(story, " ".join(map(str, self.story)))
        self.assertEqual(error, "stories260k_decode: tokens[0, 0] is 512, expected 0..511")


if __name__ == "__main__":
    unittest.main()
