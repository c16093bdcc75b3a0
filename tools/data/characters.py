#!/usr/bin/env python3
# A text to a stream of characters' numbers: the first part for training, the rest for validation.
# The vocabulary is the characters of the whole text in order of their code points.
from files import arguments, fraction, integers, read_text, script, write_lines, write_tensors


def run(options):
    text = read_text(options.file, options.encoding)
    pieces = sorted(set(text))
    ids = {piece: i for i, piece in enumerate(pieces)}
    cut = int(len(text) * (1 - options.validation))
    for part, chosen in (("train", text[:cut]), ("validation", text[cut:])):
        write_tensors(f"{options.output}-{part}.safetensors", {"stream": integers(ids[piece] for piece in chosen)})
    write_lines(f"{options.output}-vocabulary.txt", [piece.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") for piece in pieces])


parser = arguments("A text to PREFIX-train and PREFIX-validation, each a stream i32 [N] of characters, and PREFIX-vocabulary.txt.",
                   "characters.py input.txt -o shakespeare")
parser.add_argument("file", help="text")
parser.add_argument("--encoding", default="utf-8-sig", help="of the file (default: %(default)s)")
parser.add_argument("--validation", type=fraction, default=0.1, metavar="F", help="share of the text, its end (default: %(default)s)")
if __name__ == "__main__":
    script(run, parser)
