#!/usr/bin/env python3
# Plants a bug: copies a source file with one text replaced. A test that is built with the copy must fail.
# Usage: plant.py SOURCE COPY OLD NEW; an OLD that is not in SOURCE exactly once is an error, so that plants cannot rot.
import pathlib
import sys


def main():
    source, copy, old, new = sys.argv[1:5]
    text = pathlib.Path(source).read_text(encoding="utf-8")
    if text.count(old) != 1:
        print(f"{source}: expected the text to plant a bug at exactly once but got it {text.count(old)} times: {old}", file=sys.stderr)
        return 1
    pathlib.Path(copy).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(copy).write_text(text.replace(old, new), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
