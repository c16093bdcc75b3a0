# What the data scripts share: reading text, writing safetensors whole or not at all, errors in one line.
# Only Python's standard library, so that data can be made wherever Weft builds.
import argparse
import array
import io
import json
import os
import pathlib
import struct
import sys
import tempfile

DTYPES = {"i": "I32", "f": "F32", "B": "U8"}
PADDING, UNKNOWN = 0, 1


class DataError(Exception):
    """A text for the user, and what may help."""

    def __init__(self, text, hint=None, code=1):
        super().__init__(text)
        self.hint, self.code = hint, code


def script(run, parser):
    """Runs `run(options)`; exit codes as those of weft: 1 the data is wrong, 2 usage, 3 a file can't be read or written."""
    options = parser.parse_args()
    try:
        run(options)
    except DataError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        if error.hint:
            print(f"  hint: {error.hint}", file=sys.stderr)
        sys.exit(error.code)
    except OSError as error:
        print(f"{parser.prog}: error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(3)


def arguments(description, example):
    parser = argparse.ArgumentParser(description=description, epilog="Example:\n  " + example, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", required=True, metavar="PREFIX", help="writes PREFIX-train.safetensors and the like")
    return parser


def fraction(text):
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1 but got {text}")
    return value


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more but got {text}")
    return value


def read_text(path, encoding=None):
    """`encoding`: what the user may choose; without a choice UTF-8."""
    data = pathlib.Path(path).read_bytes()
    try:
        return io.TextIOWrapper(io.BytesIO(data), encoding=encoding or "utf-8-sig", newline="").read()
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: expected {error.encoding} but got the byte 0x{data[error.start]:02x}", "--encoding names another one" if encoding else None)
    except LookupError:
        raise DataError(f"expected an encoding that Python knows but got '{encoding}'", code=2)


def write_whole(path, parts):
    """Bytes to a file that appears whole or not at all."""
    path = pathlib.Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=path.name + ".", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}", code=3)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_tensors(path, tensors):
    """tensors: name -> (shape, array.array). Prints one line for each."""
    header, at = {}, 0
    ordered = sorted(tensors.items(), key=lambda item: -item[1][1].itemsize) # so that every tensor is aligned
    for name, (shape, values) in ordered:
        count = 1
        for size in shape:
            count *= size
        if count != len(values):
            raise AssertionError(f"{name}: {shape} has {count} elements, not {len(values)}")
        if count == 0:
            raise DataError(f"{path}: tensor '{name}' would be empty")
        size = len(values) * values.itemsize
        header[name] = {"dtype": DTYPES[values.typecode], "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)

    def little(values):
        if sys.byteorder == "big":
            values = array.array(values.typecode, values)
            values.byteswap()
        return memoryview(values).cast("B")

    write_whole(path, [struct.pack("<Q", len(text)), text, *(little(values) for _, (_, values) in ordered)])
    print(path)
    for name, (shape, values) in tensors.items():
        print(f"  {name} {list(shape)} {DTYPES[values.typecode].lower()}")


def write_lines(path, lines):
    write_whole(path, ["".join(line + "\n" for line in lines).encode()])
    print(f"{path}\n  {len(lines)} lines")


def integers(rows):
    """Equal rows of integers, or a list of integers, as (shape, array)."""
    rows = list(rows)
    if rows and isinstance(rows[0], (list, tuple)):
        return (len(rows), len(rows[0])), array.array("i", [value for row in rows for value in row])
    return (len(rows),), array.array("i", rows)


def vocabulary(sentences, size, special):
    """Words by falling number of uses (ties: by spelling), after the special ones; at most `size` in all."""
    counts = {}
    for words in sentences:
        for word in words:
            counts[word] = counts.get(word, 0) + 1
    for word in special:
        counts.pop(word, None)
    if size <= len(special):
        raise DataError(f"expected a vocabulary larger than its {len(special)} special entries but got {size}", code=2)
    return list(special) + sorted(counts, key=lambda word: (-counts[word], word))[:size - len(special)]


def read_tensors(path):
    """name -> (shape, list of numbers) of the tensors in a safetensors file, without types that Python has no codes for."""
    raw, codes = pathlib.Path(path).read_bytes(), {"I32": "i", "I64": "q", "U8": "B", "F32": "f"}
    try:
        (size,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8:8 + size])
        header.pop("__metadata__", None)
        return {name: (info["shape"], list(memoryview(raw[8 + size:][slice(*info["data_offsets"])]).cast(codes[info["dtype"]])))
                for name, info in header.items() if info["dtype"] in codes}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: expected a safetensors file: {error}")
