#!/usr/bin/env python3
# `weft run`: inputs from files and lists, outputs, comparison, and what happens with wrong data.
# A failed run writes nothing.
import json
import pathlib
import platform
import struct
import unittest

from weft_cli import STORIES, CommandTest, read_safetensors, write_safetensors

GOLD = {"x": ("F32", [2, 3], [1, 2, 3, 4, 5, 6])}


class Run(CommandTest):
    def run_small(self, *words, code=0, inputs=GOLD):
        write_safetensors(self.folder / "in.safetensors", inputs)
        return self.weft("run", self.model(), "--init", "1", "--inputs", "in.safetensors", *words, code=code)

    def test_summary(self):
        out, _ = self.run_small()
        self.assertRegex(out, r"^y  \[2, 2\] f32  min .* max .* mean .* std ")

    def test_writes_safetensors_and_npy(self):
        out, _ = self.run_small("--outputs", "out.safetensors")
        self.assertEqual(out, "")
        shape, values = read_safetensors(self.folder / "out.safetensors")["y"]
        self.assertEqual(shape, [2, 2])
        self.run_small("--outputs", "y.npy")
        raw = (self.folder / "y.npy").read_bytes()
        self.assertEqual(raw[:6], b"\x93NUMPY")
        self.assertEqual(list(struct.unpack("<4f", raw[-16:])), values)
        self.weft("run", "small.json", "--init", "1", "--inputs", "in.safetensors", "--compare", "out.safetensors")

    def test_entry_and_list_of_integers(self):
        out, _ = self.weft("run", self.model(), "--init", "1", "--entry", "look", "--input", "ids=0,6,3,1", "--json")
        self.assertEqual(json.loads(out)["outputs"][0]["shape"], [1, 4, 3])

    def test_a_dim_that_only_values_inside_have(self):
        model = {"format": "1.0", "name": "inner", "dims": {"B": {"max": 4}, "S": {"max": 9, "hint": 5}}, "inputs": {"x": {"dtype": "f32", "shape": ["B"]}},
                 "graph": [{"id": "ones", "op": "constant", "value": 1, "shape": ["B", "S"], "dtype": "f32"}, {"id": "count", "op": "sum", "axis": 1},
                           {"id": "y", "op": "mul", "in": ["x", "count"]}], "outputs": {"y": "y"}}
        (self.folder / "inner.json").write_text(json.dumps(model))
        write_safetensors(self.folder / "x.safetensors", {"x": ("F32", [2], [1, 10])})
        for words, size in (([], 5), (["--dim", "S=3"], 3), (["--dim", "S=9"], 9)):
            self.weft("run", "inner.json", "--inputs", "x.safetensors", *words, "--outputs", "y.safetensors")
            self.assertEqual(read_safetensors(self.folder / "y.safetensors")["y"], ([2], [size, 10 * size]))

    def test_npy_input(self):
        head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
        head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
        (self.folder / "x.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + struct.pack("<6f", *GOLD["x"][2]))
        self.run_small("--outputs", "a.safetensors")
        self.weft("run", "small.json", "--init", "1", "--input", "x=x.npy", "--compare", "a.safetensors")

    def test_compare_finds_the_element(self):
        self.run_small("--outputs", "out.safetensors")
        shape, values = read_safetensors(self.folder / "out.safetensors")["y"]
        values[2] += 0.5
        write_safetensors(self.folder / "want.safetensors", {"y": ("F32", shape, values)})
        out, _ = self.run_small("--compare", "want.safetensors", code=1)
        self.assertIn("y: differs in 1 of 4 elements", out)
        self.assertIn("first at [1, 0]", out)
        self.run_small("--compare", "want.safetensors", "--atol", "1")
        write_safetensors(self.folder / "want.safetensors", {"z": ("F32", shape, values)})
        self.run_small("--compare", "want.safetensors", code=1)

    def test_outputs_that_are_not_compared_are_named(self):
        write_safetensors(self.folder / "in.safetensors", {**GOLD, "ids": ("I32", [2, 4], [1] * 8)})
        words = ["run", self.model(entries={}), "--init", "1", "--inputs", "in.safetensors"]
        self.weft(*words, "--outputs", "out.safetensors")
        _, err = self.weft(*words, "--compare", "out.safetensors", "--probe", "up")
        self.assertEqual(err, "")
        y = read_safetensors(self.folder / "out.safetensors")["y"]
        write_safetensors(self.folder / "y.safetensors", {"y": ("F32", *y)})
        out, err = self.weft(*words, "--compare", "y.safetensors")
        self.assertEqual(out, "y: equal\n")
        self.assertEqual(err, "weft: warning: y.safetensors: has no tensor for 1 output, not compared: 'words'\n")

    def test_a_summary_of_nothing_finite_has_no_numbers(self):
        nan, inf = float("nan"), float("inf")
        model = {"format": "1.0", "name": "same", "inputs": {"x": {"dtype": "f32", "shape": [3]}}, "graph": [{"id": "y", "op": "add", "in": ["x", "x"]}], "outputs": {"y": "y"}}
        (self.folder / "same.json").write_text(json.dumps(model))
        write_safetensors(self.folder / "x.safetensors", {"x": ("F32", [3], [nan, inf, -inf])})
        out, _ = self.weft("run", "same.json", "--inputs", "x.safetensors")
        self.assertIn("min nan  max nan  mean nan  std nan  not finite: 3", out)
        out, _ = self.weft("run", "same.json", "--inputs", "x.safetensors", "--json")
        self.assertEqual(json.loads(out)["outputs"][0] | {"name": "y"}, {"name": "y", "dtype": "f32", "shape": [3], "min": None, "max": None, "mean": None, "std": None, "not_finite": 3})

    def test_hints_name_the_inputs_of_the_entry(self):
        _, err = self.weft("run", self.model(), "--init", "1", code=1)
        self.assertEqual(err, "weft: error: expected input 'x' but it is missing\n  hint: --inputs FILE or --input x=... gives it\n")
        _, err = self.weft("run", "small.json", "--init", "1", "--input", "series=1,2", code=1)
        self.assertIn("hint: the inputs of entry 'forward' are 'x'\n", err)

    def test_a_checkpoint_in_place_of_a_file_of_weights(self):
        self.model()
        for step in ("step-0000000009", "step-0000000010", "step-0000000011"):  # the last was not finished
            (self.folder / "runs" / step).mkdir(parents=True)
        for step in ("step-0000000009", "step-0000000010"):
            self.weft("init", "small.json", "--save", f"runs/{step}/model.safetensors")
        for folder in ("runs", "runs/step-0000000010", "runs/"):
            _, err = self.weft("run", "small.json", "--inputs", self.write_inputs(), "--weights", folder, code=3)
            self.assertIn("hint: the weights of this checkpoint are 'runs/step-0000000010/model.safetensors'\n", err)
            _, err = self.weft("compile", "small.json", "--embed-weights", "--weights", folder, code=3)
            self.assertIn("hint: the weights of this checkpoint are 'runs/step-0000000010/model.safetensors'\n", err)
        (self.folder / "empty").mkdir()
        _, err = self.weft("run", "small.json", "--inputs", "in.safetensors", "--weights", "empty", code=3)
        self.assertNotIn("hint", err)

    @unittest.skipIf("amx_tile" in pathlib.Path("/proc/cpuinfo").read_text() or platform.machine() != "x86_64", "expected an x86-64 CPU without AMX")
    def test_a_cpu_that_the_code_is_not_for(self):
        _, err = self.run_small("--cpu", "sapphirerapids", code=5)
        self.assertIn("--cpu x86-64-v3", err)

    def test_threads_do_not_change_results(self):
        for threads in ("1", "2", "7"):
            self.weft("run", STORIES / "stories260k.json", "--input", "tokens=" + ",".join(str(i * 7 % 512) for i in range(100)), "--threads", threads,
                      "--outputs", f"out{threads}.safetensors")
        self.assertEqual(len({(self.folder / f"out{t}.safetensors").read_bytes() for t in "127"}), 1)

    def test_wrong_inputs(self):
        for inputs, expect in (({}, "input 'x'"), ({"xx": GOLD["x"]}, "did you mean 'x'?"), ({"x": ("F32", [2, 4], [0] * 8)}, "expected 3 but got 4"),
                               ({"x": ("F32", [6], [0] * 6)}, "[B, 3]"), ({"x": ("I32", [2, 3], [0] * 6)}, "expected f32 but got i32"),
                               ({"x": ("F32", [17, 3], [0] * 51)}, "1..16")):
            out, err = self.run_small("--outputs", "out.safetensors", code=1, inputs=inputs)
            self.assertIn(expect, err)
            self.assertFalse((self.folder / "out.safetensors").exists())

    def test_index_out_of_range_names_the_element(self):
        _, err = self.weft("run", self.model(), "--init", "1", "--entry", "look", "--input", "ids=0,6,7,1", code=1)
        self.assertIn("ids[0, 2] is 7", err)
        self.assertIn("0..6", err)
        self.weft("run", "small.json", "--init", "1", "--entry", "look", "--input", "ids=0,6,-1,1", code=1)
        self.weft("run", "small.json", "--init", "1", "--entry", "look", "--input", "ids=0,6,4294967296,1", code=1)

    def test_wrong_usage(self):
        _, err = self.run_small("--entry", "lok", code=2)
        self.assertIn("did you mean 'look'?", err)
        self.run_small("--input", "x", code=2)
        self.run_small("--input", "x=file.txt", code=2)
        self.run_small("--outputs", "small.json", code=2)
        self.run_small("--outputs", "in.safetensors", code=2)
        self.run_small("--outputs", "no/such/folder.safetensors", code=3)
        self.run_small("--weights", "w.safetensors", code=2)
        _, err = self.run_small("--rtol", "-1", code=2)
        self.assertIn("--rtol: expected 0 or more but got -1", err)
        self.assertIn("--atol: expected 0 or more but got nan", self.run_small("--atol", "nan", code=2)[1])
        for ids in ("1,,2,3", ",1,2,3", "1,2,3,"):
            _, err = self.weft("run", "small.json", "--init", "1", "--entry", "look", "--input", f"ids={ids}", code=2)
            self.assertIn(f"expected a list of integers but got '{ids}'", err)

    def test_sizes_and_inputs_agree(self):
        self.run_small("--dim", "B=2")
        _, err = self.run_small("--dim", "B=3", code=2)
        self.assertIn("dim 'B': expected 2 as in the inputs but got 3", err)

    def test_parameters_may_be_called_like_an_entry_or_a_dim(self):
        for name in ("forward", "twice", "B"):
            model = {"format": "1.0", "name": "m", "dims": {"B": {"max": 4}}, "inputs": {"x": {"dtype": "f32", "shape": ["B", 2]}},
                     "graph": [{"id": "w", "op": "parameter", "shape": [2], "param": name}, {"id": "y", "op": "mul", "in": ["x", "w"]}, {"id": "z", "op": "add", "in": ["y", "y"]}],
                     "outputs": {"y": "y", "z": "z"}, "entries": {"forward": {"outputs": ["y"]}, "twice": {"outputs": ["z"]}}}
            (self.folder / "m.json").write_text(json.dumps(model))
            write_safetensors(self.folder / "w.safetensors", {name: ("F32", [2], [3.0, 5.0])})
            write_safetensors(self.folder / "x.safetensors", {"x": ("F32", [1, 2], [2.0, 1.0])})
            for entry, expected in (("forward", [6.0, 5.0]), ("twice", [12.0, 10.0])):
                self.weft("run", "m.json", "--entry", entry, "--weights", "w.safetensors", "--inputs", "x.safetensors", "--outputs", "out.safetensors")
                self.assertEqual(list(read_safetensors(self.folder / "out.safetensors").values())[0][1], expected)

    def output(self, model):
        (self.folder / "m.json").write_text(json.dumps({"format": "1.0", "name": "m", **model}))
        self.weft("run", "m.json", "--init", "1", "--inputs", "in.safetensors", "--outputs", "out.safetensors")
        return read_safetensors(self.folder / "out.safetensors")["y"][1]

    def test_a_mask_may_have_a_part_any_number_of_times(self):
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [1, 3, 4], list(range(12))), "m": ("BOOL", [3, 3], [1, 1, 0, 1, 1, 1, 1, 0, 1]),
                                                           "n": ("BOOL", [3, 3], [1, 0, 1, 1, 1, 1, 0, 1, 1])})
        results = []
        for depth in (1, 60):
            parts, last = [], "m"
            for i in range(depth):
                parts += [{"id": f"u{i}", "op": "and", "in": [last, "n"]}, {"id": f"a{i}", "op": "and", "in": [last, f"u{i}"]}]
                last = f"a{i}"
            graph = [*({"id": name, "op": "linear", "in": "x", "features": 4} for name in "qkv"), {"id": "none", "op": "constant", "value": "-inf", "shape": [], "dtype": "f32"},
                     *parts, {"id": "s", "op": "matmul", "in": ["q", "k"], "transpose_b": True}, {"id": "seen", "op": "where", "in": [last, "s", "none"]},
                     {"id": "p", "op": "softmax", "axis": 2}, {"id": "y", "op": "matmul", "in": ["p", "v"]}]
            results.append(self.output({"inputs": {"x": {"dtype": "f32", "shape": [1, 3, 4]}, "m": {"dtype": "bool", "shape": [3, 3]}, "n": {"dtype": "bool", "shape": [3, 3]}},
                                        "graph": graph, "outputs": {"y": "y"}}))
        self.assertEqual(*results)

    def test_a_parameter_may_be_joined_with_itself_any_number_of_times(self):
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [2, 4], list(range(8)))})
        results = []
        for turns in (2, 60):  # each by two columns of the four
            graph, last = [{"id": "w", "op": "parameter", "shape": [4, 4]}], "w"
            for i in range(turns):
                graph += [{"id": f"two{i}", "op": "concat", "in": [last, last], "axis": 1}, {"id": f"turned{i}", "op": "slice", "axis": 1, "start": 2, "end": 6}]
                last = f"turned{i}"
            results.append(self.output({"inputs": {"x": {"dtype": "f32", "shape": [2, 4]}}, "graph": [*graph, {"id": "y", "op": "matmul", "in": ["x", last]}], "outputs": {"y": "y"}}))
        self.assertEqual(*results)

    def test_a_label_that_the_loss_ignores_but_its_range_refuses(self):
        labels = {"dtype": "i32", "shape": ["B"], "range": [0, 1]}
        loss = {"id": "loss", "op": "cross_entropy", "in": {"logits": "y", "labels": "labels"}}
        train = {"inputs": {"labels": labels}, "nodes": [loss], "loss": "loss", "optimizer": {"kind": "sgd", "lr": 0.1}}
        graph = [{"id": "y", "op": "linear", "in": "x", "features": 2}]
        inputs = {"x": {"dtype": "f32", "shape": ["B", 3]}}
        self.model(inputs=inputs, graph=graph, outputs={"y": "y"}, train=train, entries={})
        hint = "hint: the loss ignores it, but the input's 'range' does not hold it"
        for label, said in ((-100, True), (2, False)):
            write_safetensors(self.folder / "data.safetensors", {**GOLD, "labels": ("I32", [2], [label, 1])})
            _, err = self.weft("train", "small.json", "--data", "data.safetensors", "--steps", "1", code=1)
            self.assertIn(f"sample 0: expected 0..1 but got {label}\n", err)
            self.assertEqual(hint in err, said)

    def test_weights(self):
        _, err = self.weft("run", self.model(), "--entry", "look", "--input", "ids=1,2,3,4", code=1)
        self.assertIn("--init SEED", err)
        self.weft("run", "small.json", "--entry", "look", "--input", "ids=1,2,3,4", "--weights", "missing.safetensors", code=3)
        _, err = self.weft("run", "small.json", "--entry", "look", "--input", "ids=1,2,3,4", "--weights", "missing.safetensors", code=3)
        self.assertTrue(err.startswith("missing.safetensors: error: cannot open"), err)
        (self.folder / "bad.safetensors").write_bytes(b"\xff" * 40)
        _, err = self.weft("run", "small.json", "--entry", "look", "--input", "ids=1,2,3,4", "--weights", "bad.safetensors", code=1)
        self.assertTrue(err.startswith("bad.safetensors: error: "), err)
        self.weft("init", "small.json", "--save", "w.safetensors")
        tensors = read_safetensors(self.folder / "w.safetensors")
        write_safetensors(self.folder / "less.safetensors", {n: ("F32", s, v) for n, (s, v) in tensors.items() if n != "y.bias"})
        _, err = self.weft("run", "small.json", "--inputs", self.write_inputs(), "--weights", "less.safetensors", code=1)
        self.assertTrue(err.startswith("less.safetensors: error: tensor 'y.bias': is missing"), err)

    def write_inputs(self):
        write_safetensors(self.folder / "in.safetensors", GOLD)
        return "in.safetensors"


if __name__ == "__main__":
    unittest.main()
