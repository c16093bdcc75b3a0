#!/usr/bin/env python3
# Made-up tasks with known answers: first token, majority rule, copy, mean of a sequence, one random batch.
# A task depends on its sizes and the seed alone.
import array
import random

from files import DataError, arguments, integers, positive, script, write_tensors


def first(draw, options):
    """The answer is the first token."""
    rows = [[draw.randrange(options.vocabulary) for _ in range(options.length)] for _ in range(options.samples)]
    return {"x": integers(rows), "y": integers(row[0] for row in rows)}


def rule(draw, options):
    """Tokens belong to the class of their remainder; the answer is the class with most tokens. Ties are drawn again."""
    rows, targets = [], []
    while len(rows) < options.samples:
        row = [draw.randrange(options.vocabulary) for _ in range(options.length)]
        counts = [sum(token % options.classes == c for token in row) for c in range(options.classes)]
        if counts.count(max(counts)) == 1:
            rows.append(row)
            targets.append(counts.index(max(counts)))
    return {"x": integers(rows), "targets": integers(targets)}


def batch(draw, options):
    """Random tokens with random classes: nothing to learn but the batch itself."""
    rows = [[draw.randrange(options.vocabulary) for _ in range(options.length)] for _ in range(options.samples)]
    return {"x": integers(rows), "targets": integers(draw.randrange(options.classes) for _ in rows)}


def copy(draw, options):
    """Source and target are the same tokens, of 1 to `length` - 1 places. 0 pads, 1 starts, 2 ends."""
    if options.vocabulary < 4 or options.length < 2:
        raise DataError("expected a vocabulary of at least 4 and a length of at least 2 for the copy task", code=2)
    sources, targets, labels = [], [], []
    for _ in range(options.samples):
        row = [draw.randrange(3, options.vocabulary) for _ in range(draw.randrange(1, options.length))]
        padding = [0] * (options.length - 1 - len(row))
        sources.append(row + [2] + padding)
        targets.append([1] + row + padding)
        labels.append(row + [2] + padding)
    return {"src": integers(sources), "tgt": integers(targets), "labels": integers(labels)}


def mean(draw, options):
    """Normal vectors; the answer is the mean of all their numbers."""
    count = options.length * options.features
    values = array.array("f", (draw.gauss(0, 1) for _ in range(options.samples * count)))
    means = array.array("f", (sum(values[i * count:(i + 1) * count]) / count for i in range(options.samples)))
    return {"x": ((options.samples, options.length, options.features), values), "target": ((options.samples, 1), means)}


LARGEST = 100_000_000
TASKS = {task.__name__: task for task in (first, rule, batch, copy, mean)}


def run(options):
    if options.vocabulary < options.classes:
        raise DataError(f"expected at least as many tokens as classes but got {options.vocabulary} and {options.classes}", code=2)
    if options.samples * options.length * (options.features if options.task == "mean" else 1) > LARGEST:
        raise DataError(f"expected at most {LARGEST:,} numbers but {options.samples:,} samples have more", code=2)
    write_tensors(options.output + ".safetensors", TASKS[options.task](random.Random(options.seed), options))


parser = arguments("Made-up tasks:\n" + "\n".join(f"  {name:6} {task.__doc__}" for name, task in TASKS.items()), "tasks.py first --length 20 --vocabulary 5 --samples 4000 -o first-train")
parser.add_argument("task", choices=TASKS)
parser.add_argument("--samples", type=positive, default=1000, metavar="N", help="(default: %(default)s)")
parser.add_argument("--length", type=positive, default=10, metavar="T", help="tokens or vectors of a sample (default: %(default)s)")
parser.add_argument("--vocabulary", type=positive, default=50, metavar="V", help="different tokens (default: %(default)s)")
parser.add_argument("--classes", type=positive, default=3, metavar="C", help="of rule and batch (default: %(default)s)")
parser.add_argument("--features", type=positive, default=10, metavar="D", help="numbers in a vector of mean (default: %(default)s)")
parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
if __name__ == "__main__":
    script(run, parser)
