#!/usr/bin/env python3
# `weft new`: each template is a project that builds with an installed Weft, runs, and does what its page says.
# Nothing that was there is touched.
import os
import subprocess
import unittest

from weft_cli import CommandTest


class New(CommandTest):
    def run_here(self, *words):
        done = subprocess.run(list(map(str, words)), cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_every_template_builds_and_runs_as_it_is(self):
        prefix = self.folder / "installed"
        self.run_here("cmake", "--install", os.environ["WEFT_BUILD"], "--prefix", prefix)
        for template, expect in (("mlp", r"class 0: 0\.\d+\nclass 1: 0\.\d+\nclass 2: 0\.\d+\n$"), ("encoder", r"(logit of class \d: -?\d\.\d+\n){3}$"),
                                 ("gpt", r"Once upon a time.{32}\n$")):
            name = f"my_{template}"
            self.weft("new", name, "--template", template, f"work_{template}")
            folder = self.folder / f"work_{template}"
            self.assertEqual(sorted(p.name for p in folder.iterdir()), ["CMakeLists.txt", "README.md", "main.c", f"{name}.json", "weft-1.schema.json"])
            self.weft("check", folder / f"{name}.json")
            self.run_here("cmake", "-G", "Ninja", "-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_C_FLAGS=-Wall -Wextra -pedantic -Werror")
            self.run_here("cmake", "--build", folder / "build")
            self.assertRegex(self.run_here(folder / "build" / name), expect)
            self.weft("init", folder / f"{name}.json", "--save", "w.safetensors")
            words = ["Once upon a time", "w.safetensors"] if template == "gpt" else ["w.safetensors"]
            self.assertRegex(self.run_here(folder / "build" / name, *words), expect)

    def test_what_exists_stays(self):
        self.weft("new", "a")
        before = {p.name: p.read_bytes() for p in (self.folder / "a").iterdir()}
        _, err = self.weft("new", "a", "--template", "gpt", code=3)
        self.assertIn("folder 'a' exists and is not empty", err)
        self.assertEqual({p.name: p.read_bytes() for p in (self.folder / "a").iterdir()}, before)
        (self.folder / "empty").mkdir()
        self.weft("new", "b", "empty")
        (self.folder / "file").write_text("x")
        self.assertIn("'file'", self.weft("new", "c", "file", code=3)[1])
        self.weft("new", "c", "no/such/folder", code=3)
        self.assertEqual(self.files(), ["a", "empty", "file"])

    def test_wrong_names_and_templates(self):
        for words, expect in ((["a b"], "expected a name of letters"), (["../a"], "expected a name"), (["9a"], "expected a name"), (["a" * 65], "expected a name"), ([""], "expected a name"),
                              (["a", "--template", "encodr"], "did you mean 'encoder'?"), (["a", "--template", "x"], "the templates are"), ([], "NAME")):
            self.assertIn(expect, self.weft("new", *words, code=2)[1])
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    unittest.main()
