#!/usr/bin/env python3
# BLEU of a whole corpus, as sacrebleu computes it on words that are already separate: n-grams up to 4, brevity penalty,
# exponential smoothing of counts that are 0. One reference for each line.
import argparse
import collections
import math

from files import DataError, read_text, script


def ngrams(words, n):
    return collections.Counter(tuple(words[i:i + n]) for i in range(len(words) - n + 1))


def bleu(references, translations):
    matched, given = [0] * 4, [0] * 4
    for reference, translation in zip(references, translations):
        for n in range(1, 5):
            one, two = ngrams(reference, n), ngrams(translation, n)
            matched[n - 1] += sum((one & two).values())
            given[n - 1] += sum(two.values())
    total, smooth = 0.0, 1
    for m, g in zip(matched, given):
        if g == 0:
            return 0.0
        if m == 0:
            smooth *= 2
        total += math.log(m / g if m else 1 / (smooth * g))
    lengths = sum(map(len, references)), sum(map(len, translations))
    return 100 * math.exp(total / 4) * (1 if lengths[1] >= lengths[0] else math.exp(1 - lengths[0] / max(1, lengths[1])))


def run(options):
    references = [line.split("\t")[-1].split() for line in read_text(options.references).split("\n")[:-1]]
    translations = [line.split() for line in read_text(options.translations).split("\n")[:-1]]
    if options.vocabulary:
        words = read_text(options.vocabulary).split("\n")[:-1]
        translations = [[words[int(number)] for number in line] for line in translations]
    if len(references) != len(translations) or not references:
        raise DataError(f"expected a translation for each of {len(references)} references but got {len(translations)}")
    print(f"BLEU {bleu(references, translations):.2f}")


parser = argparse.ArgumentParser(description="BLEU of translations.", epilog="Example:\n  bleu.py fra-eng-test.tsv out.txt --vocabulary fra-eng-target-vocabulary.txt",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("references", help="a sentence a line, or pairs with a tab before the reference")
parser.add_argument("translations", help="a translation a line: words, or numbers of words")
parser.add_argument("--vocabulary", metavar="FILE", help="words by their numbers, one a line")
if __name__ == "__main__":
    script(run, parser)
