#!/usr/bin/env python3
# `weft check`: facts and costs of good models, every error of bad ones with its place, and exit codes.
# Nothing is ever written.
import json
import resource
import subprocess
import unittest

from weft_cli import MODELS, SMALL, STORIES, WEFT, CommandTest


class Check(CommandTest):
    def test_prints_facts(self):
        out, _ = self.weft("check", STORIES / "stories260k.json")
        for text in ("tokens", "[B, T] i32, 0..511", "[B, T, 512] f32", "260,032 in 47 tensors", "1,040,128 bytes", "B=1, T=256", "generate"):
            self.assertIn(text, out)

    def test_json(self):
        out, _ = self.weft("check", STORIES / "stories260k.json", "--json", "--dim", "B=2,T=7")
        facts = json.loads(out)
        self.assertEqual(facts["parameters"], {"tensors": 47, "elements": 260032, "bytes": 1040128})
        forward = next(e for e in facts["entries"] if e["name"] == "forward")
        self.assertEqual(forward["dims"], {"B": 2, "T": 7})
        self.assertGreater(forward["flops"], 2 * 7 * 2 * 200000)
        self.assertGreater(forward["arena_bytes"], 0)
        self.assertTrue(forward["peak"])

    def test_peak_memory_grows_with_the_dims(self):
        def arena(dims):
            return json.loads(self.weft("check", STORIES / "stories260k.json", "--json", "--dim", dims)[0])["entries"][0]["arena_bytes"]

        self.assertLess(arena("T=16"), arena("T=512"))

    def test_all_models_of_the_project(self):
        for path in sorted(MODELS.glob("*/*.json")):
            with self.subTest(path.name):
                self.weft("check", path)

    def test_refuses_what_compile_refuses_in_the_same_words(self):
        """`check` writes no kernel, and still knows of every node that has none."""
        x = {"x": {"dtype": "f64", "shape": ["B", 3, 4]}}
        batches = {"x": {"dtype": "f32", "shape": [2, 1, 4, 1, 6, 7]}, "z": {"dtype": "f32", "shape": [1, 3, 1, 5, 7, 6]}}
        attention = {"id": "y", "op": "attention", "in": ["x", "x", "x"], "heads": 2}
        train = {"nodes": [{"id": "loss", "op": "mean", "in": "y"}], "loss": "loss"}
        linear = {"id": "y", "op": "linear", "in": "x", "features": 3}
        refused = {
            "product": {"inputs": x, "graph": [linear], "precision": {"params": "f64", "compute": "f64"}},
            "of_two": {"inputs": x, "graph": [{"id": "t", "op": "transpose", "in": "x", "perm": [0, 2, 1]}, {"id": "y", "op": "matmul", "in": ["x", "t"]}]},
            "attention": {"inputs": x, "graph": [attention]},
            "batches": {"inputs": batches, "graph": [{"id": "y", "op": "matmul", "in": ["x", "z"]}], "dims": {}},
            "train": {"inputs": x, "graph": [linear], "precision": {"compute": "f64"}, "train": train, "entries": {"forward": {"outputs": ["y"]}}},
            "gradient": {"inputs": x, "graph": [linear], "precision": {"compute": "f64"}, "train": train, "entries": {"g": {"mode": "grad", "gradients": ["*"]}}},
        }
        for name, changes in refused.items():
            with self.subTest(name):
                path = self.model(f"{name}.json", **{"outputs": {"y": "y"}, "entries": {"forward": {"outputs": ["y"]}}, **changes})
                _, by_check = self.weft("check", path, code=5)
                entries = [word for entry in changes.get("entries", {}) for word in ("--entry", entry)]
                _, by_compile = self.weft("compile", path, *entries, "-o", "m", code=5)
                self.assertEqual(by_check, by_compile)
                self.assertIn("node 'y'", by_check)
        for path in sorted(MODELS.glob("*/*.json")):
            with self.subTest(path.name):
                entries = [entry["name"] for entry in json.loads(self.weft("check", path, "--json")[0])["entries"]]
                self.weft("compile", path, *[word for entry in entries for word in ("--entry", entry)], "--stop-after", "tiling", "-q")

    def test_more_states_than_an_object_can_name(self):
        def model(states):
            return self.model(state={f"s{i}": {"kind": "kv_cache", "layers": 1, "kv_heads": 1, "head_dim": 1, "capacity": 1} for i in range(states)})

        _, err = self.weft("check", model(65), code=4)
        self.assertIn("at /state/s64", err)
        self.assertIn("error: more than 64 states", err)
        self.weft("check", model(64))

    def test_300_megabytes_of_addresses_are_enough(self):
        model = MODELS / "minilm_l6" / "minilm_l6.json"
        done = subprocess.run([WEFT, "check", model], capture_output=True, text=True, check=False,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300_000 << 10, 300_000 << 10)))
        self.assertIn(done.returncode, (0, 4), done.stderr)
        self.assertTrue(done.stdout if done.returncode == 0 else "memory" in done.stderr)

    def test_set_changes_the_config(self):
        out, _ = self.weft("check", self.model(), "--json", "--set", "hidden=50")
        self.assertEqual(json.loads(out)["parameters"]["elements"], 3 * 50 + 50 + 50 * 2 + 2 + 7 * 3)

    def test_standard_input(self):
        out, _ = self.weft("check", "-", stdin=json.dumps(SMALL))
        self.assertIn("small", out)

    def test_dims_are_checked(self):
        for dims, expect in (("C=1", "did you mean 'B'?"), ("tokens=1", "the model's dims are 'B'"), ("B=0", "1..16"), ("B=17", "1..16"), ("B", "NAME=SIZE"), ("B=x", "NAME=SIZE"), ("B=1,B=2", "twice"),
                             ("B=99999999999999999999", "NAME=SIZE")):
            _, err = self.weft("check", self.model(), "--dim", dims, code=2)
            self.assertIn(expect, err)

    def test_every_error_at_once_with_its_place(self):
        graph = [{"id": "up", "op": "linaer", "in": "x", "features": "hidden"}, {"id": "y", "op": "linear", "in": "x", "features": 2, "biass": True}]
        name = self.model(graph=graph, outputs={"y": "yy"}, entries={"forward": {"outputs": ["y"]}})
        out, err = self.weft("check", name, code=1)
        self.assertEqual(out, "")
        self.assertRegex(err, r"small\.json:\d+:\d+: error: .*'linaer'")
        self.assertIn("/graph/0/op", err)
        self.assertIn("did you mean 'linear'?", err)
        self.assertIn("did you mean 'bias'?", err)
        self.assertIn("'yy'", err)
        self.assertIn("^", err)

    def test_errors_as_json(self):
        out, _ = self.weft("check", self.model(format="9"), "--json", code=1)
        self.assertEqual(json.loads(out)["diagnostics"][0]["severity"], "error")

    def test_files_that_are_not_there_or_not_models(self):
        self.weft("check", "missing.json", code=3)
        self.weft("check", ".", code=3)
        (self.folder / "empty.json").write_text("")
        self.weft("check", "empty.json", code=1)
        (self.folder / "cut.json").write_text(json.dumps(SMALL)[:100])
        self.weft("check", "cut.json", code=1)

    def test_quiet_prints_nothing_and_writes_nothing(self):
        self.assertEqual(self.weft("check", self.model(), "-q"), ("", ""))
        self.assertEqual(self.files(), ["small.json"])

    def test_long_chains_take_time_in_proportion(self):
        for op, reads in (("tanh", 1), ("add", 2)):
            graph = [{"id": f"n{i}", "op": op, "in": [f"n{i - 1}" if i else "x"] * reads} for i in range(3000)]
            self.model(graph=graph, inputs={"x": {"dtype": "f32", "shape": ["B", 3]}}, outputs={"y": "n2999"}, entries={}, config={})
            self.weft("check", "small.json", "-q")


if __name__ == "__main__":
    unittest.main()
