#!/usr/bin/env python3
# `weft generate`: the story of stories260k word for word, ids and JSON, sampling options, wrong use.
# The expected text is what llama2.c prints for the same weights.
import json
import struct
import unittest

from weft_cli import MODELS, STORIES, CommandTest

MODEL, TOKENIZER = STORIES / "stories260k.json", STORIES / "tok512.bin"
STORY = ("Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, red ball. "
         "She wanted to play with it, but it was too high.\nLily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. "
         "She said, \"I want to play with your ball, but I can't find it.\"\nLily was sad and didn't know what to do.")
FIRST_IDS = [403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426]

# The last 20 of 40 tokens with 4 beams, as a search written in plain Python over the forward entry's logits finds them.
BEAM_IDS = [410, 408, 419, 292, 411, 322, 265, 262, 379, 419, 415, 271, 411, 426, 385, 328, 432, 358, 394, 261]


class Generate(CommandTest):
    def test_story(self):
        out, err = self.weft("generate", MODEL, "--tokens", "1", "--tokenizer", TOKENIZER)
        self.assertTrue(out.startswith(STORY), out)
        self.assertRegex(err, r"\d+ tokens, \d+ tokens/s, prefill")

    def test_json(self):
        result = json.loads(self.weft("generate", MODEL, "--tokens", "1", "--tokenizer", TOKENIZER, "--max-new", "15", "--json")[0])
        self.assertEqual(result["prompt"], [1])
        self.assertEqual(result["tokens"], FIRST_IDS)
        self.assertTrue(STORY.startswith(result["text"]))
        self.assertEqual(result["stopped"], "length")
        self.assertIn("tokens_per_s", result)
        self.assertIn("prefill_ms", result)

    def test_ids_without_tokenizer(self):
        out, _ = self.weft("generate", MODEL, "--tokens", "1", "--max-new", "15", "-q")
        self.assertEqual([int(word) for word in out.split()], FIRST_IDS)

    def test_prompt_in_pieces_gives_the_same_story(self):
        result = json.loads(self.weft("generate", MODEL, "--tokens", "1," + ",".join(map(str, FIRST_IDS[:10])), "--max-new", "5", "--json")[0])
        self.assertEqual(result["tokens"], FIRST_IDS[10:])

    def test_a_story_goes_on_from_a_file(self):
        self.weft("generate", MODEL, "--tokens", "1", "--max-new", "10", "--save-cache", "kv.safetensors", "-q")
        rest = ("--tokens", str(FIRST_IDS[9]), "--load-cache", "kv.safetensors", "--max-new", "5", "--json")
        self.assertEqual(json.loads(self.weft("generate", MODEL, *rest)[0])["tokens"], FIRST_IDS[10:])
        damaged = bytearray((self.folder / "kv.safetensors").read_bytes())
        damaged[-1] ^= 1
        (self.folder / "kv.safetensors").write_bytes(damaged)
        self.assertIn("'kv.safetensors': its data is damaged", self.weft("generate", MODEL, *rest, code=1)[1])
        _, err = self.weft("generate", MODELS / "generator" / "generator.json", "--init", "0", *rest, code=1)
        self.assertIn("it is a session of model 'stories260k'", err)
        self.weft("generate", MODEL, "--tokens", "1", "--max-new", "2", "--save-cache", "no/such/folder", code=3)
        self.assertEqual(self.files(), ["kv.safetensors"])

    def test_tokenizer_of_another_model(self):
        name = self.folder / "large.bin"
        name.write_bytes(TOKENIZER.read_bytes() + struct.pack("<fi", -1e9, 3) + b"new")
        _, err = self.weft("generate", MODEL, "--prompt", "x", "--tokenizer", name, code=1)
        self.assertIn("expected at most 512 pieces, as model 'stories260k' has tokens 0..511, but got 513", err)

    def test_prompt_as_text(self):
        result = json.loads(self.weft("generate", MODEL, "--prompt", "Once upon a time", "--tokenizer", TOKENIZER, "--max-new", "5", "--json")[0])
        self.assertEqual(result["prompt"], [1] + FIRST_IDS[:4])
        self.assertEqual(result["tokens"], FIRST_IDS[4:9])

    def test_a_vocabulary_takes_the_longest_piece(self):
        pieces = ["<unk>", "a", "b", "ab", "\\n", "\\\\", "é"] + [f"w{i}" for i in range(100)]
        (self.folder / "words.txt").write_text("\n".join(pieces) + "\n")
        result = json.loads(self.weft("generate", MODEL, "--prompt", "aab\n\\éw17", "--tokenizer", "words.txt", "--max-new", "1", "--json")[0])
        self.assertEqual(result["prompt"], [1, 3, 4, 5, 6, 7 + 17])
        for text, expect in (("a\na\n", "line 2: piece 'a' is there twice"), ("a\n\nb\n", "line 2: expected a piece but the line is empty"), ("", "the file is empty")):
            (self.folder / "words.txt").write_text(text)
            self.assertIn(expect, self.weft("generate", MODEL, "--prompt", "a", "--tokenizer", "words.txt", code=1)[1])
        (self.folder / "words.txt").write_text("a\nb\n")
        self.assertIn("no piece of the tokenizer begins 'xa'", self.weft("generate", MODEL, "--prompt", "bxa", "--tokenizer", "words.txt", code=1)[1])

    def test_seed_decides_sampling(self):
        def tokens(seed):
            words = ("--tokens", "1", "--temperature", "1.2", "--top-k", "40", "--max-new", "30", "--json", "--seed", seed)
            return json.loads(self.weft("generate", MODEL, *words)[0])["tokens"]

        self.assertEqual(tokens("1"), tokens("1"))
        self.assertNotEqual(tokens("1"), tokens("2"))

    def test_beam_search(self):
        words = ("--tokens", "1", "--max-new", "40")
        greedy, one, beam = (json.loads(self.weft("generate", MODEL, *words, *more, "--json")[0]) for more in ((), ("--beams", "1"), ("--beams", "4")))
        self.assertEqual(one["tokens"], greedy["tokens"])
        self.assertEqual(beam["tokens"][20:], BEAM_IDS)
        self.assertNotEqual(greedy["tokens"][20:], BEAM_IDS)
        self.assertNotIn("prefill_ms", beam)
        out, err = self.weft("generate", MODEL, *words, "--beams", "4")
        self.assertEqual([int(word) for word in out.split()][20:], BEAM_IDS)
        self.assertRegex(err, r"40 tokens, \d+ tokens/s$")

    def test_wrong_use(self):
        for words, code, expect in ((("--prompt", "x"), 2, "--tokenizer"), ((), 2, "--prompt TEXT or --tokens"), (("--tokens", "1,x"), 2, "'x'"),
                                    (("--tokens", "1", "--entry", "generat"), 2, "did you mean 'generate'?"), (("--tokens", "1", "--top-p", "2"), 2, "--top-p"),
                                    (("--tokens", "1,,2"), 2, "'1,,2'"), (("--tokens", "1", "--temperature", "-1"), 2, "expected 0 or more but got -1"),
                                    (("--tokens", "1", "--beams", "65"), 1, "B is 65, expected 1..64"), (("--tokens", "600"), 1, "600"),
                                    (("--tokens", ",".join(["5"] * 600)), 1, "512"), (("--prompt", "x", "--tokenizer", "missing.bin"), 3, "missing.bin"),
                                    (("--prompt", "x", "--tokenizer", str(MODEL)), 1, "JSON")):
            out, err = self.weft("generate", MODEL, *words, code=code)
            self.assertIn(expect, err)

    def test_model_without_generation(self):
        _, err = self.weft("generate", self.model(), "--tokens", "1", code=1)
        self.assertIn("generate entry", err)


if __name__ == "__main__":
    unittest.main()
