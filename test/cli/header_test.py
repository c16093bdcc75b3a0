#!/usr/bin/env python3
# A header made from awkward names compiles as C99 and as C++17 without a warning, with each compiler that is installed.
# Usage: header_test.py HEADER_NAMES_PROGRAM RUNTIME_INCLUDE_FOLDER
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

PROGRAM, INCLUDE = sys.argv[1:3]
FLAGS = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-I", INCLUDE, "-c", "-o"]


class Header(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        subprocess.run([PROGRAM, str(self.folder / "odd.h")], check=True)
        for name in ("use.c", "use.cpp"):
            (self.folder / name).write_text('#include "odd.h"\n#include "odd.h"\nint main(void) { return 0; }\n')

    def compile(self, compilers, language, source):
        found = [c for c in compilers if shutil.which(c)]
        self.assertTrue(found, f"expected one of {compilers}")
        for compiler in found:
            done = subprocess.run([compiler, f"-std={language}", *FLAGS, "out.o", source], cwd=self.folder, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), compiler)

    def test_is_clean_c99(self):
        self.compile(["gcc", "clang-22"], "c99", "use.c")

    def test_is_clean_cpp17(self):
        self.compile(["g++", "clang++-22"], "c++17", "use.cpp")

    def test_refuses_another_abi(self):
        header = (self.folder / "odd.h").read_text().replace("#if WEFT_ABI_VERSION != ", "#if WEFT_ABI_VERSION != 9")
        (self.folder / "odd.h").write_text(header)
        done = subprocess.run(["cc", *FLAGS, "out.o", "use.c"], cwd=self.folder, capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("compile the model again", done.stderr)

    def test_text_of_the_model_stays_in_comments(self):
        lines = (self.folder / "odd.h").read_text().splitlines()
        self.assertFalse([l for l in lines if l.startswith("#include") and l != "#include <weft/runtime.h>"])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
