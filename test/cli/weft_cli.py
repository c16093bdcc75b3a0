# What the tests of the command line share: running `weft`, folders that go away, tensor files in plain Python.
# The program is named by the environment variable WEFT; see CMakeLists.txt.
import json
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest

WEFT = os.environ["WEFT"]
MODELS = pathlib.Path(os.environ["WEFT_MODELS"])
RUNTIME = os.environ["WEFT_RUNTIME"]
INCLUDE = os.environ["WEFT_INCLUDE"]
STORIES = MODELS / "stories260k"

# A model that needs nothing: rows of 3 numbers, a hidden layer, 2 results; and a lookup with a checked range.
SMALL = {
    "format": "1.0",
    "name": "small",
    "config": {"hidden": 5},
    "dims": {"B": {"min": 1, "max": 16, "hint": 2}},
    "inputs": {"x": {"dtype": "f32", "shape": ["B", 3]}, "ids": {"dtype": "i32", "shape": ["B", 4], "range": [0, 6]}},
    "graph": [
        {"id": "up", "op": "linear", "in": "x", "features": "hidden", "activation": "relu"},
        {"id": "y", "op": "linear", "features": 2},
        {"id": "words", "op": "embedding", "in": "ids", "rows": 7, "features": 3},
    ],
    "outputs": {"y": "y", "words": "words"},
    "entries": {"forward": {"outputs": ["y"]}, "look": {"outputs": ["words"]}},
}

CODES = {"F32": ("f", 4), "F64": ("d", 8), "I32": ("i", 4), "I64": ("q", 8), "BOOL": ("B", 1)}


def write_safetensors(path, tensors):
    """tensors: name -> (dtype, shape, flat list)"""
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        raw = struct.pack(f"<{len(values)}{CODES[dtype][0]}", *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def read_safetensors(path):
    raw = pathlib.Path(path).read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header, result = json.loads(raw[8:8 + size]), {}
    header.pop("__metadata__", None)
    for name, info in header.items():
        begin, end = info["data_offsets"]
        code, width = CODES[info["dtype"]]
        result[name] = (info["shape"], list(struct.unpack(f"<{(end - begin) // width}{code}", raw[8 + size + begin:8 + size + end])))
    return result


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def weft(self, *words, code=0, stdin="", env=None):
        """Runs weft in the test's folder and checks the exit code; returns (stdout, stderr)."""
        done = subprocess.run([WEFT, *map(str, words)], cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=300,
                              env={**os.environ, **(env or {})})
        self.assertEqual(done.returncode, code, f"weft {' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}")
        return done.stdout, done.stderr

    def model(self, file="small.json", **changes):
        """Writes SMALL with some top-level keys replaced, one key a line; returns the file's name."""
        (self.folder / file).write_text(json.dumps({**SMALL, **changes}, indent=1))
        return file

    def files(self):
        return sorted(p.name for p in self.folder.iterdir())
