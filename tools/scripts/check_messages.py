#!/usr/bin/env python3
# Checks the voice of error texts: they start in lower case (or with a name), and end without a period.
# Usage: check_messages.py; prints "FILE:LINE: text" for each offence and exits 1, or exits 0 in silence.
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Calls whose first string literal is the beginning of a message, and whose last one ends it.
CALL = re.compile(r"\b(?:emitError|emitOpError|emitWarning|emitRemark|notifyMatchFailure|error|warning|fail|refuse|failure)\s*\(")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
NAMES = re.compile(r"^(?:[A-Z][A-Z0-9_+-]+\b|[A-Z]$|LLVM|MLIR|JSON|Philox|AdamW?|NumPy|PyTorch|Weft|Hugging|Debian)")


def message_parts(text, start):
    """String literals of the call that opens at text[start] == '(', up to the matching parenthesis or 600 characters."""
    depth, i, parts = 0, start, []
    while i < min(len(text), start + 600):
        c = text[i]
        if c == '"':
            found = LITERAL.match(text, i)
            if not found:
                return parts
            parts.append(found.group(1))
            i = found.end()
            continue
        depth += (c == "(") - (c == ")")
        i += 1
        if depth == 0:
            break
    return parts


def main():
    offences = []
    for folder in ("compiler", "runtime", "tools"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".cpp", ".c", ".h"):
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            for call in CALL.finditer(text):
                line_start = text.rfind("\n", 0, call.start()) + 1
                if re.match(r"\s*(//|\*|/\*)", text[line_start:call.start()]):
                    continue
                parts = [p for p in message_parts(text, call.end() - 1) if p]
                if not parts:
                    continue
                where = f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, call.start()) + 1}"
                if parts[0][0].isupper() and not NAMES.match(parts[0]):
                    offences.append(f"{where}: expected a message in lower case but got '{parts[0]}'")
                if parts[-1].endswith(".") and not parts[-1].endswith("..") and len(parts[-1]) > 2:
                    offences.append(f"{where}: expected a message without a final period but got '{parts[-1]}'")
    for offence in offences:
        print(offence, file=sys.stderr)
    return int(bool(offences))


if __name__ == "__main__":
    sys.exit(main())
