#!/usr/bin/env python3
# `weft bench`: every promised field, sane numbers, state at a given length, results as `run` computes them.
# Speeds are not judged here.
import json
import unittest

from weft_cli import STORIES, CommandTest, write_safetensors

FIELDS = {"median_ms", "min_ms", "iterations", "compile_ms", "load_ms", "object_bytes", "arena_bytes", "peak_rss_bytes", "gflops", "percent_of_peak"}


class Bench(CommandTest):
    def bench(self, *words):
        return json.loads(self.weft("bench", STORIES / "stories260k.json", "--iterations", "5", "--json", *words)[0])

    def test_fields(self):
        result = self.bench("--dim", "B=2,T=32", "--threads", "2")
        self.assertLessEqual(FIELDS, set(result))
        self.assertEqual((result["iterations"], result["threads"], result["dims"]), (5, 2, {"B": 2, "T": 32}))
        self.assertLessEqual(result["min_ms"], result["median_ms"])
        self.assertGreater(result["gflops"], 0)
        self.assertGreater(result["percent_of_peak"], 0)
        self.assertGreater(result["peak_rss_bytes"], result["arena_bytes"])

    def test_state_at_a_length(self):
        self.assertEqual(self.bench("--entry", "decode", "--cached", "100")["dims"]["T"], 1)
        self.weft("bench", STORIES / "stories260k.json", "--cached", "5", code=2)
        self.weft("bench", STORIES / "stories260k.json", "--entry", "decode", "--cached", "512", code=2)

    def test_kernels(self):
        kernels = self.bench("--per-kernel", "--dim", "B=4,T=64")["kernels"]
        self.assertTrue(kernels)
        self.assertTrue(any(k["kind"] for k in kernels), kernels)

    def test_result_is_that_of_run(self):
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [2, 3], [1, 2, 3, 4, 5, 6])})
        self.weft("run", self.model(), "--init", "1", "--inputs", "in.safetensors", "--outputs", "run.safetensors")
        self.weft("bench", "small.json", "--init", "1", "--inputs", "in.safetensors", "--iterations", "2", "--outputs", "bench.safetensors")
        self.assertEqual((self.folder / "run.safetensors").read_bytes(), (self.folder / "bench.safetensors").read_bytes())

    def test_training_steps(self):
        train = {"inputs": {"t": {"dtype": "f32", "shape": ["B", 2]}}, "nodes": [{"id": "loss", "op": "mse", "in": ["y", "t"]}], "loss": "loss", "accumulate": 3}
        graph = [{"id": "up", "op": "linear", "in": "x", "features": 5, "activation": "relu"}, {"id": "y", "op": "linear", "features": 2}]
        model = self.model(train=train, graph=graph, outputs={"y": "y"}, entries={"step": {"mode": "train"}}, inputs={"x": {"dtype": "f32", "shape": ["B", 3]}})
        words = ("bench", model, "--entry", "step", "--dim", "B=7", "--threads", "2", "--iterations", "6", "--json", "--per-kernel")
        result = json.loads(self.weft(*words)[0])
        self.assertLessEqual(FIELDS, set(result))
        self.assertEqual((result["entry"], result["iterations"], result["threads"], result["dims"]), ("step", 6, 2, {"B": 7}))
        self.assertGreater(result["arena_bytes"], 7 * 5 * 4)
        self.assertTrue(result["kernels"])
        self.weft(*words, "--cached", "1", code=2)
        self.weft(*words, "--outputs", "o.safetensors", code=2)

    def test_wrong_use(self):
        self.weft("bench", self.model(), "--entry", "forwad", code=2)
        self.weft("bench", self.model(), "--iterations", "0", code=2)
        self.weft("bench", self.model(), "--dim", "B=100", code=2)
        self.weft("bench", self.model(), "--outputs", "no/folder.safetensors", code=3)


if __name__ == "__main__":
    unittest.main()
