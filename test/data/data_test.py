#!/usr/bin/env python3
# Every script of tools/data on a few lines: what it writes, and what it says about wrong input.
import gzip
import json
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "tools" / "data"
CODES = {"F32": "f", "I32": "i", "U8": "B"}


class Data(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-data-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def write(self, name, content):
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def run_script(self, name, *words, code=0):
        done = subprocess.run([sys.executable, SCRIPTS / name, *map(str, words)], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, code, f"{name} {words}\n{done.stdout}{done.stderr}")
        self.assertNotIn("Traceback", done.stderr)
        return done.stderr

    def read(self, name):
        """name -> nested lists"""
        raw = (self.folder / name).read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        result = {}
        for key, info in json.loads(raw[8:8 + size]).items():
            begin, end = info["data_offsets"]
            values = list(struct.unpack(f"<{(end - begin) // struct.calcsize(CODES[info['dtype']])}{CODES[info['dtype']]}", raw[8 + size + begin:8 + size + end]))
            for axis in reversed(info["shape"][1:]):
                values = [values[i:i + axis] for i in range(0, len(values), axis)]
            self.assertEqual(len(values), info["shape"][0])
            result[key] = values
        return result

    def lines(self, name):
        return (self.folder / name).read_text().split("\n")[:-1]

    # ---- MNIST ----

    def idx(self, magic, shape, data):
        return struct.pack(f">I{len(shape)}I", magic, *shape) + bytes(data)

    def test_mnist_is_scaled_to_one(self):
        self.write("images.gz", gzip.compress(self.idx(0x803, (2, 1, 3), [0, 51, 255, 1, 2, 3])))
        self.write("labels", self.idx(0x801, (2,), [7, 2]))
        self.run_script("mnist.py", "images.gz", "labels", "-o", "out")
        got = self.read("out.safetensors")
        self.assertEqual(got["labels"], [7, 2])
        self.assertEqual(got["images"][0][0][0], [0.0, struct.unpack("f", struct.pack("f", 0.2))[0], 1.0])

    def test_mnist_damaged(self):
        good, labels = self.idx(0x803, (1, 1, 2), [1, 2]), self.write("labels", self.idx(0x801, (1,), [7]))
        for content, text in ((good[:-1], "expected 2 bytes for [1, 1, 2] but got 1"), (b"PNG", "expected an idx file but it starts with 50 4e 47"),
                              (gzip.compress(good)[:-5], "expected gzip data but it is damaged"), (self.idx(0x802, (1, 1), [1]) + bytes(9), "expected an idx file of bytes with 3 axes"),
                              (self.idx(0x803, (2, 1, 1), [1, 2]), "got 1 labels and 2 images")):
            self.write("images", content)
            self.assertIn(text, self.run_script("mnist.py", "images", labels, "-o", "out", code=1))
            self.assertFalse((self.folder / "out.safetensors").exists())
        self.assertIn("none: No such file", self.run_script("mnist.py", "none", labels, "-o", "out", code=3))

    # ---- Time series ----

    def series(self, closes):
        return self.write("s.csv", "Date,Close\n" + "".join(f"d{i},{value}\n" for i, value in enumerate(closes)))

    def test_series_bins_come_from_training_rows_alone(self):
        rising = [100 * 1.01 ** i for i in range(16)] + [100000, 200000, 100000, 1, 2]
        self.run_script("series.py", self.series(rising), "--columns", "Close", "--of", "level", "--bins", 4, "--test", 0.2, "-o", "out")
        train, test = self.read("out-train.safetensors"), self.read("out-test.safetensors")
        self.assertEqual([row[0] for row in train["x"]], [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4)
        self.assertEqual(train["targets"], [1] * 16)
        self.assertEqual([row[0] for row in test["x"]], [3, 3, 3, 0])
        self.assertEqual(test["targets"], [1, 0, 0, 1])

    def test_series_folds_walk_forward(self):
        self.run_script("series.py", self.series(range(1, 43)), "--columns", "Close", "--folds", 4, "-o", "out")
        self.assertEqual([len(self.read(f"out-fold{k}-train.safetensors")["x"]) for k in (1, 2, 3, 4)], [32, 34, 36, 38])
        self.assertEqual([len(self.read(f"out-fold{k}-test.safetensors")["x"]) for k in (1, 2, 3, 4)], [2] * 4)

    def test_series_wrong(self):
        for content, text in (("", "the file is empty"), ("Date,Open\n", "expected a column 'Close' but there are Date, Open"),
                              ("Date,Close\nd,1\nd,nan\n", "s.csv:3: column 'Close': expected a number but got 'nan'"), ("Date,Close\nd\n", "s.csv:2: column 'Close'"),
                              ("Date,Close\nd,0\nd,1\n", "expected numbers above 0"), ("Date,Close\nd,1\nd,1\nd,1\n", "expected more rows")):
            self.assertIn(text, self.run_script("series.py", self.write("s.csv", content), "--columns", "Close", "-o", "out", code=1))

    # ---- Sentences ----

    def test_sentences_hold_back_and_know_only_training_words(self):
        self.write("neg", "".join(f"Bad film w{i}\n" for i in range(10)) + "bad film w0\n")
        self.write("pos", b"".join(b"caf\xe9 good v%d a b c\n" % i for i in range(10)))
        self.run_script("sentences.py", "neg", "pos", "--encoding", "cp1252", "--length", 4, "-o", "out")
        train, test, words = self.read("out-train.safetensors"), self.read("out-test.safetensors"), self.lines("out-vocabulary.txt")
        self.assertEqual((len(train["labels"]), len(test["labels"])), (18, 2)) # the sentence that stands twice counts once
        self.assertEqual(words[:2], ["<pad>", "<unknown>"])
        self.assertIn("café", words)
        for row in test["input_ids"]:
            self.assertEqual(row[2], 1) # w… and v… of the held-back sentences are in no other
        for row, label in zip(train["input_ids"], train["labels"]):
            self.assertEqual(words[row[0]], ("bad", "café")[label])
            self.assertEqual(row[3] == 0, label == 0)

    def test_sentences_wrong(self):
        self.write("neg", b"one\ncaf\xe9\n")
        self.assertIn("neg:2: expected utf-8 but got the byte 0xe9", self.run_script("sentences.py", "neg", "-o", "out", code=1))
        self.assertIn("expected more sentences", self.run_script("sentences.py", self.write("a", "x\ny\n"), "-o", "out", code=1))
        self.assertIn("but there is none", self.run_script("sentences.py", self.write("a", "\n\n"), "-o", "out", code=1))

    # ---- CoNLL ----

    def test_conll_labels_every_word_and_ignores_padding(self):
        self.write("train", "\ufeffIn\tO\nNew\tB-location\nYork\tI-location\n\nAda\tB-person\n")
        self.write("dev.conll", "york\tB-location\nzebra O\n")
        self.run_script("conll.py", "train", "dev.conll", "--length", 4, "-o", "out")
        words, tags = self.lines("out-vocabulary.txt"), self.lines("out-tags.txt")
        self.assertEqual(tags, ["O", "B-location", "I-location", "B-person"])
        train, dev = self.read("out-train.safetensors"), self.read("out-dev.safetensors")
        self.assertEqual(train["labels"], [[0, 1, 2, -100], [3, -100, -100, -100]])
        self.assertEqual(dev["input_ids"], [[words.index("york"), 1, 0, 0]])

    def test_conll_wrong(self):
        self.write("train", "a\tO\n\n")
        self.assertIn("dev:2: expected one of the training part's tags O but got 'B-x'", self.run_script("conll.py", "train", self.write("dev", "a\tO\nb\tB-x\n"), "-o", "out", code=1))
        self.assertIn("dev:1: expected a word and a tag but got 'alone'", self.run_script("conll.py", "train", self.write("dev", "alone\n"), "-o", "out", code=1))

    # ---- Streams ----

    def test_characters_round_trip(self):
        text = "To be,\nor not \\ to bé\r\n" * 3
        self.write("in.txt", text)
        self.run_script("characters.py", "in.txt", "--validation", 0.25, "-o", "out")
        pieces = [line.replace("\\n", "\n").replace("\\r", "\r").replace("\\\\", "\\") for line in self.lines("out-vocabulary.txt")]
        stream = self.read("out-train.safetensors")["stream"] + self.read("out-validation.safetensors")["stream"]
        self.assertEqual("".join(pieces[i] for i in stream), text)
        self.assertEqual(len(self.read("out-train.safetensors")["stream"]), int(len(text) * 0.75))

    def test_gpt2_merges_the_earliest_rule_first(self):
        pieces = ["h", "e", "l", "o", "Ġ", "'", "s", "Ã", "©", "1", "!", "Ċ", "he", "ll", "Ġhe", "hell", "'s", "Ġ1"]
        self.write("encoder.json", json.dumps({piece: i for i, piece in enumerate(pieces)}))
        self.write("vocab.bpe", "#version: 0.2\nl l\nh e\nĠ he\nhe ll\n' s\nĠ 1\n")
        self.write("in.txt", "hello hello's  1é!\n")
        self.run_script("gpt2_tokens.py", "in.txt", "--encoder", "encoder.json", "--merges", "vocab.bpe", "-o", "out")
        got = [pieces[i] for i in self.read("out.safetensors")["stream"]]
        self.assertEqual(got, ["hell", "o", "Ġhe", "ll", "o", "'s", "Ġ", "Ġ1", "Ã", "©", "!", "Ċ"])

    def test_gpt2_wrong(self):
        self.write("in.txt", "x")
        self.write("encoder.json", "{}")
        self.write("vocab.bpe", "a\n")
        words = ("gpt2_tokens.py", "in.txt", "--encoder", "encoder.json", "--merges", "vocab.bpe", "-o", "out")
        self.assertIn("expected two pieces in rule 1", self.run_script(*words, code=1))
        self.write("vocab.bpe", "a" * 10 ** 6)
        self.assertLess(len(self.run_script(*words, code=1)), 200)
        self.write("vocab.bpe", "a b\n")
        self.assertIn("expected a number for the piece 'x'", self.run_script(*words, code=1))
        self.write("encoder.json", "[1]")
        self.assertIn("expected an object", self.run_script(*words, code=1))

    # ---- Pairs ----

    def test_pairs_shift_the_target_and_keep_sources_apart(self):
        lines = "".join(f"Go {i}.\tVa {i} !\nGo {i}.\tAllez {i} !\n" for i in range(50)) + "much too long a sentence\tx\n"
        with zipfile.ZipFile(self.folder / "in.zip", "w") as archive:
            archive.writestr("_about.txt", "about")
            archive.writestr("fra.txt", lines)
        self.run_script("pairs.py", "in.zip", "--length", 4, "--held-back", 0.1, "-o", "out")
        train, test = self.read("out-train.safetensors"), self.read("out-test.safetensors")
        self.assertEqual((len(train["src"]), len(test["src"])), (90, 10))
        source, target = self.lines("out-source-vocabulary.txt"), self.lines("out-target-vocabulary.txt")
        for src, tgt, labels in zip(*(train[name] for name in ("src", "tgt", "labels"))):
            self.assertEqual([source[i] for i in src][2:], [".", "<end>", "<pad>"])
            self.assertEqual(tgt[0], target.index("<start>"))
            self.assertEqual([target[i] for i in labels][2:], ["!", "<end>", "<pad>"])
            self.assertEqual(tgt[1:4], labels[:3])
        self.assertEqual({source[row[0]] for row in train["src"]}, {"go"})
        self.assertEqual(len(self.lines("out-test.tsv")), 10)

    def test_pairs_wrong(self):
        self.assertIn("in.txt:2: expected two sentences with a tab between", self.run_script("pairs.py", self.write("in.txt", "a\tb\nc\n"), "-o", "out", code=1))
        self.assertIn("expected a zip archive", self.run_script("pairs.py", self.write("in.zip", "no"), "-o", "out", code=1))

    # ---- Tasks ----

    def test_tasks_hold_their_rules(self):
        self.run_script("tasks.py", "first", "--samples", 30, "-o", "first")
        got = self.read("first.safetensors")
        self.assertEqual([row[0] for row in got["x"]], got["y"])
        self.run_script("tasks.py", "rule", "--samples", 30, "-o", "rule")
        got = self.read("rule.safetensors")
        for row, target in zip(got["x"], got["targets"]):
            counts = [sum(token % 3 == c for token in row) for c in range(3)]
            self.assertTrue(all(counts[target] > count for c, count in enumerate(counts) if c != target))
        self.run_script("tasks.py", "copy", "--samples", 30, "-o", "copy")
        got = self.read("copy.safetensors")
        self.assertEqual(got["src"], got["labels"])
        self.run_script("tasks.py", "mean", "--samples", 3, "-o", "mean")
        got = self.read("mean.safetensors")
        for sample, (mean,) in zip(got["x"], got["target"]):
            self.assertAlmostEqual(sum(map(sum, sample)) / 100, mean, places=6)

    def test_tasks_too_large(self):
        self.assertIn("expected at most 100,000,000 numbers", self.run_script("tasks.py", "first", "--samples", 10 ** 14, "-o", "out", code=2))

    def test_tasks_depend_on_their_seed_alone(self):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            self.run_script("tasks.py", "batch", "--seed", seed, "-o", name)
        a, b, c = ((self.folder / f"{name}.safetensors").read_bytes() for name in "abc")
        self.assertEqual(a, b)
        self.assertNotEqual(a, c)

    # ---- Scores ----

    def tensors(self, name, **tensors):
        header, data = {}, b""
        for key, (dtype, shape, values) in tensors.items():
            raw = struct.pack(f"<{len(values)}{CODES[dtype]}", *values)
            header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(header).encode()
        return self.write(name, struct.pack("<Q", len(text)) + text + data)

    def output(self, name, *words):
        return subprocess.run([sys.executable, SCRIPTS / name, *map(str, words)], cwd=self.folder, capture_output=True, text=True, check=True).stdout

    def test_entities_count_whole(self):
        self.write("tags", "O\nB-x\nI-x\nB-y\n")
        true = self.tensors("true", labels=("I32", [2, 4], [1, 2, 0, 3, 0, 1, -100, -100]))
        guess = self.tensors("guess", tags=("I32", [2, 4], [1, 2, 0, 1, 0, 1, 3, 3]))
        self.assertIn("tokens 83.33 %  entities: precision 66.67 %  recall 66.67 %  F1 66.67 %", self.output("entity_f1.py", true, guess, "tags"))
        self.assertIn("expected a tensor 'tags'", self.run_script("entity_f1.py", true, true, "tags", code=1))
        self.assertIn("expected a safetensors file", self.run_script("entity_f1.py", "tags", guess, "tags", code=1))

    def test_bleu_is_the_published_formula(self):
        self.write("true", "x\tthe cat is on the mat\n")
        self.assertIn("BLEU 37.99", self.output("bleu.py", "true", self.write("out", "the cat sat on the mat\n")))
        self.write("words", "cat\nis\non\nthe\nmat\n")
        self.assertIn("BLEU 100.00", self.output("bleu.py", "true", self.write("out", "3 0 1 2 3 4\n"), "--vocabulary", "words"))
        self.assertIn("expected a translation for each", self.run_script("bleu.py", "true", self.write("out", "a\nb\n"), code=1))

    def test_a_hint_names_options_that_the_script_has(self):
        bad = self.write("bad", b"caf\xe9\tthe\n")
        self.assertIn("--encoding", self.run_script("characters.py", bad, "-o", "out", code=1))
        for script in ("series.py", "conll.py", "pairs.py"):
            self.assertNotIn("--encoding", self.run_script(script, bad, "-o", "out", code=1))

    def test_a_folder_that_is_not_there_is_named_with_the_file(self):
        self.assertEqual(self.run_script("tasks.py", "first", "-o", "none/out", code=3), "tasks.py: error: none/out.safetensors: No such file or directory\n")

    def test_help_and_usage(self):
        for path in SCRIPTS.glob("*.py"):
            if path.name != "files.py":
                self.run_script(path.name, "--help")
                self.run_script(path.name, code=2)


if __name__ == "__main__":
    unittest.main()
