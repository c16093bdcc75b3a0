#!/usr/bin/env python3
# `weft init`: weights by the model's rules, the same for the same seed, readable by the other commands.
# Rules with a known shape are looked at in the numbers.
import unittest

from weft_cli import CommandTest, read_safetensors


class Init(CommandTest):
    def test_same_seed_same_bytes(self):
        self.weft("init", self.model(), "--save", "a.safetensors", "--seed", "3")
        self.weft("init", self.model(), "--save", "b.safetensors", "--seed", "3")
        self.weft("init", self.model(), "--save", "c.safetensors", "--seed", "4")
        a, b, c = ((self.folder / f"{n}.safetensors").read_bytes() for n in "abc")
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)

    def test_rules(self):
        self.weft("init", self.model(init={"*.bias": "zeros", "words.weight": "ones"}), "--save", "w.safetensors")
        tensors = read_safetensors(self.folder / "w.safetensors")
        self.assertEqual(sorted(tensors), ["up.bias", "up.weight", "words.weight", "y.bias", "y.weight"])
        self.assertEqual(tensors["up.weight"][0], [5, 3])
        self.assertEqual(set(tensors["words.weight"][1]), {1.0})
        self.assertEqual(set(tensors["up.bias"][1]), {0.0})
        self.assertLessEqual(max(map(abs, tensors["up.weight"][1])), 3 ** -0.5 + 1e-6)
        self.weft("run", "small.json", "--weights", "w.safetensors", "--entry", "look", "--input", "ids=1,2,3,4")

    def test_wrong_use(self):
        self.weft("init", self.model(), code=2)
        self.weft("init", self.model(), "--save", "small.json", code=2)
        self.weft("init", self.model(), "--save", "no/folder/w.safetensors", code=3)
        self.weft("init", self.model(), "--save", ".", code=3)
        _, err = self.weft("init", self.model(), "--save", "w.npy", code=2)
        self.assertIn("expected a safetensors file but got 'w.npy'", err)
        self.assertEqual(self.files(), ["small.json"])


if __name__ == "__main__":
    unittest.main()
