#!/usr/bin/env python3
# `weft view`: the pictures are well-formed, show the numbers that other commands report, and their labels do not overlap.
# What they look like is for eyes; here it is what they say.
import json
import math
import re
import unittest
import xml.etree.ElementTree

from weft_cli import MODELS, STORIES, CommandTest, read_safetensors, write_safetensors

MAPS = MODELS / "self_attention_weights" / "self_attention_weights.json"
SVG = "{http://www.w3.org/2000/svg}"


class View(CommandTest):
    def picture(self, file):
        root = xml.etree.ElementTree.parse(self.folder / file).getroot()
        self.assertEqual(root.tag, SVG + "svg")
        self.width, self.height = float(root.get("width")), float(root.get("height"))
        return root

    def texts(self, root):
        return [text.text for text in root.iter(SVG + "text")]

    def tips(self, root):
        return [tip.text for tip in root.iter(SVG + "title")]

    def boxes(self, root):
        """Rectangles that the texts cover at least, in order."""
        for text in root.iter(SVG + "text"):
            size, x, y = (float(text.get(name)) for name in ("font-size", "x", "y"))
            width = 0.5 * size * len(text.text or "")
            left = {"start": 0, "middle": -width / 2, "end": -width}[text.get("text-anchor", "start")]
            if "rotate(-90" in text.get("transform", ""):
                yield text.text, (x - 0.8 * size, y - left - width, x, y - left)
            else:
                yield text.text, (x + left, y - 0.8 * size, x + left + width, y)

    def check_labels(self, root):
        boxes = list(self.boxes(root))
        for i, (text, a) in enumerate(boxes):
            self.assertTrue(-1 <= a[0] and -1 <= a[1] and a[2] <= self.width and a[3] <= self.height, f"{text} is outside")
            for other, b in boxes[:i]:
                self.assertFalse(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3], f"'{text}' covers '{other}'")

    def attention(self, *words, code=0, tokens=5):
        write_safetensors(self.folder / "x.safetensors", {"x": ("F32", [2, tokens, 8], [math.sin(i) for i in range(2 * tokens * 8)])})
        return self.weft("view", "attention", MAPS, "--init", "0", "--inputs", "x.safetensors", *words, code=code)

    def test_attention_shows_the_weights_of_each_head_and_their_mean(self):
        self.attention("--sequence", "1", "--tokens", "the,cat,sat,on,mats", "-o", "map.svg")
        root = self.picture("map.svg")
        self.assertTrue({"mean of 2 heads", "head 0", "head 1", "queries", "keys", "weight", "heads_out"} <= set(self.texts(root)))
        self.assertEqual([self.texts(root).count(word) for word in ("the", "cat", "sat", "on", "mats")], [4] * 5)  # columns of three maps, and rows once
        self.weft("run", MAPS, "--init", "0", "--inputs", "x.safetensors", "--outputs", "out.safetensors")
        tensors = read_safetensors(self.folder / "out.safetensors")
        expected = tensors["avg_attention"][1][25:] + tensors["attention"][1][50:]
        tips = self.tips(root)
        self.assertEqual(tips[1].split(":")[0], "the → cat")
        self.assertEqual(len(tips), 75)
        for tip, weight in zip(tips, expected):
            self.assertAlmostEqual(float(tip.split(": ")[1]), weight, delta=1e-4)
        self.check_labels(root)

    def test_attention_of_a_round_with_the_names_of_a_tokenizer(self):
        prompt = "tokens=1,403,407,261,378,432,383,286,261,410"
        self.weft("view", "attention", STORIES / "stories260k.json", "--input", prompt, "--tokenizer", STORIES / "tok512.bin", "--node", "x[0].a", "--node", "x[4].a")
        root = self.picture("attention.svg")
        self.assertTrue({"<s>", "upon", "time", "x[0].a", "x[4].a", "head 7"} <= set(self.texts(root)))
        self.assertEqual(len(self.tips(root)), 2 * 9 * 100)
        self.check_labels(root)

    def test_names_of_a_vocabulary_and_shortened_maps(self):
        self.model(file="m.json", graph=[{"id": "e", "op": "embedding", "in": "ids", "rows": 7, "features": 4}, {"id": "a", "op": "mha", "heads": 1}], inputs={
            "ids": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 6]}}, dims={"B": {"max": 4}, "T": {"max": 512}}, outputs={"a": "a"}, entries={})
        (self.folder / "words.txt").write_text("zero\none\na very long word that has no end at all\nthree\n")
        (self.folder / "words.json").write_text('{"zero": 0, "<three>": 3}')
        for file, names in (("words.txt", {"zero", "three", "6"}), ("words.json", {"zero", "<three>", "6"})):
            self.weft("view", "attention", "m.json", "--init", "0", "--input", "ids=0,3,2,6", "--vocabulary", file)
            root = self.picture("attention.svg")
            self.assertTrue(names <= set(self.texts(root)), self.texts(root))
            self.check_labels(root)
        self.weft("view", "attention", "m.json", "--init", "0", "--input", "ids=" + ",".join("0123456" * 40))
        root = self.picture("attention.svg")
        self.assertTrue(any("mean of 3 x 3 weights" in text for text in self.texts(root)))
        self.check_labels(root)
        self.weft("view", "attention", "m.json", "--init", "0", "--input", "ids=0,3,2,6", "--length", "2")
        self.assertEqual(len(self.tips(self.picture("attention.svg"))), 4)

    def cross(self, *words, size="S", code=0):
        """Cross-attention from 2 queries to 3 keys, or to as many."""
        self.model(file="c.json", graph=[{"id": name, "op": "embedding", "in": ids, "rows": 9, "features": 4} for name, ids in (("s", "src"), ("t", "tgt"))]
                   + [{"id": "a", "op": "mha", "in": {"q": "t", "k": "s", "v": "s"}, "heads": 1}],
                   inputs={name: {"dtype": "i32", "shape": ["B", dim], "range": [0, 8]} for name, dim in (("src", size), ("tgt", "T"))},
                   dims={name: {"max": 8} for name in ("B", "S", "T") if name != "S" or size == "S"}, outputs={"a": "a"}, entries={})
        given = ("--input", "src=8,7" + (",6" if size == "S" else ""), "--input", "tgt=1,2")
        return self.weft("view", "attention", "c.json", "--init", "0", *given, *words, code=code)

    def axes(self):
        tips = [tip.split(":")[0].split(" → ") for tip in self.tips(self.picture("attention.svg"))]
        return list(dict.fromkeys(tip[0] for tip in tips)), list(dict.fromkeys(tip[1] for tip in tips))

    def test_keys_of_cross_attention_are_other_tokens(self):
        self.cross()
        self.assertEqual(self.axes(), (["1", "2"], ["8", "7", "6"]))
        for size, ids in (("S", ["8", "7", "6"]), ("T", ["8", "7"])):
            self.cross("--tokens", "the,cat", size=size)
            self.assertEqual(self.axes(), (["the", "cat"], ids), size)
        self.cross("--tokens", "the,cat", "--key-tokens", "die,Katze,hier")
        self.assertEqual(self.axes(), (["the", "cat"], ["die", "Katze", "hier"]))
        self.check_labels(self.picture("attention.svg"))
        for words, expect in ((("--tokens", "a,b,c"), "--tokens: expected 2 labels, one for each query, but got 3"),
                              (("--key-tokens", "a,b"), "--key-tokens: expected 3 labels, one for each key, but got 2\n  hint: '--length 2'")):
            self.assertIn(expect, self.cross(*words, code=2)[1])

    def test_wrong_use_of_attention(self):
        for words, code, expect in ((("--node", "query"), 2, "expected weights, rows that sum to 1, but row [0, 0, 0] does not"), (("--sequence", "2"), 2, "--sequence: expected 0..1 but got 2"),
                                    (("--tokens", "a,b,c,d,e,f"), 2, "expected 5 labels but got 6"), (("--vocabulary", "missing.txt"), 3, "missing.txt"),
                                    (("--tokens", "a,b,c"), 2, "expected 5 labels but got 3\n  hint: '--length 3'"),
                                    (("--token-input", "x"), 2, "input 'x'"), (("--node", "heads"), 2, "did you mean"), (("-o", "x.safetensors"), 2, "is an input file"),
                                    (("-o", "no/such/folder.svg"), 3, "no/such")):
            self.assertIn(expect, self.attention(*words, code=code)[1])
        self.assertFalse((self.folder / "attention.svg").exists())
        _, err = self.weft("view", "attention", STORIES / "stories260k.json", "--input", "tokens=1,2", code=2)
        self.assertIn("attention is in 'x[0].a', and in further rounds", err)

    def test_graph_has_nodes_and_kernels(self):
        self.weft("view", "graph", MODELS / "encoder_decoder" / "encoder_decoder.json", "-o", "g.svg")
        root = self.picture("g.svg")
        texts = self.texts(root)
        self.assertTrue({"encoded: 6 rounds", "decoded: 6 rounds", "mha, heads 8, causal", "[B, T, 512] f32", "attn + sum1", "costs at B=32, S=40, T=40"} <= set(texts))
        out, _ = self.weft("compile", MODELS / "encoder_decoder" / "encoder_decoder.json", "--entry", "forward", "--explain", "-o", "m")
        kernels = [line.split()[0] for line in re.split("indices|wrote", out)[0].splitlines() if re.match(r"  \w", line)]
        self.assertIn(f"after fusion: {len(kernels)} kernels", texts)
        for kind in set(kernels):
            self.assertEqual(texts.count(kind), kernels.count(kind), kind)
        self.check_labels(root)
        self.weft("view", "graph", self.model(), "--entry", "look", "--only", "before")
        self.assertEqual(self.texts(self.picture("graph.svg"))[2:4], ["ids", "[B, 4] i32"])
        self.assertIn("expected --only before", self.weft("view", "graph", "small.json", "--only", "none", code=2)[1])

    def test_memory_is_the_plan(self):
        self.check_memory(STORIES / "stories260k.json", "forward", "T=100")

    def test_memory_of_a_training_step_is_the_plan(self):
        self.check_memory(STORIES.parent / "char_gpt/char_gpt.json", "train_step", "B=2")

    def test_a_graph_of_a_training_entry_is_refused(self):
        _, err = self.weft("view", "graph", STORIES.parent / "char_gpt/char_gpt.json", "--entry", "train_step", code=2)
        self.assertIn("entry 'train_step' trains\n  hint: weft train runs it", err)

    def check_memory(self, model, name, dims):
        self.weft("view", "memory", model, "--entry", name, "--dim", dims, "-o", "m.svg")
        root = self.picture("m.svg")
        entries = json.loads(self.weft("check", model, "--dim", dims, "--json")[0])["entries"]
        arena = next(entry["arena_bytes"] for entry in entries if entry["name"] == name)
        tops = [int(bytes_.replace(",", "")) + int(offset.replace(",", "")) for bytes_, offset in (re.match(r".*: ([\d,]+) bytes at ([\d,]+)", tip).groups() for tip in self.tips(root))]
        self.assertLessEqual(arena - max(tops), 63)
        self.assertIn(f"Arena of {model.stem}, entry {name}", self.texts(root))

    def test_log_has_a_panel_for_each_field(self):
        lines = [json.dumps({"step": step, "loss": 3 / step, "lr": 1e-3 * step / 200, "note": "x", "eval_loss": 2.5 if step % 50 == 0 else None}) for step in range(1, 201)]
        (self.folder / "a.jsonl").write_text("\n".join(lines) + "\n")
        (self.folder / "b.jsonl").write_text("\n".join(lines[:120]) + "\n")
        self.weft("view", "log", "a.jsonl", "b.jsonl", "--log-scale")
        root = self.picture("log.svg")
        texts = self.texts(root)
        self.assertEqual([text for text in texts if text in ("loss (logarithmic)", "eval_loss", "lr", "note")], ["loss (logarithmic)", "eval_loss", "lr"])
        self.assertEqual(len(list(root.iter(SVG + "polyline"))), 2 * (2 + 1))
        self.check_labels(root)
        self.assertIn("the fields are 'loss', 'eval_loss' or 'lr'", self.weft("view", "log", "a.jsonl", "--field", "los", code=2)[1])

    def test_a_log_that_is_being_written(self):
        """A last line that is not whole is left out; numbers that no picture has room for are gaps."""
        (self.folder / "a.jsonl").write_text('{"step": 1, "loss": 1e308, "lr": 1}\n{"step": 2, "loss": -1e308, "lr": 2}\n{"step": 3, "lo')
        _, err = self.weft("view", "log", "a.jsonl")
        self.assertEqual(err, "a.jsonl:3: warning: the last line is not whole and is left out: it was cut, or is being written\n")
        self.assertNotIn("nan", (self.folder / "log.svg").read_text())

    def test_a_damaged_log_is_refused_at_its_line(self):
        for text, code, expect in (('{"step": 1, "loss": 2}\n{"step": 2, "loss"\n', 1, "a.jsonl:2:"), ('{"loss": 2}\n', 1, "a.jsonl:1:1: error: expected a number 'step'"),
                                   ('{"step": 2, "loss": 2}\n{"step": 2, "loss": 1}\n', 1, "expected a step above 2 but got 2"), ("[1]\n", 1, "expected an object"), ("", 1, "expected lines with 'step'")):
            (self.folder / "a.jsonl").write_text(text)
            self.assertIn(expect, self.weft("view", "log", "a.jsonl", code=code)[1])
        self.assertIn("no.jsonl", self.weft("view", "log", "no.jsonl", code=3)[1])
        self.assertEqual(self.files(), ["a.jsonl"])

    def test_a_kind_is_needed(self):
        self.assertIn("the kinds are 'attention', 'graph', 'memory' or 'log'", self.weft("view", code=2)[1])
        self.assertIn("did you mean 'graph'?", self.weft("view", "grph", "m.json", code=2)[1])
        self.assertIn("'weft view graph --help'", self.weft("view", "graph", code=2)[1])
        self.assertIn("did you mean '--node'?", self.weft("view", "attention", "m.json", "--nod", "x", code=2)[1])


if __name__ == "__main__":
    unittest.main()
