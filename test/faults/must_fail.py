#!/usr/bin/env python3
# Runs a test that is built with a planted bug: it must fail, by a crash that a sanitizer saw or by its own checks.
# Usage: must_fail.py COMMAND…
import re
import subprocess
import sys


def main():
    done = subprocess.run(sys.argv[1:], capture_output=True, text=True, errors="replace", check=False, timeout=900)
    if done.returncode == 0:
        print(f"expected {sys.argv[1]} to fail with its planted bug but it passed")
        return 1
    said = re.findall(r"^.*(?:ERROR: \w*Sanitizer|runtime error|broken promise|expected ).*$", done.stderr, re.M)
    if not said:
        print(f"expected {sys.argv[1]} to say what is wrong but got:\n{done.stderr[-2000:]}")
        return 1
    print(f"caught: {said[0].strip()[:200]}")
    print("count: planted bugs caught = 1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
