#!/usr/bin/env python3
# `weft compile`: the files of one call appear together or not at all; objects are good link citizens; the header works
# from C and C++; every wrong use has its exit code.
import json
import math
import os
import re
import subprocess
import unittest

from weft_cli import INCLUDE, RUNTIME, STORIES, CommandTest, read_safetensors, write_safetensors

# What an object may leave undefined: documented in docs/architecture.md.
ALLOWED = {"memcpy", "memset", "memmove"}

PROGRAM = r"""
#include "small.h"
#include <stdio.h>
int main(void) {
  weft_model *model; weft_session *session;
  float x[6] = {1, 2, 3, 4, 5, 6}, y[4];
  small_dims dims; static small_forward_args args;
  dims.B = 2;
  if (small_open(NULL, &model) || weft_model_init(model, 1) || small_session(model, &dims, NULL, &session)) return 1;
  args.dims = dims; args.x = x; args.y = y;
  if (small_forward(session, &args)) { fprintf(stderr, "%s\n", weft_session_error(session)); return 1; }
  printf("%.6g %.6g %.6g %.6g\n", y[0], y[1], y[2], y[3]);
  args.dims.B = 99;
  if (small_forward(session, &args) != WEFT_ERR_DIM) return 2;
  printf("%s\n", weft_session_error(session));
  if (small_arena_bytes(&dims) < 0 || small_DIM_B != 0 || small_ENTRY_forward != 0) return 3;
  weft_session_destroy(session);
  return weft_model_close(model);
}
"""


