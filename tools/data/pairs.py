#!/usr/bin/env python3
# Sentence pairs (tab-separated, as Tatoeba's exports; also inside a .zip) to the data of an encoder-decoder.
# Tokens: 0 pads, 1 starts, 2 ends, 3 is unknown. A source sentence is in one part only; vocabularies come from training.
import io
import random
import re
import zipfile

from files import DataError, arguments, fraction, integers, positive, read_text, script, vocabulary, write_lines, write_tensors, write_whole

START, END, UNKNOWN_WORD = 1, 2, 3
SPECIAL = ["<pad>", "<start>", "<end>", "<unknown>"]


def read_pairs(path):
    if str(path).endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.endswith(".txt") and not name.startswith("_")]
                if len(names) != 1:
                    raise DataError(f"{path}: expected one text file inside but got {len(names)}")
                text = io.TextIOWrapper(archive.open(names[0]), encoding="utf-8").read()
        except zipfile.BadZipFile as error:
            raise DataError(f"{path}: expected a zip archive: {error}")
    else:
        text = read_text(path)
    pairs = []
    for number, line in enumerate(text.split("\n"), 1):
        parts = line.strip("\r").split("\t")
        if len(parts) >= 2:
            pairs.append((parts[0], parts[1]))
        elif line.strip():
            raise DataError(f"{path}:{number}: expected two sentences with a tab between but got '{line[:40]}'")
    return pairs


def words_of(sentence):
    return re.findall(r"\w+(?:['’]\w*)?|[^\w\s]", sentence.lower())


def run(options):
    pairs = [(source, words_of(source), words_of(target)) for source, target in read_pairs(options.file)]
    pairs = [pair for pair in pairs if 1 <= len(pair[1]) <= options.length and 1 <= len(pair[2]) <= options.length]
    sources = sorted({source for source, _, _ in pairs})
    random.Random(options.seed).shuffle(sources)
    held = set(sources[:max(1, int(len(sources) * options.held_back))])
    parts = {"train": [pair for pair in pairs if pair[0] not in held], "test": [pair for pair in pairs if pair[0] in held]}
    if not parts["train"]:
        raise DataError(f"{options.file}: expected pairs of at most {options.length} words but there are none to train with")
    tables = []
    for side, name in ((1, "source"), (2, "target")):
        words = vocabulary((pair[side] for pair in parts["train"]), options.vocabulary, SPECIAL)
        write_lines(f"{options.output}-{name}-vocabulary.txt", words)
        tables.append({word: i for i, word in enumerate(words)})
    length = options.length + 1

    def padded(ids):
        return ids + [0] * (length - len(ids))

    for part in ("train", "test"):
        rows = [([tables[0].get(word, UNKNOWN_WORD) for word in source], [tables[1].get(word, UNKNOWN_WORD) for word in target]) for _, source, target in parts[part]]
        write_tensors(f"{options.output}-{part}.safetensors", {
            "src": integers(padded(source + [END]) for source, _ in rows),
            "tgt": integers(padded([START] + target) for _, target in rows),
            "labels": integers(padded(target + [END]) for _, target in rows)})
    write_whole(f"{options.output}-test.tsv", ["".join(f"{' '.join(source)}\t{' '.join(target)}\n" for _, source, target in parts["test"]).encode()])


parser = arguments("Sentence pairs to src, tgt (shifted right: it begins with the start token) and labels, each i32 [N, length + 1].",
                   "pairs.py fra-eng.zip --length 8 -o fra-eng")
parser.add_argument("file", help="tab-separated pairs, or a .zip with one such file")
parser.add_argument("--length", type=positive, default=10, metavar="N", help="longest sentence in words; pairs with a longer one are left out (default: %(default)s)")
parser.add_argument("--vocabulary", type=positive, default=8000, metavar="N", help="words of each language, with the 4 special ones (default: %(default)s)")
parser.add_argument("--held-back", type=fraction, default=0.02, metavar="F", help="share of source sentences for testing (default: %(default)s)")
parser.add_argument("--seed", type=int, default=0, help="of the choice what is held back (default: %(default)s)")
if __name__ == "__main__":
    script(run, parser)
