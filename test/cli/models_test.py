#!/usr/bin/env python3
# Every model folder holds what its README says: the model is valid, and a command that is followed by its output prints
# that output (or begins with it), numbers up to the last digits, which depend on the CPU.
import re
import shlex
import subprocess
import unittest

from weft_cli import MODELS, WEFT, CommandTest

ROOT = MODELS.parent
EXAMPLE = re.compile(r"(?ms)^```sh\n(weft [^\n]*)\n```\n\n[^\n]*:\n\n```\n(.*?)^```$")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


class Models(CommandTest):
    def test_every_folder_has_a_model_and_a_page_and_stands_in_the_index(self):
        index = (MODELS / "README.md").read_text()
        for folder in sorted(path for path in MODELS.iterdir() if path.is_dir()):
            self.assertTrue((folder / "README.md").exists(), folder)
            self.assertIn(f"({folder.name})", index)
            self.weft("check", folder / f"{folder.name}.json")

    def test_commands_print_what_pages_say(self):
        tested = 0
        for page in sorted(MODELS.glob("*/README.md")):
            for command, expected in EXAMPLE.findall(page.read_text()):
                done = subprocess.run([WEFT, *shlex.split(command)[1:]], cwd=ROOT, capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, command + done.stderr)
                words = expected.split()
                got = " ".join(done.stdout.split()[:len(words)])  # a page may show the beginning
                self.assertEqual(NUMBER.sub("#", got).split(), NUMBER.sub("#", expected).split(), command)
                for a, b in zip(map(float, NUMBER.findall(got)), map(float, NUMBER.findall(expected))):
                    self.assertAlmostEqual(a, b, delta=1e-4 * abs(b) + 1e-6, msg=command)
                tested += 1
        self.assertGreaterEqual(tested, 14)


if __name__ == "__main__":
    unittest.main()
