#!/usr/bin/env python3
# `weft train` on small models: it learns, it goes on bitwise after every kind of end, and it refuses wrong data with the
# place of the mistake. kill_test.py interrupts saves.
import json
import math
import os
import random
import resource
import signal
import subprocess
import time
import unittest

from weft_cli import WEFT, CommandTest, read_safetensors, write_safetensors

# The class is the largest of three sums of the inputs: easy to learn, not linear.
MODEL = {
    "format": "1.0", "name": "pick", "dims": {"B": {"min": 1, "max": 64, "hint": 8}},
    "inputs": {"x": {"dtype": "f32", "shape": ["B", 6]}},
    "graph": [{"id": "up", "op": "linear", "in": "x", "features": 16, "activation": "relu"},
              {"id": "drop", "op": "dropout", "p": 0.1},
              {"id": "logits", "op": "linear", "features": 3}],
    "outputs": {"logits": "logits"},
    "train": {"inputs": {"y": {"dtype": "i32", "shape": ["B"]}},
              "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["logits", "y"]}], "loss": "loss",
              "optimizer": {"kind": "adam", "lr": 0.01}},
}
# A table of the next token: one row of logits for each token.
CHAIN = {
    "format": "1.0", "name": "chain", "dims": {"B": {"min": 1, "max": 64, "hint": 4}, "T": {"min": 1, "max": 32, "hint": 8}},
    "inputs": {"tokens": {"dtype": "i32", "shape": ["B", "T"], "range": [0, 6]}},
    "graph": [{"id": "one", "op": "iota", "size": 7}, {"id": "column", "op": "unsqueeze", "in": "tokens", "axis": 2},
              {"id": "hot", "op": "equal", "in": ["column", "one"]}, {"id": "hot_f", "op": "cast", "dtype": "f32"},
              {"id": "logits", "op": "linear", "features": 7}],
    "outputs": {"logits": "logits"},
    "train": {"inputs": {"targets": {"dtype": "i32", "shape": ["B", "T"]}},
              "nodes": [{"id": "loss", "op": "cross_entropy", "in": ["logits", "targets"], "ignore_index": -1}], "loss": "loss",
              "optimizer": {"kind": "adam", "lr": 0.05}},
}


def points(count, seed):
    draw = random.Random(seed)
    rows = [[draw.gauss(0, 1) for _ in range(6)] for _ in range(count)]
    sums = [[row[0] + row[1], row[2] + row[3], row[4] + row[5]] for row in rows]
    return {"x": ("F32", [count, 6], [v for row in rows for v in row]), "y": ("I32", [count], [s.index(max(s)) for s in sums])}


