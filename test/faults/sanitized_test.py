#!/usr/bin/env python3
# Generated code under AddressSanitizer or ThreadSanitizer: the LLVM IR of a model gets the sanitizer's attribute, is compiled
# by clang, and is called from eight threads. The planted overflow or race, inside generated code, must be reported.
# Usage: sanitized_test.py address|thread WEFT MODEL.json INCLUDE RUNTIME CLANG CALLS; the runtime is instrumented, too.
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def instrumented(text, kind):
    return re.sub(r"(?m)^(define [^\n]*?)((?: #\d+)?) \{$", rf"\1\2 sanitize_{kind} {{", text)


def main():
    kind, weft, model, include, runtime, clang, calls = sys.argv[1:8]
    with tempfile.TemporaryDirectory(prefix="weft-sanitized-") as name:
        folder = pathlib.Path(name)

        def run(*words):
            return subprocess.run(list(map(str, words)), cwd=folder, capture_output=True, text=True)

        # ThreadSanitizer passes over accesses of more than 16 bytes, AddressSanitizer over masked ones of AVX-512.
        done = run(weft, "compile", model, "--set", "layers=2", "--entry", "forward", "--cpu", "x86-64" if kind == "thread" else "x86-64-v3", "--emit", "llvm,header", "-o", "m", "-q")
        assert done.returncode == 0, done.stderr
        text = (folder / "m.ll").read_text()
        (folder / "m.ll").write_text(instrumented(text, kind))
        for words in ([clang, "-O1", f"-fsanitize={kind}", "-Wno-override-module", "-c", "m.ll", "-o", "m.o"],
                      [clang, "-std=gnu11", "-g", "-O1", f"-fsanitize={kind}", "-I", include, "-I.", HERE / "sanitized.c", "m.o", runtime, "-lm", "-lpthread", "-o", "sanitized"]):
            done = run(*words)
            assert done.returncode == 0, done.stderr
        done = run("./sanitized", calls)
        if done.returncode != 0 or "ERROR" in done.stderr or "WARNING" in done.stderr:
            print(done.stdout, done.stderr[-6000:])
            return 1
        print(f"count: calls of generated code under the {kind} sanitizer = {calls}")
        planted, report = ("short", "heap-buffer-overflow") if kind == "address" else ("race", "data race")
        done = run("./sanitized", 800, planted)
        if done.returncode == 0 or report not in done.stderr or "stories260k_" not in done.stderr:
            print(done.stdout, done.stderr[-6000:])
            print(f"expected a report of '{report}' in generated code for the planted bug")
            return 1
    print("count: planted bugs caught = 1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
