#!/usr/bin/env python3
# Objects for CPUs that this machine is not: aarch64 under qemu-user gives the reference's numbers (and PyTorch's, where the
# golden folders are), AVX-512 objects on a CPU without it refuse with the missing instructions, or take the variant that fits.
# Skipped where qemu-user or the cross compiler is not installed.
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from weft_cli import INCLUDE, MODELS, WEFT, CommandTest, read_safetensors

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = MODELS.parent / "runtime" / "src"
REFERENCE = pathlib.Path(os.environ["WEFT_BUILD"]) / "tools" / "reference" / "weft-reference"
CROSS, ARM, X86 = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64"), shutil.which("qemu-x86_64")
# Small models with their inputs in the repository, and the options of their pages.
EXAMPLES = {"encoder_block": (), "einsum_self_attention": ("d=32", "heads=4"), "causal_attention": ("d=32", "heads=4"), "encoder_layer": ("d=32", "heads=4", "ff=64"),
            "self_attention_weights": ()}


class Emulated(CommandTest):
    def run_here(self, *words, code=0):
        done = subprocess.run(list(map(str, words)), cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def program(self, compiler, model, sets, cpu, runtime):
        """any_model with the object of a model for another CPU."""
        options = [word for text in sets for word in ("--set", text)]
        self.weft("compile", model, *options, "--entry", "forward", "--cpu", cpu, "-o", "m", "-q")
        descriptor = re.search(r"extern const weft_model_desc (\w+);", (self.folder / "m.h").read_text()).group(1)
        self.run_here(compiler, "-std=gnu11", "-O1", f"-DMODEL={descriptor}", "-I", INCLUDE, HERE / "any_model.c", "m.o", *runtime, "-static", "-lm", "-lpthread", "-o", "any_model")

    def check(self, expected, tolerance):
        found, wanted = read_safetensors(self.folder / "out.safetensors"), read_safetensors(expected)
        self.assertTrue(found)
        for name, (shape, values) in found.items():
            self.assertEqual(shape, wanted[name][0], name)
            scale = max(map(abs, wanted[name][1]))
            self.assertLessEqual(max(abs(a - b) for a, b in zip(values, wanted[name][1])), tolerance * scale, name)

    def runtime_objects(self, compiler, *options):
        self.run_here(compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O1", *options, "-c", "-I", INCLUDE, "-I", SOURCES, *sorted(SOURCES.glob("*.c")))
        return sorted(self.folder.glob("*.o"))

    @unittest.skipUnless(CROSS and ARM, "expected qemu-aarch64 and aarch64-linux-gnu-gcc")
    def test_aarch64_gives_the_numbers_of_the_reference(self):
        runtime, models = self.runtime_objects(CROSS), 0
        for model, sets in EXAMPLES.items():
            path, inputs = MODELS / model / f"{model}.json", MODELS / model / "example.safetensors"
            self.weft("init", path, *[word for text in sets for word in ("--set", text)], "--seed", "1", "--save", "w.safetensors")
            self.run_here(REFERENCE, path, "--inputs", inputs, "--weights", "w.safetensors", "--outputs", "expected.safetensors", *[word for text in sets for word in ("--set", text)])
            self.program(CROSS, path, sets, "aarch64", runtime)
            self.run_here(ARM, "-L", "/usr/aarch64-linux-gnu", "./any_model", "w.safetensors", inputs, "out.safetensors")
            self.check(self.folder / "expected.safetensors", 1e-5)
            models += 1
        goldens = pathlib.Path(os.environ.get("WEFT_SHARED", "/nowhere")) / "data" / "goldens"
        for name, sets in (("simple_transformer", ()), ("transformer_block", ()), *EXAMPLES.items()):
            folder = goldens / name
            if not (folder / "weights.safetensors").exists():
                continue
            self.program(CROSS, MODELS / name / f"{name}.json", sets, "aarch64", runtime)
            self.run_here(ARM, "-L", "/usr/aarch64-linux-gnu", "./any_model", folder / "weights.safetensors", folder / "inputs.safetensors", "out.safetensors")
            self.check(folder / "expected.safetensors", 1e-5)
            models += 1
        print(f"count: models that run on aarch64 = {models}")

    @unittest.skipUnless(X86, "expected qemu-x86_64")
    def test_an_object_looks_before_it_leaps(self):
        runtime, path, inputs = self.runtime_objects("cc"), MODELS / "encoder_layer" / "encoder_layer.json", MODELS / "encoder_layer" / "example.safetensors"
        sets = EXAMPLES["encoder_layer"]
        self.weft("init", path, *[word for text in sets for word in ("--set", text)], "--seed", "1", "--save", "w.safetensors")
        self.run_here(REFERENCE, path, "--inputs", inputs, "--weights", "w.safetensors", "--outputs", "expected.safetensors", *[word for text in sets for word in ("--set", text)])
        # What the object is for, the CPU, and the variant that runs or the instructions that are missing.
        for cpu, machine, expect in (("x86-64-v4", "Haswell", "avx512f"), ("x86-64-v3", "Nehalem", "avx2"), ("x86-64-v4,x86-64-v3", "Haswell", "x86-64-v3"), ("x86-64,x86-64-v3,x86-64-v4", "Haswell", "x86-64-v3"),
                                     ("x86-64-v4,x86-64-v3,x86-64", "Nehalem", "x86-64"), ("x86-64-v3", "Haswell", "x86-64-v3")):
            self.program("cc", path, sets, cpu, runtime)
            refused = expect.startswith("avx")
            said = self.run_here(X86, "-cpu", machine, "./any_model", "w.safetensors", inputs, "out.safetensors", code=5 if refused else 0)
            self.assertIn(expect, said)
            if not refused:
                self.assertEqual(said.splitlines()[0], expect)  # then what the emulator warns of
                self.check(self.folder / "expected.safetensors", 1e-5)


if __name__ == "__main__":
    unittest.main()
