#!/usr/bin/env python3
# MNIST's idx files (plain or .gz) to a data set of `weft train`: images f32 [N, 1, 28, 28] in 0..1, labels i32 [N].
# Works for any pair of an idx3 file of bytes and an idx1 file of labels.
import array
import gzip
import pathlib
import struct
import zlib

from files import DataError, arguments, positive, script, write_tensors


def read_idx(path, rank):
    data = pathlib.Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: expected gzip data but it is damaged: {error}")
    head = 4 + 4 * rank
    if len(data) < head or data[:2] != b"\0\0":
        raise DataError(f"{path}: expected an idx file but it starts with {data[:4].hex(' ') or 'nothing'}")
    if data[2] != 8 or data[3] != rank:
        raise DataError(f"{path}: expected an idx file of bytes with {rank} axes but got type 0x{data[2]:02x} with {data[3]}")
    shape = struct.unpack(f">{rank}I", data[4:head])
    size = 1
    for axis in shape:
        size *= axis
    if len(data) - head != size:
        raise DataError(f"{path}: expected {size} bytes for {list(shape)} but got {len(data) - head}")
    return shape, data[head:]


def run(options):
    (count, height, width), pixels = read_idx(options.images, 3)
    (labels,), values = read_idx(options.labels, 1)
    if labels != count:
        raise DataError(f"expected as many labels as images but got {labels} labels and {count} images")
    count = min(count, options.first or count)
    grey = [value / 255 for value in range(256)]
    scaled = array.array("f", map(grey.__getitem__, pixels[:count * height * width]))
    write_tensors(options.output + ".safetensors", {"images": ((count, 1, height, width), scaled), "labels": ((count,), array.array("i", list(values[:count])))})


parser = arguments("MNIST's idx files (plain or .gz) to images f32 [N, 1, 28, 28] in 0..1 and labels i32 [N].",
                   "mnist.py train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz -o mnist-train")
parser.add_argument("images", help="idx3 file")
parser.add_argument("labels", help="idx1 file")
parser.add_argument("--first", type=positive, metavar="N", help="only the first N")
if __name__ == "__main__":
    script(run, parser)
