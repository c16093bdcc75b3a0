#!/usr/bin/env python3
# A text to a stream of GPT-2's byte-pair tokens, with the published encoder.json and vocab.bpe.
# The text is cut into words, each word's bytes are merged pair by pair, the earliest rule first.
import json
import re
import unicodedata

from files import DataError, arguments, fraction, integers, read_text, script, write_tensors

SPACES = set("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {chr(c) for c in range(0x2000, 0x200b)}
SUFFIXES = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
# Over the classes of characters: letters L, numbers N, the blank _, other white space W, all else O.
WORD = re.compile(r"_?L+|_?N+|_?O+|[_W]+(?![^_W])|[_W]+")


def class_of(piece, known={}):
    if piece not in known:
        kind = unicodedata.category(piece)[0]
        known[piece] = "_" if piece == " " else "W" if piece in SPACES else kind if kind in "LN" else "O"
    return known[piece]


def words_of(text):
    classes = "".join(map(class_of, text))
    at = 0
    while at < len(text):
        suffix = next((s for s in SUFFIXES if text.startswith(s, at)), None)
        end = at + len(suffix) if suffix else WORD.match(classes, at).end()
        yield text[at:end]
        at = end


def byte_letters():
    """The visible character that stands for each byte in GPT-2's files."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 256
    for byte in range(256):
        letters[byte] = chr(byte if byte in plain else extra)
        extra += byte not in plain
    return letters


class Encoder:
    def __init__(self, encoder, merges):
        try:
            self.ids = json.loads(read_text(encoder))
        except ValueError as error:
            raise DataError(f"{encoder}: expected JSON: {error}")
        if not isinstance(self.ids, dict) or not all(isinstance(value, int) for value in self.ids.values()):
            raise DataError(f"{encoder}: expected an object from pieces to numbers")
        rules = [line.split() for line in read_text(merges).split("\n") if line and not line.startswith("#version")]
        for number, rule in enumerate(rules):
            if len(rule) != 2:
                raise DataError(f"{merges}: expected two pieces in rule {number + 1} but got '{' '.join(rule)[:40]}'")
        self.ranks = {tuple(rule): rank for rank, rule in enumerate(rules)}
        self.letters, self.known = byte_letters(), {}

    def word(self, text):
        if text not in self.known:
            parts = [self.letters[byte] for byte in text.encode()]
            while len(parts) > 1:
                rank, pair = min((self.ranks.get(pair, len(self.ranks)), pair) for pair in zip(parts, parts[1:]))
                if rank == len(self.ranks):
                    break
                merged, at = [], 0
                while at < len(parts):
                    step = 2 if tuple(parts[at:at + 2]) == pair else 1
                    merged.append("".join(parts[at:at + step]))
                    at += step
                parts = merged
            missing = [part for part in parts if part not in self.ids]
            if missing:
                raise DataError(f"expected a number for the piece '{missing[0]}' but the encoder has none")
            self.known[text] = [self.ids[part] for part in parts]
        return self.known[text]

    def encode(self, text):
        return [token for word in words_of(text) for token in self.word(word)]


def run(options):
    encoder = Encoder(options.encoder, options.merges)
    text = read_text(options.file)
    cut = int(len(text) * (1 - options.validation)) if options.validation else len(text)
    parts = [("-train", text[:cut]), ("-validation", text[cut:])] if options.validation else [("", text)]
    for part, chosen in parts:
        write_tensors(f"{options.output}{part}.safetensors", {"stream": integers(encoder.encode(chosen))})


parser = arguments("A text to a stream i32 [N] of GPT-2's tokens.", "gpt2_tokens.py input.txt --encoder encoder.json --merges vocab.bpe -o shakespeare")
parser.add_argument("file", help="UTF-8 text")
parser.add_argument("--encoder", required=True, metavar="FILE", help="encoder.json")
parser.add_argument("--merges", required=True, metavar="FILE", help="vocab.bpe")
parser.add_argument("--validation", type=fraction, metavar="F", help="also write this share of the text, its end, as PREFIX-validation")
if __name__ == "__main__":
    script(run, parser)