class Compile(CommandTest):
    def cc(self, *words, compiler="cc", code=0):
        done = subprocess.run([compiler, *words], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode == 0, code == 0, done.stderr)
        return done.stderr

    def link(self, *objects, source="main.c", compiler="cc", standard="c99", code=0):
        return self.cc(f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-I", INCLUDE, source, *objects, RUNTIME, "-lm", "-lpthread", "-o", "app",
                       compiler=compiler, code=code)

    def app(self):
        return subprocess.run(["./app"], cwd=self.folder, capture_output=True, text=True, check=True).stdout

    def test_writes_object_and_header(self):
        out, _ = self.weft("compile", self.model())
        self.assertEqual(self.files(), ["small.h", "small.json", "small.o"])
        for text in ("small.o", "small.h", "B 1..16", "cc -I", "bytes"):
            self.assertIn(text, out)

    def test_json(self):
        out, _ = self.weft("compile", self.model(), "--json", "-o", "other")
        facts = json.loads(out)
        self.assertEqual([f["path"] for f in facts["files"]], ["other.o", "other.h"])
        self.assertIn("link", facts)

    def test_the_printed_line_links_a_program(self):
        out, _ = self.weft("compile", self.model(), "--json")
        (self.folder / "main.c").write_text(PROGRAM)
        done = subprocess.run(json.loads(out)["link"], shell=True, cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        numbers, error = self.app().splitlines()
        self.assertEqual(len(numbers.split()), 4)
        self.assertIn("B", error)

    def test_the_printed_line_finds_a_header_in_another_folder(self):
        for folder in ("out", "with a space"):
            (self.folder / folder).mkdir()
            out, _ = self.weft("compile", self.model(), "-o", f"{folder}/small", "--json")
            (self.folder / "main.c").write_text('#include "small.h"\nint main(void) { return small_open(0, 0) == WEFT_OK; }\n')
            done = subprocess.run(json.loads(out)["link"], shell=True, cwd=self.folder, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        out, _ = self.weft("compile", "small.json", "-o", "small")
        self.assertEqual(out.count(" -I"), 1)  # the current folder needs none

    def test_the_name_of_the_object_is_a_name_too(self):
        self.weft("compile", self.model(), "-o", "z3.o", "-q")
        self.weft("compile", "small.json", "-o", "a.ll", "--emit", "llvm", "-q")
        self.weft("compile", "small.json", "-o", "b.s", "-q")  # no form of this call
        self.assertEqual(self.files(), ["a.ll", "b.s.h", "b.s.o", "small.json", "z3.h", "z3.o"])

    def test_c99_and_cpp17(self):
        self.weft("compile", self.model())
        (self.folder / "main.c").write_text(PROGRAM)
        (self.folder / "main.cpp").write_text(PROGRAM)
        self.link("small.o")
        first = self.app()
        self.link("small.o", source="main.cpp", compiler="c++", standard="c++17")
        self.assertEqual(self.app(), first)

    def test_program_and_run_agree(self):
        self.weft("compile", self.model())
        (self.folder / "main.c").write_text(PROGRAM.replace("weft_model_init(model, 1)", "weft_model_init(model, 1)"))
        self.link("small.o")
        from weft_cli import read_safetensors, write_safetensors
        write_safetensors(self.folder / "in.safetensors", {"x": ("F32", [2, 3], [1, 2, 3, 4, 5, 6])})
        self.weft("run", "small.json", "--init", "1", "--inputs", "in.safetensors", "--outputs", "out.safetensors")
        _, values = read_safetensors(self.folder / "out.safetensors")["y"]
        self.assertEqual(self.app().splitlines()[0], " ".join(f"{v:.6g}" for v in values))

    def test_symbols(self):
        self.weft("compile", STORIES / "stories260k.json", "-o", "s")
        def nm(*flags):
            text = subprocess.run(["nm", *flags, "s.o"], cwd=self.folder, capture_output=True, text=True, check=True).stdout
            return [line.split()[-1] for line in text.splitlines()]

        self.assertLessEqual(set(nm("-u")), ALLOWED)
        outside = nm("-g", "--defined-only")
        self.assertIn("stories260k_weft_model", outside)
        self.assertEqual(len(outside), 2)
        self.assertTrue(all(s.startswith("stories260k_weft_") for s in outside))

    def test_entries_may_be_called_like_parts_of_the_object(self):
        names = ("forward", "forward_plan", "weft_model", "contract", "update", "weft")
        path = self.model(entries={name: {"outputs": ["y"]} for name in names})
        self.weft("compile", path)
        (self.folder / "main.c").write_text(PROGRAM)
        self.link("small.o")
        self.assertEqual(len(self.app().split()[:4]), 4)

    def test_a_long_entry_is_several_functions_and_computes_the_same(self):
        count = 450
        nodes = [{"id": f"n{i}", "op": "linear", "features": 3, "activation": "tanh", "param": f"p{i % 7}"} for i in range(count)]
        nodes[0]["in"] = "x"
        path = self.model("long.json", graph=nodes, outputs={"y": f"n{count - 1}"}, entries={"forward": {}}, inputs={"x": {"dtype": "f32", "shape": ["B", 3]}})
        self.weft("compile", path, "-o", "long")
        symbols = subprocess.run(["nm", "long.o"], cwd=self.folder, capture_output=True, text=True, check=True).stdout
        self.assertEqual(len(re.findall(r"\.forward\.part\d+$", symbols, re.M)), 2)
        self.weft("init", path, "--seed", 3, "--save", "w.safetensors")
        weights = read_safetensors(self.folder / "w.safetensors")
        row = [0.5, -1.0, 2.0]
        write_safetensors(self.folder / "x.safetensors", {"x": ("F32", [1, 3], row)})
        self.weft("run", path, "--weights", "w.safetensors", "--inputs", "x.safetensors", "--outputs", "y.safetensors")
        for i in range(count):
            w, b = weights[f"p{i % 7}.weight"][1], weights[f"p{i % 7}.bias"][1]
            row = [math.tanh(b[o] + sum(w[3 * o + k] * row[k] for k in range(3))) for o in range(3)]
        for expected, got in zip(row, read_safetensors(self.folder / "y.safetensors")["y"][1]):
            self.assertAlmostEqual(expected, got, places=5)

    def test_two_models_in_one_program(self):
        self.weft("compile", self.model("a.json", name="a"))
        self.weft("compile", self.model("b.json", name="b", config={"hidden": 9}))
        (self.folder / "main.c").write_text('#include "a.h"\n#include "b.h"\nint main(void) { weft_model *a, *b; '
                                            "return a_open(0, &a) || b_open(0, &b) || weft_model_close(a) || weft_model_close(b); }\n")
        self.link("a.o", "b.o")
        self.app()

    def test_a_session_of_another_model_is_refused(self):
        self.weft("compile", self.model("a.json", name="a"))
        inputs = {"only": {"dtype": "f32", "shape": [2]}}
        self.weft("compile", self.model("b.json", name="b", config={}, dims={}, inputs=inputs, graph=[{"id": "y", "op": "neg", "in": "only"}],
                                        outputs={"y": "y"}, entries={}))
        (self.folder / "main.c").write_text("""#include "a.h"
#include "b.h"
#include <stdio.h>
int main(void) {
  weft_model *a, *b;
  weft_session *session, *none;
  float data[2] = {0, 0};
  a_dims dims;
  b_dims no_dims = {0};
  b_forward_args args = {{0}, 0, 0};
  dims.B = 1;
  args.only = args.y = data;
  if (a_open(0, &a) || b_open(0, &b) || weft_model_init(a, 1) || weft_model_init(b, 1) || a_session(a, &dims, 0, &session)) return 1;
  if (b_forward(session, &args) != WEFT_ERR_ARGUMENT || b_forward(0, &args) != WEFT_ERR_ARGUMENT) return 2;
  if (b_session(a, &no_dims, 0, &none) != WEFT_ERR_ARGUMENT || none) return 3;
  return printf("%s\\n", weft_session_error(session)) < 0;
}
""")
        self.link("a.o", "b.o")
        self.assertEqual(self.app(), "expected a session of 'b' but got one of 'a'\n")

    def test_states_and_generate_entries_have_numbers(self):
        self.weft("compile", STORIES / "stories260k.json", "-o", "s")
        header = (self.folder / "s.h").read_text()
        self.assertIn("stories260k_STATE_kv = 0", header)
        self.assertIn("stories260k_GENERATE_generate = 0", header)

    def test_header_and_object_belong_together(self):
        self.weft("compile", self.model())
        (self.folder / "main.c").write_text(PROGRAM)
        os.rename(self.folder / "small.h", self.folder / "kept.h")
        self.weft("compile", self.model(config={"hidden": 6}))
        os.rename(self.folder / "kept.h", self.folder / "small.h")
        self.assertIn("small_weft_id_", self.link("small.o", code=1))

    def test_same_input_same_bytes(self):
        self.weft("compile", self.model(), "-o", "one")
        self.weft("compile", self.model(), "-o", "two", env={"LC_ALL": "C", "SOURCE_DATE_EPOCH": "1"})
        for ending in (".o", ".h"):
            self.assertEqual((self.folder / ("one" + ending)).read_bytes(), (self.folder / ("two" + ending)).read_bytes())

    def test_one_entry(self):
        self.weft("compile", self.model(), "--entry", "look")
        header = (self.folder / "small.h").read_text()
        self.assertIn("small_look(", header)
        self.assertNotIn("small_forward(", header)

    def test_other_forms(self):
        self.weft("compile", self.model(), "--emit", "ir,llvm", "--emit", "asm")
        self.assertEqual(self.files(), ["small.json", "small.ll", "small.mlir", "small.s"])
        self.assertIn("weft.", (self.folder / "small.mlir").read_text())
        self.assertIn("define", (self.folder / "small.ll").read_text())

    def test_stages(self):
        for stage in ("import", "autodiff", "fusion", "lowering", "memory", "tiling", "target"):
            out, _ = self.weft("compile", self.model(), "--stop-after", stage)
            self.assertIn("func", out, stage)
        self.assertEqual(self.files(), ["small.json"])
        _, err = self.weft("compile", self.model(), "--stop-after", "fusoin", code=2)
        self.assertIn("did you mean 'fusion'?", err)

    def test_print_ir_time_explain_and_temporaries(self):
        out, err = self.weft("compile", self.model(), "--print-ir-after", "import", "--time", "--explain", "--save-temps", "temps")
        self.assertIn("IR after import", err)
        self.assertRegex(err, r"emit +\d+\.\d ms")
        self.assertIn("kernels of forward", out)
        self.assertIn("1-import.mlir", [p.name for p in (self.folder / "temps").iterdir()])

    def test_embedded_weights(self):
        self.weft("init", self.model(), "--save", "w.safetensors", "--seed", "1")
        self.weft("compile", "small.json", "--embed-weights", "--weights", "w.safetensors")
        (self.folder / "main.c").write_text(PROGRAM.replace("weft_model_init(model, 1)", "weft_model_load_memory(model, NULL, 0)"))
        self.link("small.o")
        embedded = self.app()
        (self.folder / "main.c").write_text(PROGRAM)
        self.link("small.o")
        self.assertEqual(self.app(), embedded)

    def test_weights_need_embedding(self):
        _, err = self.weft("compile", self.model(), "--weights", "w.safetensors", code=2)
        self.assertIn("--embed-weights", err)
        self.assertEqual(self.files(), ["small.json"])

    def test_wrong_forms_and_entries(self):
        _, err = self.weft("compile", self.model(), "--emit", "objj", code=2)
        self.assertIn("did you mean 'obj'?", err)
        self.weft("compile", self.model(), "--emit", "ptx", code=5)
        _, err = self.weft("compile", self.model(), "--entry", "forwrad", code=2)
        self.assertIn("did you mean 'forward'?", err)
        self.assertEqual(self.files(), ["small.json"])

    def test_nothing_is_written_on_failure(self):
        self.weft("compile", self.model(outputs={"y": "nowhere"}), code=1)
        self.assertEqual(self.files(), ["small.json"])
        self.weft("compile", self.model(), "-o", "missing/folder/small", code=3)
        (self.folder / "taken.h").mkdir()
        self.weft("compile", self.model(), "-o", "taken", code=3)
        self.assertEqual(self.files(), ["small.json", "taken.h"])

    def test_old_files_survive_a_failure(self):
        self.weft("compile", self.model())
        old = (self.folder / "small.o").read_bytes()
        self.weft("compile", self.model(graph=[]), code=1)
        self.assertEqual((self.folder / "small.o").read_bytes(), old)

    def test_what_killed_processes_left_goes_after_an_hour(self):
        """An hour by the clock of the folder: a backup has the times of the old file, which may be older than this."""
        self.weft("compile", self.model(), "-q")
        os.utime(self.folder / "small.o", (1, 1))
        os.link(self.folder / "small.o", self.folder / ".small.o.old999999998-1")
        left = [".small.o.old999999998-1", ".small.o.tmp999999999-0"]
        kept = [".other.o.tmp999999999-0", ".small.o.tmp999999999-0-mine.txt"]
        for name in (left[1], *kept):
            (self.folder / name).write_text("x")

        def hidden():
            return [name for name in self.files() if name.startswith(".")]

        self.weft("compile", "small.json", "-q")
        self.assertEqual(hidden(), sorted(left + kept))
        (self.folder / "later.c").write_text("#include <sys/time.h>\n#include <time.h>\n"
                                             "time_t time(time_t *out) { struct timeval now; gettimeofday(&now, 0); if (out) *out = now.tv_sec + 4000; return now.tv_sec + 4000; }\n")
        subprocess.run(["cc", "-shared", "-fPIC", "later.c", "-o", "later.so"], cwd=self.folder, check=True)
        self.weft("compile", "small.json", "-q", env={"LD_PRELOAD": str(self.folder / "later.so")})
        self.assertEqual(hidden(), kept)

    def test_the_model_is_not_overwritten(self):
        os.symlink("small.json", self.folder / "link.h")
        _, err = self.weft("compile", self.model(), "-o", "link", code=2)
        self.assertIn("model file itself", err)

    def test_awkward_paths(self):
        self.weft("compile", self.model(), "-o", "a b%n'c")
        self.assertIn("a b%n'c.o", self.files())

    def test_inspect(self):
        self.weft("compile", self.model())
        out, _ = self.weft("inspect", "small.o")
        for text in ("small", "ABI version 6", "B 1..16", "forward(x [B, 3] f32) -> y [B, 2] f32"):
            self.assertIn(text, out)
        facts = json.loads(self.weft("inspect", "small.o", "--json")[0])
        self.assertEqual([entry["name"] for entry in facts["entries"]], ["forward", "look"])
        self.assertEqual(facts["entries"][1], {"name": "look", "inputs": [{"name": "ids", "dtype": "i32", "shape": ["B", 4], "range": [0, 6]}],
                                               "outputs": [{"name": "words", "dtype": "f32", "shape": ["B", 4, 3]}]})
        self.assertIn({"name": "words.weight", "dtype": "f32", "shape": [7, 3], "file_name": "words.weight"}, facts["parameters"])
        out, _ = self.weft("compile", self.model("fixed.json", entries={"one": {"outputs": ["words"], "dims": {"B": 1}}}), "-o", "fixed")
        self.assertIn("one(ids [1, 4] i32) -> words [1, 4, 3] f32", self.weft("inspect", "fixed.o")[0])
        (self.folder / "main.c").write_text(PROGRAM)
        self.link("small.o")
        _, err = self.weft("inspect", "app", code=1)
        self.assertIn("it is a linked program or library", err)
        self.weft("inspect", "small.json", code=1)
        self.weft("inspect", "missing.o", code=3)


if __name__ == "__main__":
    unittest.main()
