#!/usr/bin/env python3
# Help, version, wrong usage: exit code 2 with a hint, nothing on standard output.
# The other commands' tests cover what is particular to each.
import json
import shutil
import subprocess
import unittest

from weft_cli import STORIES, WEFT, CommandTest, read_safetensors, write_safetensors

COMMANDS = ["check", "compile", "run", "grad", "init", "train", "generate", "bench", "inspect", "new", "view"]


class Usage(CommandTest):
    def wrong(self, *words, expect, code=2):
        out, err = self.weft(*words, code=code)
        self.assertEqual(out, "")
        self.assertIn("weft: error: ", err)
        self.assertIn(expect, err)

    def test_no_command_shows_help(self):
        _, err = self.weft(code=2)
        self.assertIn("compile", err)

    def test_help_is_one_screen_with_two_examples(self):
        out, _ = self.weft("--help")
        self.assertLessEqual(len(out.splitlines()), 30)
        for command in COMMANDS:
            self.assertIn(command, out)
            text, _ = self.weft(command, "--help")
            self.assertEqual(len([line for line in text.splitlines() if line.startswith(f"  weft {command} ")]), 2, command)
            self.assertLessEqual(len(text.splitlines()), 42, command)
            self.assertLessEqual(max(map(len, text.splitlines())), 130, command)

    def test_version_names_llvm_and_cpu(self):
        out, _ = self.weft("--version")
        self.assertRegex(out, r"^weft \d+\.\d+\.\d+ \(LLVM 22\.")
        self.assertIn("host CPU: ", out)
        self.assertIn("features:", out)

    def test_unknown_command(self):
        self.wrong("chekc", "m.json", expect="did you mean 'check'?")
        self.wrong("frobnicate", expect="the commands are")

    def test_an_output_is_no_input(self):
        for name in ("stories260k.json", "stories260k.safetensors", "tok512.bin"):
            shutil.copy(STORIES / name, self.folder)
        shutil.copy(STORIES / "stories260k.safetensors", self.folder / "w.safetensors")
        (self.folder / "link.safetensors").symlink_to("w.safetensors")
        write_safetensors(self.folder / "in.safetensors", {"tokens": ("I32", [1, 4], [1, 2, 3, 4])})
        model, own, weights = "stories260k.json", "stories260k.safetensors", ("--weights", "w.safetensors")
        before = {name: (self.folder / name).read_bytes() for name in self.files()}
        run, inputs = ("run", model, "--inputs", "in.safetensors"), ("--inputs", "in.safetensors")
        for words in ((*run, *weights, "--outputs", "w.safetensors"), (*run, *weights, "--outputs", "link.safetensors"), (*run, "--outputs", own),
                      (*run, "--outputs", "in.safetensors"), (*run, "--compare", "w.safetensors", "--outputs", "w.safetensors"),
                      ("bench", model, *weights, "--outputs", "w.safetensors"), ("bench", model, *inputs, "--outputs", "in.safetensors"),
                      ("view", "attention", model, *inputs, *weights, "--node", "x[0].a", "-o", "w.safetensors"),
                      *(("generate", model, "--tokens", "1", *weights, "--max-new", 1, "--save-cache", name) for name in ("w.safetensors", own))):
            self.wrong(*words, expect="is an input file")
        for words in ((*run, "--outputs", model), ("bench", model, "--outputs", model), ("generate", model, "--tokens", "1", "--max-new", 1, "--save-cache", model)):
            self.wrong(*words, expect="is the model file itself")
        # The files that an index of shards names are inputs too.
        index = {"weight_map": {name: "w.safetensors" for name in read_safetensors(self.folder / "w.safetensors")}}
        (self.folder / "w.index.json").write_text(json.dumps(index))
        before = {name: (self.folder / name).read_bytes() for name in self.files()}
        self.wrong(*run, "--weights", "w.index.json", "--outputs", "w.safetensors", expect="is an input file")
        self.assertEqual({name: (self.folder / name).read_bytes() for name in self.files()}, before)

    def test_commands_of_later_versions(self):
        for command in ("import",):
            self.wrong(command, "m.json", code=5, expect="not in this version")

    def test_unknown_option(self):
        self.wrong("check", self.model(), "--jsno", expect="did you mean '--json'?")
        self.wrong("check", self.model(), "another.json", expect="unexpected argument 'another.json'")

    def test_options_that_repeat_say_so(self):
        out, _ = self.weft("compile", "--help")
        self.assertNotIn("...", out)
        self.assertRegex(out, r"--entry TEXT +only this entry \(repeatable")
        self.assertRegex(out, r"--emit TEXT +.*\(repeatable\)")
        _, err = self.weft("compile", self.model(), "--entry", "forward", "look", code=2)
        self.assertIn("unexpected argument 'look'\n  hint: one value each time: --entry forward --entry look\n", err)
        _, err = self.weft("compile", "small.json", "more.json", code=2)
        self.assertNotIn("one value each time", err)
        self.weft("compile", "small.json", "--entry", "forward", "--entry", "look", "-q")

    def test_option_without_value_or_twice(self):
        self.wrong("check", self.model(), "--seed", expect="--seed")
        self.wrong("check", self.model(), "--seed", "1", "--seed", "2", expect="--seed")
        for seed in ("-1", "18446744073709551616", "1.5", ""):
            self.wrong("check", self.model(), "--seed", seed, expect="--seed: expected 0..18446744073709551615 but got")
        self.wrong("run", self.model(), "--init", "-1", expect="--init: expected 0..18446744073709551615 but got -1")
        self.wrong("check", self.model(), "--threads", "0", expect="--threads")
        self.wrong("check", self.model(), "--threads", "many", expect="--threads")

    def test_missing_model(self):
        self.wrong("check", expect="MODEL")

    def test_set_needs_key_and_value(self):
        self.wrong("check", self.model(), "--set", "hidden", expect="KEY=VALUE")

    def test_targets(self):
        self.wrong("check", self.model(), "--target", "cuda", code=5, expect="'cuda'")
        self.wrong("check", self.model(), "--target", "gpu", code=5, expect="'cpu'")
        self.wrong("check", self.model(), "--cpu", "z80", code=5, expect="expected a CPU such as 'host', 'x86-64-v3', 'x86-64-v4', 'sapphirerapids' or 'neoverse-v1' but got 'z80'")
        self.wrong("check", self.model(), "--cpu", ",", expect="expected a CPU but got ','")

    def test_limits(self):
        _, err = self.weft("check", self.model(), "--limit", "nodes=2", code=4)
        self.assertIn("more than 2 nodes", err)
        self.assertIn("--limit nodes=N raises it", err)
        self.weft("check", self.model(), "--limit", "nodes=3", "--limit", "depth=5")
        self.wrong("check", self.model(), "--limit", "nodes", expect="expected --limit NAME=N but got 'nodes'")
        self.wrong("check", self.model(), "--limit", "node=3", expect="did you mean 'nodes'?")
        self.wrong("check", self.model(), "--limit", "nodes=0", expect="limit 'nodes': expected 1..268435455 but got '0'")
        self.wrong("check", self.model(), "--limit", "nodes=-1", expect="but got '-1'")
        self.wrong("check", self.model(), "--limit", "callDepth=1001", expect="expected 1..1000")

    def refused_below(self, name, least, *words):
        """With the limit one lower than what is needed the command is refused, with it it works."""
        out, err = self.weft(*words, "--limit", f"{name}={least - 1}", code=4)
        self.assertEqual(out, "")
        self.assertIn("hint: --limit", err)
        self.assertIn(name, err)
        self.weft(*words, "--limit", f"{name}={least}")
        return err

    def test_limits_of_a_plan_and_an_object(self):
        model = self.model()
        self.weft("init", model, "--save", "w.safetensors")
        entry = json.loads(self.weft("check", model, "--dim", "B=2", "--json")[0])["entries"][0]
        err = self.refused_below("arenaBytes", entry["arena_bytes"], "check", model, "--dim", "B=2")
        self.assertIn(f"entry '{entry['name']}' needs {entry['arena_bytes']} bytes of memory at B=2", err)
        # What is compiled at smaller hints is refused when it is to run at larger sizes.
        large = json.loads(self.weft("check", model, "--dim", "B=8", "--json")[0])["entries"][0]["arena_bytes"]
        self.refused_below("arenaBytes", large, "bench", model, "--weights", "w.safetensors", "--dim", "B=8", "--iterations", 1)
        self.weft("compile", model, "-o", "out", "-q")
        self.refused_below("objectBytes", (self.folder / "out.o").stat().st_size, "compile", model, "-o", "out", "-q")
        self.assertIn("an object of at least", self.weft("compile", model, "-o", "out", "-q", "--limit", "objectBytes=10", code=4)[1])
        weights = (self.folder / "w.safetensors").stat().st_size
        err = self.weft("compile", model, "-o", "out", "--embed-weights", "--weights", "w.safetensors", "--limit", f"objectBytes={weights - 1}", code=4)[1]
        self.assertIn(f"weights of {weights} bytes in an object, the limit is {weights - 1}", err)

    def test_limits_of_files_of_tensors(self):
        model = self.model()
        self.weft("init", model, "--save", "w.safetensors")
        header = int.from_bytes((self.folder / "w.safetensors").read_bytes()[:8], "little")
        tensors = len(json.loads((self.folder / "w.safetensors").read_bytes()[8:8 + header])) - 1  # and __metadata__
        write_safetensors(self.folder / "x.safetensors", {"x": ("F32", [1, 3], [1, 2, 3])})
        given = ("run", model, "--inputs", "x.safetensors", "-q", "--weights", "w.safetensors")
        self.refused_below("headerBytes", header, *given)
        # One name, one limit: it holds for the model as well, which is read first.
        self.refused_below("tensors", tensors, *given)
        (self.folder / "w.index.json").write_text('{"weight_map": {"none": "w.safetensors", "other": "x.safetensors"}}')
        self.assertIn("expected at most 1 shards", self.weft("run", model, "--inputs", "x.safetensors", "--weights", "w.index.json", "--limit", "shards=1", code=4)[1])

    def test_full_or_closed_standard_output(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([WEFT, "check", self.model()], cwd=self.folder, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 3, done.stderr)
        done = subprocess.run(f"'{WEFT}' check small.json --json >&- 2>/dev/null", shell=True, cwd=self.folder)
        self.assertIn(done.returncode, (0, 3))


if __name__ == "__main__":
    unittest.main()
