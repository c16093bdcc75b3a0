#!/usr/bin/env python3
# Writes the generated pages: docs/passes.md and docs/dialect.md from ODS, the table of functions in docs/c-api.md from the
# public headers; with --docgen also docs/ops.md and the JSON Schema. Usage: make_docs.py [--check] [--tblgen FILE] [--docgen FILE];
# with --check nothing is written, and exit code 1 says a page is old.
import argparse
import difflib
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
COMPILER = ROOT / "compiler"
INCLUDE = ROOT / "runtime" / "include" / "weft"

PASSES_HEAD = """# Passes

Generated from `compiler/Passes.td` by `tools/scripts/make_docs.py`. In the order of the pipeline; `--canonicalize` and `--cse` run between them. `weft-opt` runs each one alone:

```sh
build/tools/weft-opt/weft-opt test/fusion/sink_slice.mlir -split-input-file -weft-sink-slice -canonicalize
```

"""
DIALECT_HEAD = """# The `weft` dialect

Generated from `compiler/dialect/*.td` by `tools/scripts/make_docs.py`. What the ops of the model file mean to a user stands in [ops.md](ops.md); this page is the IR.

"""
# ODS spells element types out at every operand; the page says them once.
F = "32-bit float or 16-bit float or bfloat16 type or 64-bit float"
TYPES = [
    (f"ranked tensor of {F} or 32-bit signless integer or 64-bit signless integer or 8-bit signless integer or 8-bit unsigned integer or 1-bit signless integer values", "tensor"),
    (f"ranked tensor of {F} values", "float tensor"),
    ("ranked tensor of 1-bit signless integer values", "bool tensor"),
    ("ranked tensor of 32-bit signless integer or 64-bit signless integer values", "index tensor"),
]
TYPES_TEXT = """In the tables below *tensor* is a ranked tensor of `f32 f16 bf16 f64 i32 i64 i8 ui8` or `i1`, *float tensor* of the first four, *index tensor* of `i32` or `i64`, *bool tensor* of `i1`.

"""


def tblgen(tool, kind, file):
    done = subprocess.run([tool, *kind, str(file), f"-I{pathlib.Path(tool).resolve().parents[1] / 'include'}", f"-I{COMPILER}", f"-I{COMPILER / 'dialect'}"],
                          capture_output=True, text=True, check=True)
    return done.stdout


def tidy(text):
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def passes_page(tool):
    text = tblgen(tool, ["-gen-pass-doc"], COMPILER / "Passes.td")
    sections = {re.match(r"### `-([\w-]+)`", part).group(1): part.replace("### `-", "## `-", 1) for part in re.split(r"(?m)^(?=### `-)", text)[1:]}
    order = re.findall(r'Pass<"([\w-]+)"', (COMPILER / "Passes.td").read_text())
    return tidy(PASSES_HEAD + "\n".join(sections[name] for name in order))


def dialect_page(tool):
    text = tblgen(tool, ["-gen-dialect-doc", "-dialect=weft"], COMPILER / "dialect" / "WeftOps.td")
    for long, short in TYPES:
        text = text.replace(long, short)
    text = text[text.index("\n_", 1) :]  # the head comment and title are the page's own
    text = re.sub(r"(?m)^### `(weft\.\w+)` \(::(weft::\w+)\)$", r"### `\1`", text)
    ops = re.findall(r"(?m)^### `(weft\.\w+)`$", text)
    links = " ".join(f"[`{op[5:]}`](#{op.replace('.', '')})" for op in ops)
    return tidy(DIALECT_HEAD + text.lstrip().replace("[TOC]", TYPES_TEXT + "Ops: " + links, 1))


def sentence(text, pattern):
    found = re.search(pattern, text)
    return found.group(1).strip() if found else ""


def cell(text):
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def fallback(declaration):
    """What a function without a comment of its own does; the headers' general rules say so."""
    if re.search(r"_(destroy|close)\(", declaration):
        return "Releases it; accepts `NULL`."
    return "likewise" if "const char *name" in declaration else "An answer about the handle; never fails."


def functions_table():
    """One table a chapter of runtime.h, then train.h, tensors.h and status.h: declaration, first sentence, what it can answer."""
    lines = []
    for header in ("runtime.h", "train.h", "tensors.h", "status.h"):
        text = (INCLUDE / header).read_text()
        text = text[text.index('extern "C" {') : text.rindex("#ifdef __cplusplus")]
        text = re.sub(r"(?ms)^typedef (?:struct|enum) \w+ \{.*?^\} \w+;|^typedef [^;{]*\{[^}]*\} \w+;|^typedef [^;{]*;|^#.*?$", "", text)
        tokens = re.findall(r"(?s)/\*.*?\*/|^[a-z][\w \*]*\bweft_\w+\([^;]*\);", text, re.M)
        title, comment, opened, previous = header, "", None, ""
        for token in tokens:
            if token.startswith("/* ----"):
                title, comment = re.match(r"/\* -+ (.*?)\.? -+", re.sub(r"\s+", " ", token)).group(1), ""
                title = re.split(r"[.:] ", title)[0]
            elif token.startswith("/*"):
                comment = re.sub(r"\n \*", "\n", token[2:-2]).strip()
            else:
                if opened != (header, title):
                    lines += ["", f"**`{header}`**" + (f": {title}" if title != header else ""), "", "| function | what | fails with |", "|---|---|---|"]
                    opened = (header, title)
                fails = " ".join(dict.fromkeys(re.findall(r"WEFT_ERR_\w+", comment)))
                what = (sentence(comment, r"(?s)^(.*?[.;])(?:\s|$)") or comment).rstrip(";")
                if comment.startswith("The same"):
                    fails = fails or previous
                inherited = re.search(r"Fails as (weft_\w+)", comment)
                names = fails.replace("WEFT_ERR_", "") + (f" and as `{inherited.group(1)}`" if inherited else "")
                lines.append(f"| `{cell(token[:-1])}` | {cell(what) or fallback(token)} | {names} |")
                comment, previous = "", fails
    return "\n".join(lines).strip() + "\n"


def c_api_page():
    page = (DOCS / "c-api.md").read_text()
    begin, end = "<!-- functions: written by tools/scripts/make_docs.py -->\n", "<!-- functions: end -->"
    return page[: page.index(begin) + len(begin)] + functions_table() + page[page.index(end) :]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--tblgen", default="/usr/lib/llvm-22/bin/mlir-tblgen")
    parser.add_argument("--docgen")
    options = parser.parse_args()
    old = []
    pages = [("passes.md", passes_page(options.tblgen)), ("dialect.md", dialect_page(options.tblgen)), ("c-api.md", c_api_page())]
    if options.docgen:
        for name, page in (("ops.md", "ops"), ("weft-1.schema.json", "schema")):
            pages.append((name, subprocess.run([options.docgen, page], capture_output=True, text=True, check=True).stdout))
    for name, text in pages:
        file = DOCS / name
        present = file.read_text() if file.exists() else ""
        if present == text:
            continue
        if options.check:
            old.append(name)
            sys.stderr.writelines(list(difflib.unified_diff(present.splitlines(True), text.splitlines(True), f"docs/{name}", "generated"))[:40])
        else:
            file.write_text(text)
    if old:
        print(f"docs: {', '.join(old)} not up to date; run: tools/scripts/make_docs.py", file=sys.stderr)
    return int(bool(old))


if __name__ == "__main__":
    sys.exit(main())
