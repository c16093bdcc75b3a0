#!/usr/bin/env python3
# CoNLL files (word, tag; an empty line between sentences) to token ids and a label for every token, -100 at padding.
# Vocabulary and tags come from the first file, the training part: 0 pads, 1 is a word that is not in it.
import pathlib

from files import PADDING, UNKNOWN, DataError, arguments, integers, positive, read_text, script, vocabulary, write_lines, write_tensors

IGNORED = -100


def read_sentences(path):
    sentences, words, tags = [], [], []
    for number, line in enumerate(read_text(path).split("\n") + [""], 1):
        parts = line.split()
        if not parts:
            if words:
                sentences.append((words, tags))
            words, tags = [], []
        elif len(parts) < 2:
            raise DataError(f"{path}:{number}: expected a word and a tag but got '{parts[0]}'")
        else:
            words.append(parts[0].lower())
            tags.append((parts[-1], number))
    if not sentences:
        raise DataError(f"{path}: expected sentences but there is none")
    return sentences


def known(tag, tags, path, number):
    if tag not in tags:
        raise DataError(f"{path}:{number}: expected one of the training part's tags {', '.join(tags)} but got '{tag}'")
    return tags.index(tag)


def run(options):
    train = read_sentences(options.train)
    tags = sorted({tag for _, line in train for tag, _ in line}, key=lambda tag: (tag != "O", tag[2:], tag))
    words = vocabulary((words for words, _ in train), options.vocabulary, ["<pad>", "<unknown>"])
    ids = {word: i for i, word in enumerate(words)}
    for path, sentences in [(options.train, train)] + [(path, read_sentences(path)) for path in options.test]:
        rows, labels = [], []
        for words_, line in sentences:
            row = [ids.get(word, UNKNOWN) for word in words_[:options.length]]
            padding = options.length - len(row)
            rows.append(row + [PADDING] * padding)
            labels.append([known(tag, tags, path, number) for tag, number in line[:options.length]] + [IGNORED] * padding)
        name = "train" if path == options.train else pathlib.Path(path).stem
        write_tensors(f"{options.output}-{name}.safetensors", {"input_ids": integers(rows), "labels": integers(labels)})
        cut = sum(len(words_) > options.length for words_, _ in sentences)
        if cut:
            print(f"  {cut} sentences are longer than {options.length} and were cut")
    write_lines(f"{options.output}-vocabulary.txt", words)
    write_lines(f"{options.output}-tags.txt", tags)


parser = arguments("CoNLL files to input_ids i32 [N, T] and labels i32 [N, T] (-100: padding, not counted).",
                   "conll.py wnut17train.conll emerging.dev.conll emerging.test.annotated -o wnut")
parser.add_argument("train", help="training file: its words and tags are the known ones")
parser.add_argument("test", nargs="*", help="more files; written as PREFIX-STEM.safetensors")
parser.add_argument("--vocabulary", type=positive, default=10000, metavar="N", help="most frequent words, padding and unknown included (default: %(default)s)")
parser.add_argument("--length", type=positive, default=50, metavar="T", help="words of a sentence; longer ones are cut (default: %(default)s)")
if __name__ == "__main__":
    script(run, parser)