class Train(CommandTest):
    def setUp(self):
        super().setUp()
        (self.folder / "m.json").write_text(json.dumps(MODEL))
        (self.folder / "chain.json").write_text(json.dumps(CHAIN))
        self.data("d", points(200, 1))

    def data(self, name, tensors):
        write_safetensors(self.folder / f"{name}.safetensors", tensors)
        return f"{name}.safetensors"

    def train(self, *words, model="m.json", data="d.safetensors", code=0):
        return self.weft("train", model, *(["--data", data] if data else []), *words, code=code)

    def result(self, *words, **more):
        return json.loads(self.train("--json", "-q", *words, **more)[0])

    def steps(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def state(self, folder):
        newest = max((self.folder / folder).glob("step-*"))
        return newest.name, {path.name: path.read_bytes() for path in newest.iterdir()}

    # ---- Learning ----

    def test_a_model_learns_what_it_has_not_seen(self):
        self.data("test", points(300, 2))
        got = self.result("--epochs", 60, "--batch", 20, "--eval", "test.safetensors", "--export", "w.safetensors")
        self.assertGreater(got["eval_accuracy"], 0.93)
        self.assertEqual((got["steps"], got["batches"], got["samples"]), (600, 600, 12000))
        self.assertLess(got["eval_loss"], 0.3)
        # The exported weights are what was evaluated: the same accuracy through an inference entry.
        self.weft("run", "m.json", "--weights", "w.safetensors", "--inputs", self.data("x", {"x": ("F32", [64, 6], points(300, 2)["x"][2][:64 * 6])}), "--outputs", "o.safetensors")
        logits = read_safetensors(self.folder / "o.safetensors")["logits"][1]
        rows = [logits[i:i + 3] for i in range(0, len(logits), 3)]
        right = sum(row.index(max(row)) == y for row, y in zip(rows, points(300, 2)["y"][2]))
        self.assertGreater(right, 0.9 * 64)

    def test_memory_is_told_before_the_first_step(self):
        _, err = self.train("--steps", 2)
        lines = err.splitlines()
        self.assertRegex(lines[0], r"^weft: memory: parameters 652 bytes, gradients .*, moments .*, activations .*, other .*, in all .* at B=8$")
        self.assertRegex(lines[1], r"^step 1/2  loss [\d.]+  norm [\d.]+  lr 0.01  [\d,]+ samples/s  0:00 left$")

    def test_a_stream_trains_on_windows_with_shifted_targets(self):
        stream = self.data("s", {"stream": ("I32", [700], [i % 7 for i in range(700)])})
        got = self.result("--steps", 300, "--eval", stream, model="chain.json", data=stream)
        self.assertEqual(got["eval_accuracy"], 1.0)
        self.assertLess(got["eval_loss"], 0.05)
        self.assertEqual(got["tokens"], 300 * 4 * 8)
        got = self.result("--steps", 1, "--dim", "T=20,B=2", model="chain.json", data=stream)
        self.assertEqual(got["tokens"], 40)

    def test_whole_batches_are_cycled(self):
        for i, count in enumerate((8, 5)):
            self.data(f"b{i}", points(count, i))
        got = self.result("--steps", 5, "--log", "l.jsonl", "--batches", "b0.safetensors", "b1.safetensors", data=None)
        self.assertEqual(got["samples"], 8 + 5 + 8 + 5 + 8)

    def test_evaluation_does_not_depend_on_the_batch(self):
        self.data("test", points(50, 2))
        got = [self.result("--steps", 0, "--seed", 4, "--eval", "test.safetensors", "--batch", batch) for batch in (1, 7, 50)]
        for other in got[1:]:
            self.assertAlmostEqual(other["eval_loss"], got[0]["eval_loss"], places=6)
            self.assertEqual(other["eval_accuracy"], got[0]["eval_accuracy"])

    def test_ignored_labels_do_not_count(self):
        stream = [i % 7 for i in range(64)]
        tokens, targets = stream[:-1], stream[1:]
        full = self.data("full", {"tokens": ("I32", [3, 20], tokens[:60]), "targets": ("I32", [3, 20], targets[:60])})
        half = self.data("half", {"tokens": ("I32", [3, 20], tokens[:60]), "targets": ("I32", [3, 20], [t if i < 20 else -1 for i, t in enumerate(targets[:60])])})
        one = self.data("one", {"tokens": ("I32", [1, 20], tokens[:20]), "targets": ("I32", [1, 20], targets[:20])})
        losses = {name: self.result("--steps", 0, "--batch", 1, "--eval", name, model="chain.json", data=full)["eval_loss"] for name in (half, one)}
        self.assertAlmostEqual(losses[half], losses[one], places=6)

    def with_loss(self, name, *nodes, **train):
        nodes = [{"id": "ce", "op": "cross_entropy", "in": ["logits", "targets"], "ignore_index": -1}, *nodes]
        (self.folder / name).write_text(json.dumps({**CHAIN, "train": {**CHAIN["train"], "nodes": nodes, **train}}))
        return name

    def half_ignored(self):
        stream = [i % 7 for i in range(81)]
        targets = [t if i < 20 or i % 3 == 0 else -1 for i, t in enumerate(stream[1:])]
        return self.data("half", {"tokens": ("I32", [4, 20], stream[:80]), "targets": ("I32", [4, 20], targets)})

    def test_a_factor_of_a_mean_does_not_change_what_batches_count(self):
        data, model = self.half_ignored(), self.with_loss("twice.json", {"id": "loss", "op": "mul", "value": 2})
        losses = [self.result("--steps", 0, "--batch", batch, "--eval", data, model=model, data=data)["eval_loss"] for batch in (1, 2, 4)]
        self.assertAlmostEqual(losses[0], losses[2], places=5)
        self.assertAlmostEqual(losses[1], losses[2], places=5)
        steps = [self.result("--steps", 1, "--batch", 4 // parts, "--no-shuffle", model=self.with_loss(f"{parts}.json", {"id": "loss", "op": "mul", "value": 2}, accumulate=parts), data=data)
                 for parts in (1, 2, 4)]
        for step in steps[1:]:
            self.assertAlmostEqual(step["loss"], steps[0]["loss"], places=5)
            self.assertAlmostEqual(step["grad_norm"], steps[0]["grad_norm"], places=5)

    def test_a_loss_of_several_means_says_that_batches_count_by_samples(self):
        more = [{"id": "size", "op": "mul", "in": ["logits", "logits"]}, {"id": "m", "op": "mean"}, {"id": "loss", "op": "add", "in": ["ce", "m"]}]
        data, model = self.half_ignored(), self.with_loss("both.json", *more, accumulate=2)
        _, err = self.train("--steps", 1, "--batch", 2, "--eval", data, model=model, data=data)
        self.assertIn("warning: accumulate: the loss is not the mean of node 'ce' alone, so a batch counts by its samples and not by its labels", err)
        self.assertIn("--eval: the loss is not the mean of node 'ce' alone", err)

    def test_a_weights_file_of_the_model_that_is_not_read_is_spoken_of(self):
        (self.folder / "filed.json").write_text(json.dumps({**MODEL, "weights": {"file": "none.safetensors"}}))
        _, err = self.train("--steps", 1, "--seed", 3, model="filed.json")
        self.assertIn("parameters are drawn with seed 3, not read from the model's 'none.safetensors'", err)

    # ---- Order and sameness ----

    def test_threads_do_not_change_the_result(self):
        for threads in (1, 2, 4):
            self.train("-q", "--steps", 30, "--threads", threads, "--save", f"s{threads}")
        self.assertEqual(self.state("s1"), self.state("s2"))
        self.assertEqual(self.state("s1"), self.state("s4"))

    def test_seed_and_shuffle_choose_the_order(self):
        def losses(*words):
            self.train("-q", "--steps", 25, "--init", 0, "--log", "l.jsonl", *words)
            return [step["loss"] for step in self.steps("l.jsonl")]
        first = losses("--seed", 1)
        self.assertEqual(losses("--seed", 1), first)
        self.assertNotEqual(losses("--seed", 2), first)
        self.assertNotEqual(losses("--seed", 1, "--no-shuffle"), first)

    def test_an_epoch_shows_every_sample_once(self):
        # With a rate that moves nothing and no dropout the losses of an epoch are those of all samples, in another order.
        model = json.loads(json.dumps(MODEL))
        model["graph"][1]["p"] = 0
        model["train"]["optimizer"] = {"kind": "sgd", "lr": 1e-30}
        (self.folder / "still.json").write_text(json.dumps(model))
        self.data("few", points(10, 3))
        self.train("-q", "--epochs", 2, "--batch", 1, "--log", "l.jsonl", model="still.json", data="few.safetensors")
        losses = [step["loss"] for step in self.steps("l.jsonl")]
        self.assertEqual(sorted(losses[:10]), sorted(losses[10:]))
        self.assertNotEqual(losses[:10], losses[10:])

    # ---- Checkpoints ----

    def test_limits_hold_for_data_and_the_plan(self):
        header = int.from_bytes((self.folder / "d.safetensors").read_bytes()[:8], "little")
        err = self.train("--steps", 2, "--limit", f"headerBytes={header - 1}", code=4)[1]
        self.assertIn(f"d.safetensors: error: expected a header of at most {header - 1} bytes but got {header}", err)
        self.assertIn("hint: --limit", err)
        self.train("-q", "--steps", 2, "--limit", f"headerBytes={header}")
        self.assertIn("the limit is 1", self.train("--steps", 2, "--limit", "arenaBytes=1", code=4)[1])

    def test_resumed_training_is_the_uninterrupted_one(self):
        self.train("-q", "--steps", 60, "--save", "whole", "--log", "whole.jsonl")
        self.train("-q", "--steps", 37, "--save", "parts", "--log", "parts.jsonl")
        self.train("-q", "--steps", 60, "--resume", "parts", "--log", "parts.jsonl")
        self.assertEqual(self.state("whole"), self.state("parts"))
        same = ("step", "loss", "grad_norm", "lr", "samples")
        self.assertEqual(*([[step[key] for key in same] for step in self.steps(name)] for name in ("whole.jsonl", "parts.jsonl")))

    def test_the_newest_checkpoints_are_kept(self):
        self.train("-q", "--steps", 50, "--save", "s", "--save-every", 10, "--keep", 2)
        self.assertEqual(sorted(p.name for p in (self.folder / "s").iterdir()), ["step-0000000040", "step-0000000050"])

    def test_resume_refuses_other_data_and_order(self):
        self.train("-q", "--steps", 5, "--save", "s")
        self.data("other", points(200, 9))
        for words, text in ((("--batch", 4), "expected batch 8 as in the checkpoint in 's' but got 4"), (("--seed", 3), "expected a checkpoint of seed "), (("--no-shuffle",), "expected shuffle yes")):
            self.assertIn(text, self.train("--steps", 9, "--resume", "s", *words, code=1)[1])
        self.assertIn("expected data ", self.train("--steps", 9, "--resume", "s", data="other.safetensors", code=1)[1])
        self.assertIn("chain", self.train("--steps", 9, "--resume", "s", model="chain.json", data=self.data("st", {"stream": ("I32", [99], [1] * 99)}), code=1)[1])

    def test_resume_refuses_another_model(self):
        """Of the same name and parameters: what differs is named. What losses do not depend on may differ, and what sets up the training."""
        self.train("-q", "--steps", 5, "--save", "s")
        after = {"id": "p", "op": "softmax", "axis": -1}
        for change, text in (
                (lambda m: m["graph"][0].update(activation="tanh"), "node 'up' (linear) has other attributes or operands than in the checkpoint in 's'"),
                (lambda m: (m["graph"][1].update(op="tanh"), m["graph"][1].pop("p")), "node 'drop': expected 'dropout' as in the checkpoint in 's' but got 'tanh'"),
                (lambda m: m["graph"].pop(1), "expected a node 'drop' (dropout) as in the checkpoint in 's'"),
                (lambda m: m["graph"].insert(1, {"id": "more", "op": "tanh"}), "node 'more' (tanh) is not in the model of the checkpoint in 's'"),
                (lambda m: (m["graph"].append(after), m["outputs"].update(p="p"), m["graph"][1].update(p=0.2)), None),
                (lambda m: (m["train"]["nodes"][0].update(label_smoothing=0.1), m["train"]["optimizer"].update(lr=0.02)), None)):
            model = json.loads(json.dumps(MODEL))
            change(model)
            (self.folder / "other.json").write_text(json.dumps(model))
            _, err = self.train("-q", "--steps", 9, "--resume", "s", "--save", "s2" if text else "s3", model="other.json", code=1 if text else 0)
            if text:
                self.assertIn(f"{text}\n  hint: training goes on with the same model only; --weights takes a checkpoint's model.safetensors", err)

    def test_resume_of_no_folder_of_checkpoints(self):
        self.assertIn("can't open the folder 'none': No such file or directory", self.train("--steps", 3, "--resume", "none", code=3)[1])
        self.assertFalse((self.folder / "none").exists())
        (self.folder / "empty").mkdir()
        self.assertIn("there is no checkpoint", self.train("--steps", 3, "--resume", "empty", code=1)[1])
        self.train("--steps", 2, "--save", "s")
        _, err = self.train("--steps", 3, "--resume", "s/step-0000000002", code=3)
        self.assertIn("'s/step-0000000002' is one checkpoint\n  hint: --resume takes the folder that it lies in", err)

    def test_what_is_read_is_not_written_over(self):
        names = [self.data(f"b{i}", points(8, i)) for i in range(2)]
        before = {name: (self.folder / name).read_bytes() for name in self.files()}
        for words in (("--log", names[1]), ("--export", names[1]), ("--export", "./" + names[0])):
            self.assertIn("is an input file", self.train("--batches", *names, "--steps", 2, *words, data=None, code=2)[1])
        self.assertIn("the model file itself", self.train("--steps", 2, "--export", "m.json", code=2)[1])
        self.assertIn("expected outputs in files of their own but got './o.st' twice", self.train("--steps", 2, "--export", "o.st", "--log", "./o.st", code=2)[1])
        self.assertEqual({name: (self.folder / name).read_bytes() for name in self.files()}, before)

    def test_weights_go_to_the_file_that_the_model_names(self):
        """Training draws parameters and does not read that file; what runs the model does."""
        (self.folder / "own.json").write_text(json.dumps({**MODEL, "weights": {"file": "own.safetensors"}}))
        self.weft("init", "own.json", "--save", "own.safetensors")
        self.train("-q", "--steps", 2, "--export", "own.safetensors", model="own.json")
        self.weft("run", "own.json", "--inputs", self.data("x", {"x": ("F32", [1, 6], [1] * 6)}))

    def test_a_folder_with_checkpoints_is_not_mixed(self):
        self.train("-q", "--steps", 5, "--save", "s")
        _, err = self.train("--steps", 5, "--save", "s", code=2)
        self.assertIn("'s' has the checkpoints of an earlier training", err)

    def test_two_trainings_do_not_share_a_folder(self):
        first = self.start("--steps", 10000000, "--save", "s", "--log", "l.jsonl")
        try:
            self.wait_for_steps("l.jsonl", 1)
            _, err = self.train("--steps", 5, "--save", "s", code=3)
            self.assertIn("'s' is in use by another training", err)
        finally:
            first.kill()
            first.communicate()

    def start(self, *words):
        return subprocess.Popen([WEFT, "train", "m.json", "--data", "d.safetensors", "-q", *map(str, words)], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait_for_steps(self, log, count):
        for _ in range(3000):
            path = self.folder / log
            if path.exists() and path.read_bytes().count(b"\n") >= count:
                return
            time.sleep(0.01)
        self.fail(f"{log} never had {count} lines")

    def test_signals_finish_the_step_and_save(self):
        self.train("-q", "--steps", 400, "--save", "whole")
        for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            folder = f"s{code}"
            process = self.start("--steps", 10000000, "--save", folder, "--log", f"{code}.jsonl")
            self.wait_for_steps(f"{code}.jsonl", 3)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, code, err)
            name, _ = self.state(folder)
            logged = self.steps(f"{code}.jsonl")[-1]["step"]
            self.assertEqual(name, f"step-{logged:010d}")
            self.train("-q", "--steps", logged + 10, "--resume", folder)
        self.assertEqual([p for p in self.files() if ".tmp" in p], [])

    def test_a_failed_save_leaves_the_checkpoints_before_it(self):
        self.train("-q", "--steps", 10, "--save", "s")
        before = self.state("s")
        done = subprocess.run([WEFT, "train", "m.json", "--data", "d.safetensors", "--steps", "20", "--resume", "s"], cwd=self.folder, capture_output=True, text=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600)))
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(self.state("s"), before)
        self.train("-q", "--steps", 20, "--resume", "s")

    # ---- Log ----

    def test_log_has_one_object_a_step_and_evaluations(self):
        self.train("-q", "--steps", 20, "--eval", "d.safetensors", "--eval-every", 10, "--log", "l.jsonl")
        lines = self.steps("l.jsonl")
        evals = [line for line in lines if "eval_loss" in line]
        self.assertEqual([line["step"] for line in evals], [10, 20])
        self.assertEqual([line["step"] for line in lines], list(range(1, 21)))
        steps = lines
        self.assertEqual(set(evals[0]) - set(steps[0]), {"eval_loss", "eval_accuracy"})
        self.assertEqual(set(steps[0]), {"step", "loss", "grad_norm", "lr", "epoch", "samples", "tokens", "tokens_per_s", "seconds", "skipped"})
        self.assertEqual((steps[-1]["samples"], steps[-1]["lr"]), (160, 0.01))

    def test_a_log_that_can_not_be_written(self):
        self.train("--steps", 5, "--log", "none/l.jsonl", code=3)
        _, err = self.train("--steps", 5, "--log", "/dev/full", code=3)
        self.assertIn("can't write '/dev/full'", err)

    # ---- Wrong data ----

    def test_wrong_data_is_refused_before_the_first_step(self):
        good = points(20, 1)
        x, y = good["x"], good["y"]
        nan = list(x[2])
        nan[6 * 7 + 2] = math.nan
        late = list(y[2])
        late[13] = 3
        table = [
            ({"x": x}, "tensor 'y': expected this input of entry 'train_step' but it is not in the file"),
            ({"x": x, "z": y}, "did you mean 'x' or 'z'?"),
            ({"x": x, "y": ("I32", [19], y[2][:19])}, "tensor 'y': expected 20 samples as in 'x' but got 19"),
            ({"x": ("F32", [20, 6], nan), "y": y}, "tensor 'x': sample 7, element [2]: expected a finite number but got NaN"),
            ({"x": ("F32", [20, 6], [math.inf] + x[2][1:]), "y": y}, "tensor 'x': sample 0, element [0]: expected a finite number but got infinity"),
            ({"x": x, "y": ("I32", [20], late)}, "tensor 'y': sample 13: expected 0..2 or -100 but got 3"),
            ({"x": x, "y": ("I64", [20], [1 << 40] + y[2][1:])}, "tensor 'y': sample 0: expected 0..2 or -100 but got 1099511627776"),
            ({"x": ("F32", [24, 5], x[2]), "y": ("I32", [24], [0] * 24)}, "tensor 'x': axis 1 (6): expected 6 but got 5"),
            ({"x": ("F32", [120], x[2]), "y": y}, "tensor 'x': expected [samples, 6] but got [120]"),
            ({"x": ("I32", [20, 6], [0] * 120), "y": y}, "tensor 'x': expected f32 but got i32"),
            ({"x": ("F32", [0, 6], []), "y": ("I32", [0], [])}, "tensor 'x': expected samples but got none"),
        ]
        for tensors, text in table:
            _, err = self.train("--steps", 1, data=self.data("wrong", tensors), code=1)
            self.assertIn("wrong.safetensors: error: ", err)
            self.assertIn(text, err)

    def test_wrong_streams(self):
        for tensor, text in ((("F32", [30], [0.0] * 30), "expected integers with one axis but got [30] f32"), (("I32", [5, 6], [0] * 30), "expected integers with one axis but got [5, 6]"),
                             (("I32", [30], [0] * 29 + [7]), "tensor 'stream': element [29]: expected 0..6 but got 7"), (("I32", [8], [0] * 8), "expected at least 9 tokens for a window of 8 but got 8")):
            self.assertIn(text, self.train("--steps", 1, model="chain.json", data=self.data("s", {"stream": tensor}), code=1)[1])
        self.assertIn("has other inputs", self.train("--steps", 1, data=self.data("s", {"stream": ("I32", [30], [0] * 30)}), code=1)[1])

    def test_wrong_batches(self):
        self.data("b", points(65, 1))
        self.assertIn("axis B: expected 1..64 but got 65", self.train("--steps", 1, "--batches", "b.safetensors", data=None, code=1)[1])
        bad = points(4, 1)
        bad["y"] = ("I32", [4], [0, 1, 9, 0])
        self.data("b", bad)
        self.assertIn("tensor 'y': element [2]: expected 0..2", self.train("--steps", 1, "--batches", "b.safetensors", data=None, code=1)[1])

    def test_batch_larger_than_the_data(self):
        _, err = self.train("--steps", 1, "--batch", 30, data=self.data("few", points(20, 1)), code=1)
        self.assertIn("expected a batch of at most 20 samples, as 'few.safetensors' has, but got 30", err)
        self.train("--steps", 1, "--batch", 65, code=2)

    def test_damaged_and_missing_files(self):
        (self.folder / "half.safetensors").write_bytes((self.folder / "d.safetensors").read_bytes()[:-10])
        self.train("--steps", 1, data="half.safetensors", code=1)
        self.train("--steps", 1, data="none.safetensors", code=3)
        self.train("--steps", 1, "--weights", "none.safetensors", code=3)

    def test_a_file_cut_while_it_is_read(self):
        big = points(3000, 1)
        self.data("big", big)
        process = subprocess.Popen([WEFT, "train", "m.json", "--data", "big.safetensors", "-q", "--steps", "100000000", "--log", "l.jsonl"], cwd=self.folder,
                                   stderr=subprocess.PIPE, text=True)
        self.wait_for_steps("l.jsonl", 1)
        with open(self.folder / "big.safetensors", "r+b") as file:
            file.truncate(100)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, err)
        self.assertIn("was cut while it was in use", err)

    def explosive(self):
        model = json.loads(json.dumps(MODEL))
        model["train"]["optimizer"] = {"kind": "sgd", "lr": 1e30}
        (self.folder / "boom.json").write_text(json.dumps(model))
        return "boom.json"

    def squared(self):
        model = {**MODEL, "train": {"nodes": [{"id": "square", "op": "mul", "in": ["logits", "logits"]}, {"id": "loss", "op": "mean"}], "loss": "loss",
                                    "optimizer": {"kind": "sgd", "lr": 1e-30}}}
        (self.folder / "squared.json").write_text(json.dumps(model))
        return "squared.json"

    def test_numbers_that_are_not_finite_stop_training(self):
        _, err = self.train("--steps", 50, model=self.explosive(), code=1)
        self.assertIn("--on-nonfinite skip leaves such updates out", err)

    def test_the_batch_that_is_not_finite_is_named(self):
        huge = points(40, 1)
        huge["x"][2][23 * 6] = 3e38
        _, err = self.train("--steps", 5, "--batch", 10, "--no-shuffle", "--init", 1, data=self.data("huge", huge), model=self.squared(), code=1)
        self.assertRegex(err, r"step 3: the loss is inf; the first value that is not finite is that of node 'square' \(squared.json:1:\d+\): \[\d, \d\] is inf \(computed without dropout\)\n"
                              r"  hint: the batch was samples 20..29; --on-nonfinite")

    def test_data_that_is_not_finite_stops_or_is_left_out_as_asked(self):
        bad = points(40, 1)
        bad["x"][2][27 * 6 + 3] = float("nan")
        data = self.data("bad", bad)
        words = ("--steps", 8, "--batch", 5, "--no-shuffle", "--init", 1)
        _, err = self.train(*words, data=data, code=1)
        self.assertIn("bad.safetensors: error: tensor 'x': sample 27, element [3]: expected a finite number but got NaN\n  hint: --on-nonfinite skip", err)
        out, err = self.train(*words, "--on-nonfinite", "skip", data=data)
        self.assertIn("bad.safetensors: warning: tensor 'x': sample 27, element [3]: expected a finite number but got NaN\n", err)
        self.assertIn("warning: step 6: the update is left out, as its loss or gradient is not finite; input 'x' is not finite: [2, 3] is nan", err)
        self.assertRegex(out, r"^pick: 7 steps, 1 skipped, loss [\d.]+, ")
        _, err = self.train(*words, "--on-nonfinite", "skip", "--eval", data, code=1)
        self.assertIn("bad.safetensors: error: tensor 'x': sample 27, element [3]: expected a finite number but got NaN\n", err)
        self.assertNotIn("hint", err)

    def deep(self, train=None, start=0.1):
        """Rounds that square their value: small ones stay small, and a value of 1e3 overflows in the fourth round."""
        body = [{"id": "up", "op": "linear", "in": "x", "features": 6, "bias": False}, {"id": "sq", "op": "mul", "in": ["x", "x"]}, {"id": "out", "op": "add", "in": ["up", "sq"]}]
        model = {**MODEL, "blocks": {"layer": {"in": ["x"], "nodes": body, "out": "out"}},
                 "graph": [{"id": "h", "op": "repeat", "in": {"x": "x"}, "carry": ["x"], "count": 6, "index": "i", "scope": "h.{i}", "block": "layer"}, {"id": "logits", "op": "linear", "features": 3}],
                 "init": {"default": {"constant": 0.01}},
                 "train": {"inputs": {}, "nodes": [{"id": "loss", "op": "mean", "in": "logits"}], "loss": "loss", "optimizer": {"kind": "sgd", "lr": 1e-30}, **(train or {})}}
        (self.folder / "deep.json").write_text(json.dumps(model, indent=1))
        line = (self.folder / "deep.json").read_text().splitlines().index('     "id": "sq",')
        x = [start] * 240
        x[27 * 6 + 4] = 1e3
        return line, self.data("deep", {"x": ("F32", [40, 6], x)})

    def test_the_round_of_a_repeat_that_is_not_finite_is_named(self):
        line, data = self.deep()
        _, err = self.train("--steps", 8, "--batch", 5, "--no-shuffle", model="deep.json", data=data, code=1)
        self.assertIn(f"step 6: the loss is inf; the first value that is not finite is that of node 'h[3].sq' (deep.json:{line}:5): [2, 4] is inf\n"
                      "  hint: the batch was samples 25..29; --on-nonfinite", err)

    def test_the_samples_of_a_shuffled_batch_are_listed(self):
        _, data = self.deep()
        _, err = self.train("--steps", 8, "--batch", 5, model="deep.json", data=data, code=1)
        self.assertRegex(err, r"hint: the batch was samples (\d+, )*27\b")

    def test_the_batch_of_an_update_that_is_not_finite_is_named(self):
        _, data = self.deep({"accumulate": 4})
        _, err = self.train("--steps", 2, "--batch", 5, "--no-shuffle", model="deep.json", data=data, code=1)
        self.assertIn("step 2: the loss is inf; the first value that is not finite is that of node 'h[3].sq'", err)
        self.assertIn("hint: the batch was samples 25..29", err)

    def test_steps_are_counted_alike_everywhere(self):
        """An update that is left out has a number, and a line of the log if something was evaluated after it."""
        bad = points(40, 1)
        bad["x"][2][27 * 6 + 3] = float("nan")
        _, err = self.train("--steps", 6, "--batch", 5, "--no-shuffle", "--init", 1, "--on-nonfinite", "skip", "--eval", "d.safetensors", "--eval-every", 6, "--save", "s", "--log", "l.jsonl",
                            data=self.data("bad", bad))
        self.assertRegex(err, r"step 6/6  not finite, left out(.|\n)*step 6  eval loss")
        lines = self.steps("l.jsonl")
        self.assertEqual([line["step"] for line in lines], [1, 2, 3, 4, 5, 6])
        self.assertEqual(("loss" in lines[5], "eval_loss" in lines[5], lines[5]["skipped"]), (False, True, 1))
        _, err = self.train("--steps", 8, "--batch", 5, "--no-shuffle", "--on-nonfinite", "skip", "--resume", "s", "--log", "l.jsonl", data="bad.safetensors")
        self.assertIn("goes on from step 6 in 's'", err)
        self.assertEqual([line["step"] for line in self.steps("l.jsonl")], [1, 2, 3, 4, 5, 6, 7, 8])

    def test_the_first_update_that_is_skipped_is_explained(self):
        _, data = self.deep()
        out, err = self.train("--steps", 8, "--batch", 5, "--no-shuffle", "--on-nonfinite", "skip", model="deep.json", data=data)
        self.assertEqual(err.count("warning: step 6: the update is left out, as its loss or gradient is not finite; the first value that is not finite is that of node 'h[3].sq'"), 1)
        self.assertRegex(err, r"step 6/8  not finite, left out  .*skipped 1")
        self.assertRegex(out, r"^pick: 7 steps, 1 skipped, loss [\d.]+, ")

    def test_a_parameter_that_is_not_finite_is_named(self):
        _, data = self.deep()
        self.weft("init", "deep.json", "--seed", 1, "--save", "w.safetensors")
        weights = read_safetensors(self.folder / "w.safetensors")
        weights["h.4.up.weight"][1][8] = float("nan")
        write_safetensors(self.folder / "w.safetensors", {name: ("F32", *tensor) for name, tensor in weights.items()})
        _, err = self.train("--steps", 1, "--weights", "w.safetensors", model="deep.json", data=data, code=1)
        self.assertRegex(err, r"the loss is nan; parameter 'h.4.up.weight', which node 'h\[4\].up' \(deep.json:\d+:5\) reads, is not finite: \[1, 2\] is nan")

    def rooted(self, name, graph, train=None, **more):
        """A model that ends in a mean; sqrt has a slope of infinity at 0."""
        graph = graph + [{"id": "logits", "op": "linear", "features": 3}]
        train = {"nodes": [{"id": "loss", "op": "mean", "in": "logits"}], "loss": "loss", "optimizer": {"kind": "sgd", "lr": 1e-30}, **(train or {})}
        (self.folder / name).write_text(json.dumps({**MODEL, "graph": graph, "train": train, **more}))
        return name

    def test_the_node_that_makes_a_gradient_not_finite_is_named(self):
        graph = [{"id": "before", "op": "linear", "in": "x", "features": 4}, {"id": "zero", "op": "mul", "in": "before", "value": 0}, {"id": "root", "op": "sqrt"},
                 {"id": "up", "op": "linear", "features": 4}]
        _, err = self.train("--steps", 1, model=self.rooted("root.json", graph), code=1)
        self.assertRegex(err, r"the gradient of before\.\w+\[0.*\] is nan; every value of the forward pass is finite; the first gradient that is not finite is made by "
                              r"node 'root' \(root.json:1:\d+\), that of its operand 'zero': \[0, 0\] is -?inf\n")

    def test_the_round_that_makes_a_gradient_not_finite_is_named(self):
        # x counts down from 3 to 0, where the root of its square has no slope.
        body = [{"id": "square", "op": "mul", "in": ["x", "x"]}, {"id": "root", "op": "sqrt"}, {"id": "more", "op": "add", "in": ["s", "root"]}, {"id": "less", "op": "sub", "in": "x", "value": 1}]
        graph = [{"id": "zero", "op": "linear", "in": "x", "features": 4}, {"id": "three", "op": "sub", "value": -3},
                 {"id": "h", "op": "repeat", "in": {"x": "three", "s": "zero"}, "carry": ["x", "s"], "out": ["end", "sum"], "count": 6, "index": "i", "block": "layer"},
                 {"id": "up", "op": "linear", "in": "sum", "features": 4}]
        model = self.rooted("rounds.json", graph, blocks={"layer": {"in": ["x", "s"], "nodes": body, "out": ["less", "more"]}}, init={"zero.*": "zeros"})
        _, err = self.train("--steps", 1, model=model, code=1)
        self.assertRegex(err, r"the first gradient that is not finite is made by node 'h\[3\].root' \(rounds.json:1:\d+\), that of its operand 'square': \[0, 0\] is -?inf")

    def test_a_value_that_others_read_too_does_not_blame_them(self):
        graph = [{"id": "before", "op": "linear", "in": "x", "features": 4}, {"id": "zero", "op": "mul", "in": "before", "value": 0}, {"id": "root", "op": "sqrt"},
                 {"id": "good", "op": "tanh", "in": "zero"}, {"id": "sum", "op": "add", "in": ["root", "good"]}]
        _, err = self.train("--steps", 1, model=self.rooted("shared.json", graph), code=1)
        self.assertIn("is made by node 'root' (shared.json", err)

    def test_the_batch_whose_gradient_is_not_finite_is_named(self):
        graph = [{"id": "up", "op": "linear", "in": "x", "features": 4, "bias": False}, {"id": "square", "op": "mul", "in": ["up", "up"]}, {"id": "root", "op": "sqrt"}]
        x = [0.5] * 240
        x[27 * 6:28 * 6] = [0] * 6
        model = self.rooted("batch.json", graph, train={"accumulate": 4})
        _, err = self.train("--steps", 2, "--batch", 5, "--no-shuffle", model=model, data=self.data("zeros", {"x": ("F32", [40, 6], x)}), code=1)
        self.assertIn("is made by node 'root' (batch.json", err)
        self.assertIn("that of its operand 'square': [2, 0] is", err)
        self.assertIn("hint: the batch was samples 25..29", err)

    def test_the_search_for_a_gradient_takes_memory_as_the_training_does(self):
        # Gradients of all nodes of all rounds are 300 MB, and were held four times. The root is of 0 in one round.
        body = [{"id": "a", "op": "parameter", "shape": [256]}, {"id": "by", "op": "mul", "in": ["x", "a"]}, *({"id": f"n{node}", "op": ("tanh", "silu")[node % 2]} for node in range(9)),
                {"id": "b", "op": "parameter", "shape": [1]}, {"id": "zero", "op": "mul", "in": "x", "value": 0}, {"id": "sum", "op": "add", "in": ["zero", "b"]},
                {"id": "square", "op": "mul", "in": ["sum", "sum"]}, {"id": "root", "op": "sqrt"}, {"id": "more", "op": "add", "in": ["n8", "root"]}]
        graph = [{"id": "up", "op": "linear", "in": "x", "features": 256},
                 {"id": "h", "op": "repeat", "in": {"x": "up"}, "carry": ["x"], "count": 12, "index": "i", "scope": "h.{i}", "block": "layer"}]
        model = {"format": "1.0", "name": "wide", "dims": {"B": {"min": 1, "max": 4096, "hint": 8}}, "inputs": {"x": {"dtype": "f32", "shape": ["B", 6]}},
                 "blocks": {"layer": {"in": ["x"], "nodes": body, "out": "more"}}, "graph": graph, "outputs": {"end": "h"}, "init": {"h.3.b": "zeros", "default": "ones"},
                 "train": {"nodes": [{"id": "loss", "op": "mean", "in": "h"}], "loss": "loss", "optimizer": {"kind": "sgd", "lr": 1e-30}}}
        (self.folder / "wide.json").write_text(json.dumps(model))
        data = self.data("rows", {"x": ("F32", [2048, 6], [0.5] * 12288)})
        with open(self.folder / "err", "w") as err:
            process = subprocess.Popen([WEFT, "train", "wide.json", "--data", data, "--batch", "2048", "--steps", "1", "--on-nonfinite", "skip"], cwd=self.folder, stderr=err)
            _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        err = (self.folder / "err").read_text()
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("made by node 'h[3].root' (wide.json:1:", err)
        self.assertLess(used.ru_maxrss, 500_000)

    def test_a_search_that_fails_names_a_parameter_and_training_goes_on(self):
        # A model of standard input can't be read again.
        graph = [{"id": "before", "op": "linear", "in": "x", "features": 4}, {"id": "zero", "op": "mul", "value": 0}, {"id": "root", "op": "sqrt"}]
        model = (self.folder / self.rooted("root.json", graph)).read_text()
        out, err = self.weft("train", "-", "--data", "d.safetensors", "--batch", 8, "--steps", 2, "--on-nonfinite", "skip", stdin=model)
        self.assertIn("weft: note: the search for where that begins ended early: ", err)
        self.assertRegex(err, r"step 1: the update is left out, as its loss or gradient is not finite; the backward pass comes to a gradient that is not finite at "
                              r"node 'before' \(<stdin>:1:\d+\), by its parameter 'before\.\w+'")
        self.assertIn("pick: 0 steps, 2 skipped", out)

    def test_what_dropout_alone_makes_not_finite_is_named_by_a_parameter(self):
        graph = [{"id": "up", "op": "linear", "in": "x", "features": 1}, {"id": "drop", "op": "dropout", "p": 0.5}, {"id": "by", "op": "linear", "features": 1, "bias": False},
                 {"id": "square", "op": "mul", "in": ["by", "by"]}, {"id": "root", "op": "sqrt"}]
        _, err = self.train("--steps", 1, model=self.rooted("drop.json", graph), code=1)
        self.assertRegex(err, r"the backward pass comes to a gradient that is not finite at node 'by' \(drop.json:1:\d+\), by its parameter 'by\.weight' \(computed without dropout\)")

    def test_an_input_is_blamed_though_the_loss_is_finite(self):
        # The number is finite in the file and too large for f32; tanh makes 1 of it.
        graph = [{"id": "up", "op": "linear", "in": "x", "features": 4, "activation": "tanh"}, {"id": "logits", "op": "linear", "features": 3}]
        (self.folder / "tanh.json").write_text(json.dumps({**MODEL, "graph": graph}))
        x, y = points(8, 1)["x"][2], points(8, 1)["y"]
        x[9] = 1e300
        _, err = self.train("--steps", 1, "--batch", 8, "--no-shuffle", model="tanh.json", data=self.data("big", {"x": ("F64", [8, 6], x), "y": y}), code=1)
        self.assertIn("step 1: input x[1, 3] is inf\n", err)

    def test_infinities_that_a_mask_means_are_not_blamed(self):
        graph = [{"id": "negative", "op": "less", "in": "x", "value": 0}, {"id": "masked", "op": "masked_fill", "in": {"x": "x", "mask": "negative"}, "value": "-inf"},
                 {"id": "scaled", "op": "div", "value": 2}, {"id": "p", "op": "softmax", "axis": -1}, {"id": "logits", "op": "linear", "features": 3},
                 {"id": "huge", "op": "mul", "value": 1e30}, {"id": "square", "op": "mul", "in": ["huge", "huge"]}]
        train = {"nodes": [{"id": "loss", "op": "mean", "in": "square"}], "loss": "loss", "optimizer": {"kind": "sgd", "lr": 1e-30}}
        (self.folder / "masked.json").write_text(json.dumps({**MODEL, "graph": graph, "outputs": {"logits": "square"}, "train": train}))
        rows = {"x": ("F32", [8, 6], [1, -1, 2, -2, 3, -3] * 8)}
        _, err = self.train("--steps", 1, model="masked.json", data=self.data("rows", rows), code=1)
        self.assertIn("the first value that is not finite is that of node 'square'", err)

    # ---- Nothing to tell ----

    def test_a_training_with_nothing_left_has_no_loss(self):
        self.train("-q", "--steps", 3, "--save", "s")
        self.assertEqual(self.train("--steps", 3, "--resume", "s")[0], "pick: 3 steps, nothing was left to train\ncheckpoints in s\n")
        self.assertIsNone(self.result("--steps", 3, "--resume", "s")["loss"])

    def test_numbers_that_are_not_finite_are_skipped(self):
        got = self.result("--steps", 50, "--on-nonfinite", "skip", model=self.explosive())
        self.assertGreater(got["skipped"], 0)
        self.assertEqual(got["batches"], 50)
        self.assertEqual(got["steps"] + got["skipped"], 50)

    # ---- Usage ----

    def test_usage(self):
        for words, text in (((), "expected --steps N or --epochs N but got neither"), (("--steps", 1, "--epochs", 1), "expected --steps or --epochs but got both"),
                            (("--steps", 1, "--save-every", 2), "expected --save FOLDER with --save-every"), (("--steps", 1, "--eval-every", 2), "expected --eval FILE"),
                            (("--steps", 1, "--batch", 4, "--dim", "B=5"), "expected one batch size"), (("--steps", 1, "--resume", "s", "--init", 1), "expected --resume or new weights"),
                            (("--steps", 1, "--log", "d.safetensors"), "output 'd.safetensors' is an input file"), (("--steps", 1, "--entry", "forward"), "expected an entry of mode 'train'")):
            self.assertIn(text, self.train(*words, code=2)[1])
        self.assertIn("got neither", self.train("--steps", 1, data=None, code=2)[1])
        _, err = self.weft("train", self.model(), "--data", "d.safetensors", "--steps", 1, code=1)
        self.assertIn("expected a model with a 'train' section", err)


if __name__ == "__main__":
    unittest.main()
