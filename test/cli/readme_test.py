#!/usr/bin/env python3
# The front page is true: its model compiles, its program compiles without a warning and runs; the models' READMEs name
# files that exist.
import re
import subprocess
import unittest

from weft_cli import INCLUDE, MODELS, RUNTIME, CommandTest

ROOT = MODELS.parent


class Readme(CommandTest):
    def test_model_and_program(self):
        page = (ROOT / "README.md").read_text()
        model, program = (re.search(rf"```{language}\n(.*?)```", page, re.S).group(1) for language in ("json", "c"))
        self.assertLessEqual(len(model.splitlines()), 20)
        (self.folder / "tiny.json").write_text(model)
        (self.folder / "main.c").write_text(program)
        self.weft("check", "tiny.json")
        self.weft("compile", "tiny.json")
        subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", INCLUDE, "main.c", "tiny.o", RUNTIME, "-lm", "-lpthread", "-o", "app"],
                       cwd=self.folder, check=True)
        out = subprocess.run(["./app"], cwd=self.folder, capture_output=True, text=True, check=True).stdout
        self.assertEqual(len([float(word) for word in out.split()]), 3)

    def test_model_of_the_format_page(self):
        (self.folder / "page.json").write_text(re.search(r"```json\n(.*?)```", (ROOT / "docs" / "format.md").read_text(), re.S).group(1))
        self.weft("check", "page.json")

    def test_stories_program(self):
        stories = MODELS / "stories260k"
        self.weft("compile", stories / "stories260k.json")
        subprocess.run(["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", INCLUDE, "-I", ".", str(stories / "main.c"), "stories260k.o", RUNTIME,
                        "-lm", "-lpthread", "-o", "story"], cwd=self.folder, check=True)
        out = subprocess.run(["./story", str(stories / "stories260k.safetensors"), str(stories / "tok512.bin")], cwd=self.folder, capture_output=True, text=True,
                             check=True).stdout
        self.assertTrue(out.startswith("Once upon a time, there was a little girl named Lily."), out)
        self.assertRegex(out, r"\d+ tokens, \d+ tokens/s; model ready in .* peak memory")


if __name__ == "__main__":
    unittest.main()
