#!/usr/bin/env python3
# Labelled sentences, a file for each label, to token ids and labels, with a part held back for testing.
# The vocabulary comes from the training part alone: 0 pads, 1 is a word that is not in it.
import random

from files import PADDING, UNKNOWN, DataError, arguments, fraction, integers, positive, read_text, script, vocabulary, write_lines, write_tensors


def run(options):
    samples, seen = [], set()
    for label, path in enumerate(options.file):
        sentences = [tuple(line.lower().split()) for line in read_text(path, options.encoding).splitlines() if line.strip()]
        if not sentences:
            raise DataError(f"{path}: expected one sentence a line but there is none")
        for words in sentences:
            if words not in seen: # a sentence that stands twice must not be in both parts
                seen.add(words)
                samples.append((words, label))
    random.Random(options.seed).shuffle(samples)
    held = int(len(samples) * options.held_back)
    if held == 0:
        raise DataError(f"expected more sentences to hold back {options.held_back} of them but got {len(samples)}")
    parts = {"test": samples[:held], "train": samples[held:]}
    words = vocabulary((words for words, _ in parts["train"]), options.vocabulary, ["<pad>", "<unknown>"])
    ids = {word: i for i, word in enumerate(words)}
    for part in ("train", "test"):
        rows = [[ids.get(word, UNKNOWN) for word in sentence[:options.length]] for sentence, _ in parts[part]]
        rows = [row + [PADDING] * (options.length - len(row)) for row in rows]
        write_tensors(f"{options.output}-{part}.safetensors", {"input_ids": integers(rows), "labels": integers(label for _, label in parts[part])})
    write_lines(f"{options.output}-vocabulary.txt", words)


parser = arguments("Labelled sentences to input_ids i32 [N, T] and labels i32 [N]; label 0 is the first file's, 1 the second's …",
                   "sentences.py rt-polarity.neg rt-polarity.pos --encoding cp1252 -o mr")
parser.add_argument("file", nargs="+", help="one sentence a line, words separated by blanks")
parser.add_argument("--encoding", default="utf-8-sig", help="of the files (default: %(default)s)")
parser.add_argument("--vocabulary", type=positive, default=10000, metavar="N", help="most frequent words, padding and unknown included (default: %(default)s)")
parser.add_argument("--length", type=positive, default=50, metavar="T", help="words of a sentence; longer ones are cut (default: %(default)s)")
parser.add_argument("--held-back", type=fraction, default=0.1, metavar="F", help="share for testing (default: %(default)s)")
parser.add_argument("--seed", type=int, default=0, help="of the choice what is held back (default: %(default)s)")
if __name__ == "__main__":
    script(run, parser)
