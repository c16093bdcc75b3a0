#!/usr/bin/env python3
# An installed Weft serves a project of its own: find_package(weft), weft_add_model; pkg-config; static and shared runtime.
# WEFT_BUILD is the build folder to install from.
import json
import os
import re
import shutil
import subprocess
import unittest

from weft_cli import CommandTest

PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(app C)
find_package(weft REQUIRED)
add_executable(app main.c)
weft_add_model(app small.json)
add_library(small SHARED)
weft_add_model(small small.json EXPORT --entry forward)
"""
PROGRAM = """
#include "small.h"
int main(void) {
  weft_model *model;
  return small_open(NULL, &model) != WEFT_OK || weft_model_init(model, 0) != WEFT_OK || weft_model_close(model) != WEFT_OK;
}
"""


# What another language sees of the library.
OTHER = """
import ctypes
import sys
small = ctypes.CDLL(sys.argv[1])
small.weft_model_error.restype = ctypes.c_char_p
small.weft_model_error.argtypes = [ctypes.c_void_p]
model = ctypes.c_void_p()
assert small.small_open(None, ctypes.byref(model)) == 0
assert small.weft_model_load(model, b"missing.safetensors") != 0
assert b"missing.safetensors" in small.weft_model_error(model)
assert hasattr(small, "small_forward") and not hasattr(small, "small_look")
"""


class Install(CommandTest):
    def run_here(self, *words):
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def setUp(self):
        super().setUp()
        self.prefix = self.folder / "installed"
        self.run_here("cmake", "--install", os.environ["WEFT_BUILD"], "--prefix", str(self.prefix))
        self.model()
        (self.folder / "main.c").write_text(PROGRAM)

    def test_a_project_of_its_own(self):
        self.assertTrue((self.prefix / "include" / "weft" / "runtime.h").exists())
        json.loads((self.prefix / "share" / "weft" / "weft-1.schema.json").read_text())
        self.assertIn("format.md", [page.name for page in (self.prefix / "share" / "doc" / "weft").iterdir()])
        (self.folder / "CMakeLists.txt").write_text(PROJECT)
        self.run_here("cmake", "-G", "Ninja", "-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Release")
        self.run_here("cmake", "--build", "b")
        self.run_here("b/app")
        self.run_here("python3", "-c", OTHER, "b/libsmall.so")
        out = self.run_here(str(self.prefix / "bin" / "weft"), "compile", "small.json", "-o", "again")
        self.assertIn("installed", out)  # the line to link with names the installed runtime

    def test_new_weights_are_embedded_again(self):
        """Of the file that is named, and of the one that the model names."""
        for name, options in (("named", "--weights ${CMAKE_CURRENT_SOURCE_DIR}/named.safetensors"), ("own", "")):
            self.weft("init", self.model(f"{name}.json", weights={"file": "own.safetensors"}), "--save", f"{name}.safetensors")
            (self.folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.20)\nproject(app C)\nfind_package(weft REQUIRED)\n"
                                                        f"add_library(lib STATIC main.c)\nweft_add_model(lib {name}.json --embed-weights {options})\n")
            self.run_here("cmake", "-G", "Ninja", "-S", ".", "-B", name, f"-DCMAKE_PREFIX_PATH={self.prefix}")
            (self.folder / "main.c").write_text(f'#include "{name}.h"\n')
            objects = []
            for seed in (1, 1, 2):
                self.weft("init", f"{name}.json", "--save", f"{name}.safetensors", "--seed", seed)
                self.run_here("cmake", "--build", name)
                objects.append((self.folder / name / "lib.models" / f"{name}.o").read_bytes())
            self.assertTrue(objects[0] == objects[1])
            self.assertFalse(objects[1] == objects[2])

    @unittest.skipUnless(shutil.which("pkg-config"), "expected pkg-config")
    def test_pkg_config_wherever_it_is_installed(self):
        self.weft("compile", "small.json", "-o", "small", "-q")
        env = {**os.environ, "PKG_CONFIG_PATH": str(next(self.prefix.glob("lib*/**/weft.pc")).parent)}
        for kind, words in (("shared", ""), ("static", "-Wl,--as-needed -l:libweft_runtime.a")):
            line = f"cc main.c small.o -I. $(pkg-config --cflags weft) $(pkg-config --libs-only-L weft) {words} $(pkg-config --libs weft) -o {kind}"
            done = subprocess.run(line, shell=True, cwd=self.folder, env=env, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual("libweft_runtime" in self.run_here("readelf", "-d", kind), kind == "shared")
            self.assertEqual(subprocess.run([f"./{kind}"], cwd=self.folder, env={**env, "LD_LIBRARY_PATH": str(self.prefix / "lib")}).returncode, 0)

    def test_the_shared_runtime_shows_what_the_headers_show(self):
        library = next(self.prefix.glob("lib*/libweft_runtime.so"))
        symbols = {line.split()[-1] for line in self.run_here("nm", "-D", "--defined-only", str(library)).splitlines()}
        text = "".join(path.read_text() for path in (self.prefix / "include" / "weft").glob("*.h"))
        public = set(re.findall(r"(?m)^[a-z][\w ]*[ *](weft_\w+)\(", re.sub(r"(?m)^typedef.*$", "", text)))
        self.assertEqual(symbols, public)


if __name__ == "__main__":
    unittest.main()
