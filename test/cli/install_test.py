#!/usr/bin/env python3
# An installed Weft serves a project of its own: find_package(weft), weft_add_model, pkg-config's file.
# WEFT_BUILD is the build folder to install from.
import os
import subprocess
import unittest

from weft_cli import CommandTest

PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(app C)
find_package(weft REQUIRED)
add_executable(app main.c)
weft_add_model(app small.json)
"""
PROGRAM = """
#include "small.h"
int main(void) {
  weft_model *model;
  return small_open(NULL, &model) != WEFT_OK || weft_model_init(model, 0) != WEFT_OK || weft_model_close(model) != WEFT_OK;
}
"""


class Install(CommandTest):
    def run_here(self, *words):
        done = subprocess.run(words, cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_a_project_of_its_own(self):
        prefix = self.folder / "installed"
        self.run_here("cmake", "--install", os.environ["WEFT_BUILD"], "--prefix", str(prefix))
        self.assertTrue((prefix / "include" / "weft" / "runtime.h").exists())
        self.assertTrue(list(prefix.glob("lib*/**/weft.pc")))
        self.model()
        (self.folder / "main.c").write_text(PROGRAM)
        (self.folder / "CMakeLists.txt").write_text(PROJECT)
        self.run_here("cmake", "-G", "Ninja", "-S", ".", "-B", "b", f"-DCMAKE_PREFIX_PATH={prefix}", "-DCMAKE_BUILD_TYPE=Release")
        self.run_here("cmake", "--build", "b")
        self.run_here("b/app")
        out = self.run_here(str(prefix / "bin" / "weft"), "compile", "small.json", "-o", "again")
        self.assertIn("installed", out)  # the line to link with names the installed runtime


if __name__ == "__main__":
    unittest.main()
