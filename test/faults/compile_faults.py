#!/usr/bin/env python3
# `weft compile` with one failing allocation or file call at a time: the documented exit code, one error, no partial file.
# Usage: compile_faults.py WEFT PRELOAD MODEL memory|io [POINTS]. An old output must stay as it was unless the exit code is 0.
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

OLD = b"the old file"


def run(weft, preload, model, folder, fault, count=None):
    env = {**os.environ, "LD_PRELOAD": preload}
    env.update({"WEFT_FAULT": fault} if fault else {}, **({"WEFT_FAULT_COUNT": str(count)} if count else {}))
    return subprocess.run([weft, "compile", model, "-o", "out", "-q"], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", check=False, timeout=120)


def contents(folder):
    return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def complaint(weft, preload, model, fault, allowed, good):
    """What is wrong after this fault, or None; and the exit code."""
    with tempfile.TemporaryDirectory(prefix="weft-fault-") as folder:
        before = {"out.o": OLD, "out.h": OLD}
        for name, data in before.items():
            (pathlib.Path(folder) / name).write_bytes(data)
        done = run(weft, preload, model, folder, fault)
        after = contents(folder)
    if done.returncode not in allowed:
        return f"exit code {done.returncode}: {done.stderr[:300]}", done.returncode
    if after != (good if done.returncode == 0 else before):
        sizes = {name: len(data) for name, data in after.items()}
        return f"exit code {done.returncode} but the files are {sizes}", done.returncode
    if done.returncode != 0 and "error: " not in done.stderr:
        return f"exit code {done.returncode} without an error", done.returncode
    return None, done.returncode


def main():
    weft, preload, model, kind = sys.argv[1:5]
    with tempfile.TemporaryDirectory(prefix="weft-fault-") as folder:
        counts = pathlib.Path(folder) / "counts"
        done = run(weft, preload, model, folder, None, counts)
        if done.returncode != 0:
            print(done.stderr)
            return 1
        allocations, calls = map(int, counts.read_text().split())
        counts.unlink()
        good = contents(folder)
    if kind == "memory":
        points = min(int(sys.argv[5]) if len(sys.argv) > 5 else 400, allocations)
        jobs = [(f"memory:{i * allocations // points}{'+' if i % 2 else ''}", (0, 4)) for i in range(points)]
    else:
        jobs = [(f"io:{i}:{what}", (0,) if what == "short" else (0, 3)) for i in range(calls) for what in ("EIO", "ENOSPC", "EINTR", "short")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(lambda job: complaint(weft, preload, model, *job, good), jobs))
    wrong = [(job[0], text) for job, (text, code) in zip(jobs, results) if text]
    failing = sum(code != 0 for _, code in results)
    for fault, text in wrong[:10]:
        print(f"{fault}: expected the documented end but got {text}", file=sys.stderr)
    print(f"{allocations} allocations and {calls} file calls in one compilation; {failing} of {len(jobs)} faults ended it")
    print(f"count: compilations with a failing {'allocation' if kind == 'memory' else 'file call'} = {len(jobs)}")
    if failing < len(jobs) // 20:
        print("expected faults to end compilations: are they injected?", file=sys.stderr)
        return 1
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
