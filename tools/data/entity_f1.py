#!/usr/bin/env python3
# Precision, recall and F1 of whole entities, and the accuracy of single tokens, from true and predicted tag numbers.
# An entity counts if its type and both ends are right. A tag I-x after another type begins an entity, as in conlleval.
import argparse

from files import DataError, read_tensors, read_text, script


def entities(tags):
    """(first, last, type) of each entity in a list of tags."""
    found, start = set(), None
    for place, tag in enumerate(tags + ["O"]):
        if start is not None and not (tag.startswith("I-") and tag[2:] == tags[start][2:]):
            found.add((start, place - 1, tags[start][2:]))
            start = None
        if tag != "O" and start is None:
            start = place
    return found


def run(options):
    names = read_text(options.names).split("\n")[:-1]
    true, predicted = read_tensors(options.true), read_tensors(options.predicted)
    for path, tensors, name in ((options.true, true, "labels"), (options.predicted, predicted, "tags")):
        if name not in tensors or len(tensors[name][0]) != 2:
            raise DataError(f"{path}: expected a tensor '{name}' of integers with two axes")
    (shape, labels), (other, tags) = true["labels"], predicted["tags"]
    if shape != other:
        raise DataError(f"expected predictions of shape {shape} but got {other}")
    right = wanted = given = tokens = correct = 0
    for row in range(shape[0]):
        pairs = [(label, tag) for label, tag in zip(labels[row * shape[1]:][:shape[1]], tags[row * shape[1]:][:shape[1]]) if label >= 0]
        if any(number >= len(names) for pair in pairs for number in pair):
            raise DataError(f"sample {row}: expected tags below {len(names)}, which {options.names} names")
        one, two = (entities([names[pair[side]] for pair in pairs]) for side in (0, 1))
        right, wanted, given = right + len(one & two), wanted + len(one), given + len(two)
        tokens, correct = tokens + len(pairs), correct + sum(label == tag for label, tag in pairs)
    precision, recall = right / max(1, given), right / max(1, wanted)
    print(f"tokens {100 * correct / max(1, tokens):.2f} %  entities: precision {100 * precision:.2f} %  recall {100 * recall:.2f} %  F1 {200 * precision * recall / max(1e-12, precision + recall):.2f} %")


parser = argparse.ArgumentParser(description="Scores of a tagger.", epilog="Example:\n  entity_f1.py wnut-emerging.dev.safetensors out.safetensors wnut-tags.txt",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("true", help="safetensors with 'labels' [N, T]; below 0: not counted")
parser.add_argument("predicted", help="safetensors with 'tags' [N, T]")
parser.add_argument("names", help="the tags' names, one a line")
if __name__ == "__main__":
    script(run, parser)
