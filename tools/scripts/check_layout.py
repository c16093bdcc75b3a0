#!/usr/bin/env python3
# Checks the floor plan: who may include whom, how long files are, and that each says in its head what it is for.
# Usage: check_layout.py; prints "FILE:LINE: text" for each offence and exits 1, or exits 0 in silence.
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = {".h", ".cpp", ".c", ".td", ".py", ".sh", ".mlir", ".cmake"}
MAX_LINES = 1000

# Rooms below a room of compiler/, whose headers it may include besides its own and dialect/'s. Two headers are open to
# all: the model as plain structs and the diagnostics. Only pipeline/ (and the tools) see every room.
BELOW = {
    "dialect": set(),
    "import": {"dialect"},
    "autodiff": {"dialect"},
    "fusion": {"dialect", "tiling"},
    "lowering": {"dialect", "tiling"},
    "memory": {"dialect", "lowering", "tiling"},
    "tiling": {"dialect"},
    "entry": {"dialect", "memory", "tiling", "lowering"},
    "target": {"dialect", "tiling"},
    "emit": {"dialect", "entry"},
    "pipeline": None,
}
OPEN = {"import/ModelDesc.h", "import/Diagnostics.h", "dialect/DimExpr.h", "Passes.h", "pipeline/Stages.h", "weft/abi.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]')
COMMENT = {".h": ("//", "/*"), ".cpp": ("//", "/*"), ".c": ("//", "/*"), ".td": ("//",), ".mlir": ("//",), ".py": ("#", '"""'), ".sh": ("#",), ".cmake": ("#",)}


def project_files():
    for top in ("compiler", "runtime", "tools", "test", "models", "examples", "cmake"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and (path.suffix in SOURCES or path.name == "CMakeLists.txt"):
                yield path


def room_of(path):
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "compiler" and len(parts) > 2 else None


def check_include(path, header):
    """The reason why `path` may not include `header`, or None."""
    top = path.relative_to(ROOT).parts[0]
    head = header.split("/")[0]
    if top == "runtime":
        if ("/" in header and head in BELOW) or (head in ("mlir", "llvm", "nlohmann") or head == "compiler"):
            return "the runtime knows nothing of the compiler"
        return None
    room = room_of(path)
    if room is None:
        return None
    if head == "weft" and header != "weft/abi.h":
        return "the compiler sees only weft/abi.h of the runtime"
    if head == "nlohmann" and room != "import":
        return "only import/ reads JSON"
    if room not in BELOW:
        return f"room '{room}' is not on the floor plan"
    if "/" not in header or head not in BELOW or header in OPEN or head == room or BELOW[room] is None:
        return None
    if head not in BELOW[room]:
        return f"room '{room}' may include {', '.join(sorted(BELOW[room] | {room}))} but not '{head}'"
    return None


def head_comment_lines(path, lines):
    """Comment lines at the top, after a shebang and, in lit tests, the RUN lines."""
    start = 1 if lines and lines[0].startswith("#!") else 0
    while start < len(lines) and re.match(r"^\s*(//|#)\s*RUN:", lines[start]):
        start += 1
    marks = COMMENT.get(path.suffix, ("#",))
    count, block = 0, False
    for line in lines[start:]:
        text = line.strip()
        if block or text.startswith(marks):
            if text.startswith("/*"):
                block = True
            if text.startswith('"""'):
                block = not (block or (len(text) > 3 and text.endswith('"""')))
            count += 1
            if "*/" in text:
                block = False
        else:
            break
    return count


def main():
    offences = []
    for path in project_files():
        name = path.relative_to(ROOT)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if not lines:
            continue
        if len(lines) > MAX_LINES:
            offences.append(f"{name}:{MAX_LINES + 1}: expected at most {MAX_LINES} lines but got {len(lines)}")
        if head_comment_lines(path, lines) == 0:
            offences.append(f"{name}:1: expected a comment that says what the file is for")
        if path.suffix in (".h", ".cpp", ".c"):
            for number, line in enumerate(lines, 1):
                found = INCLUDE.match(line)
                reason = found and check_include(path, found.group(1))
                if reason:
                    offences.append(f"{name}:{number}: includes '{found.group(1)}': {reason}")
    for offence in offences:
        print(offence, file=sys.stderr)
    return int(bool(offences))


if __name__ == "__main__":
    sys.exit(main())
