#!/usr/bin/env python3
# Runs one fuzz target: its kept corpus, then new inputs for WEFT_FUZZ_SECONDS (60); then the same target with a planted bug.
# Usage: fuzz_test.py NAME PROGRAM PLANTED_PROGRAM. A finding is left in the current folder; put it into the corpus when it is mended.
# The fuzzer sees copies alone, so that nothing is ever written into the source tree.
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = int(os.environ.get("WEFT_FUZZ_SECONDS", "60"))


def run(program, corpus, seconds, artifacts):
    """(exit code, what it printed, inputs tried)"""
    with tempfile.TemporaryDirectory(prefix="weft-fuzz-") as folder:
        given = shutil.copytree(corpus, pathlib.Path(folder) / "given")
        found = pathlib.Path(folder) / "found"
        found.mkdir()
        words = [program, "-timeout=5", "-rss_limit_mb=2048", "-malloc_limit_mb=256", "-max_len=4096", "-print_final_stats=1", "-verbosity=1"]
        words += [f"-max_total_time={seconds}", f"-artifact_prefix={artifacts}/", str(found), str(given)]
        # libMLIR is not instrumented, so that containers that it fills look wrong from outside.
        env = {**os.environ, "ASAN_OPTIONS": "detect_container_overflow=0"}
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, env=env, timeout=seconds + 120)
    tried = re.search(r"stat::number_of_executed_units: *(\d+)", done.stderr) or re.search(r"Done (\d+) runs", done.stderr)
    return done.returncode, done.stderr, int(tried.group(1)) if tried else 0


def main():
    name, program, planted = sys.argv[1:4]
    corpus = HERE / "corpus" / name
    code, text, tried = run(program, corpus, SECONDS, ".")
    if code != 0:
        print(text[-6000:])
        print(f"fuzz {name}: exit code {code} after {tried} inputs")
        return 1
    print(f"count: fuzz {name}, inputs in {SECONDS} s = {tried}")
    with tempfile.TemporaryDirectory(prefix="weft-fuzz-") as folder:
        code, text, tried = run(planted, HERE / "seeds", max(SECONDS, 180), folder)  # few files: it must find the bug, not remember it
    if code == 0:
        print(f"fuzz {name}: expected the planted bug to be found but got none after {tried} inputs")
        return 1
    print("count: planted bugs caught = 1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
