#!/usr/bin/env python3
# A CSV time series, one row a day in order of time, to rows of binned numbers and whether a column rises on the next row.
# Walk-forward: each fold trains on all rows before its test rows, and the bins come from its training rows alone.
import bisect
import csv
import io
import math

from files import DataError, arguments, fraction, integers, positive, read_text, script, write_tensors


def read_columns(path, names):
    rows = list(csv.reader(io.StringIO(read_text(path))))
    if not rows:
        raise DataError(f"{path}: expected a line with the names of columns but the file is empty")
    head = [name.strip() for name in rows[0]]
    for name in names:
        if name not in head:
            raise DataError(f"{path}: expected a column '{name}' but there are {', '.join(head)}")
    table = []
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        values = []
        for name in names:
            text = row[head.index(name)].strip() if head.index(name) < len(row) else ""
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise DataError(f"{path}:{number}: column '{name}': expected a number but got '{text}'")
            values.append(value)
        table.append(values)
    return table


def changes(path, table):
    for number, row in enumerate(table):
        if min(row) <= 0:
            raise DataError(f"{path}: expected numbers above 0 for relative changes but data row {number + 1} has {min(row)}", "--of level bins the numbers themselves")
    return [[price / last_price - 1 for price, last_price in zip(row, last)] for last, row in zip(table, table[1:])]


def edges(values, bins):
    """Between bins that hold equally many of `values`."""
    ordered = sorted(values)
    return [ordered[len(ordered) * i // bins] for i in range(1, bins)]


def run(options):
    names = options.columns.split(",")
    table = read_columns(options.file, names + [options.target])
    rises = [int(after[-1] > row[-1]) for row, after in zip(table, table[1:])]
    features = [row[:-1] for row in table]
    if options.of == "change":
        features, rises = changes(options.file, features), rises[1:]
    features = features[:len(rises)]
    # A sample: the last `days` rows, one after the other.
    samples = [sum(features[i - options.days + 1:i + 1], []) for i in range(options.days - 1, len(features))]
    labels = rises[options.days - 1:]
    block = int(len(samples) * options.test) // options.folds
    if block == 0 or len(samples) - block * options.folds < options.bins:
        raise DataError(f"{options.file}: expected more rows for {options.folds} test folds and {options.bins} bins but got {len(table)}")
    for fold in range(options.folds):
        start = len(samples) - block * (options.folds - fold)
        limits = [edges(column, options.bins) for column in zip(*samples[:start])]
        binned = [[bisect.bisect_right(limit, value) for limit, value in zip(limits, sample)] for sample in samples[:start + block]]
        prefix = options.output + (f"-fold{fold + 1}" if options.folds > 1 else "")
        for part, chosen in (("train", slice(0, start)), ("test", slice(start, start + block))):
            write_tensors(f"{prefix}-{part}.safetensors", {"x": integers(binned[chosen]), "targets": integers(labels[chosen])})
            ones = sum(labels[chosen])
            print(f"  majority class: {max(ones, len(labels[chosen]) - ones) / len(labels[chosen]):.4f}")


parser = arguments("A CSV time series to binned rows x i32 [N, T] and targets i32 [N]: 1 where the target column rises on the next row.",
                   "series.py SPY.csv --columns Open,High,Low,Close,Volume --folds 4 -o spy")
parser.add_argument("file", help="CSV file, first line: names of columns; oldest row first")
parser.add_argument("--columns", default="Open,High,Low,Close,Adj Close,Volume", metavar="A,B", help="columns of a sample (default: %(default)s)")
parser.add_argument("--target", default="Close", metavar="NAME", help="column whose rise is the label (default: %(default)s)")
parser.add_argument("--bins", type=positive, default=6, metavar="N", help="bins with equally many training rows each (default: %(default)s)")
parser.add_argument("--of", choices=("change", "level"), default="change", help="bin changes relative to the row before, or the numbers themselves (default: %(default)s)")
parser.add_argument("--days", type=positive, default=1, metavar="N", help="rows in a sample (default: %(default)s)")
parser.add_argument("--test", type=fraction, default=0.2, metavar="F", help="share of the last rows that tests (default: %(default)s)")
parser.add_argument("--folds", type=positive, default=1, metavar="K", help="divide the test rows into K parts, each after its own training rows (default: %(default)s)")
if __name__ == "__main__":
    script(run, parser)
