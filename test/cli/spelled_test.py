#!/usr/bin/env python3
# Attention written out by hand, in every spelling of test/e2e/spelled, is one attention kernel; near misses are not.
# That the numbers are right is e2e_spelled's part.
import pathlib
import unittest

from weft_cli import CommandTest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "e2e" / "spelled"
# No attention at all, or none that means the same: softmax over another axis, a fill too near, scores read twice …
PLAIN = {"einsums", "gated", "proj_mixed", "near_axis", "near_fill", "near_scores", "finite_all"}


class Spelled(CommandTest):
    def test_explain_shows_one_attention_kernel(self):
        for model in sorted(FOLDER.glob("*.json")):
            with self.subTest(model=model.stem):
                out, _ = self.weft("compile", str(model), "-o", model.stem, "--explain")
                kernels = [line for line in out.splitlines() if line.startswith("  attention  ")]
                self.assertEqual(len(kernels), int(model.stem not in PLAIN), out)


if __name__ == "__main__":
    unittest.main()
