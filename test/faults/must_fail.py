#!/usr/bin/env python3
# Runs a test that is built with a planted bug: it must fail, by a crash that a sanitizer saw or by its own checks.
# Usage: must_fail.py [--says TEXT] COMMAND…: with a TEXT that its output must have.
import re
import subprocess
import sys


def main():
    says = sys.argv[1] == "--says"
    wanted = re.escape(sys.argv[2]) if says else r"ERROR: \w*Sanitizer|runtime error|broken promise|expected "
    command = sys.argv[3:] if says else sys.argv[1:]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=900)
    if done.returncode == 0:
        print(f"expected {command[0]} to fail with its planted bug but it passed")
        return 1
    said = re.findall(rf"^.*(?:{wanted}).*$", done.stderr + (done.stdout if says else ""), re.M)
    if not said:
        print(f"expected {command[0]} to say what is wrong but got:\n{(done.stdout + done.stderr)[-2000:]}")
        return 1
    print(f"caught: {said[0].strip()[:200]}")
    print("count: planted bugs caught = 1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
