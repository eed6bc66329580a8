"""Prints, as JSON, the cells of CSV files as Python's `csv` reads them: what the converter `csv` is compared with.

usage: python3 csv_cells.py FOLDER

FOLDER/dialects.json says of each file what Python must be told: delimiter, quotechar, doublequote, escapechar, encoding, and whether the
first row is a header. The answer is an object: file name -> list of rows, each a list of [name of the column, cell] pairs.

Python only reads; the rest is what docs/converters/csv.md promises: blank lines are no rows, every cell that is there has a name, and
names are unique.
"""

import csv
import json
import os
import sys


def unique_names(header):
    """Text of the header, or made up: `column_3` for an empty name, `value_2` for the second `value`."""
    taken = {name for name in header if name}
    used, names = set(), []
    for place, name in enumerate(header, start=1):
        if name and name not in used:
            used.add(name)
        else:
            name = free_name(name or f"column_{place}", taken)
            taken.add(name)
        names.append(name)
    return names


def free_name(name, taken):
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def read(path, dialect):
    rules = {key: dialect[key] for key in ("delimiter", "quotechar", "doublequote", "escapechar")}
    rules["quoting"] = csv.QUOTE_NONE if dialect["quotechar"] is None else csv.QUOTE_MINIMAL
    with open(path, newline="", encoding=dialect["encoding"]) as file:
        rows = [row for row in csv.reader(file, **rules) if row]
    names = unique_names(rows.pop(0)) if dialect["header"] else []
    for row in rows:
        while len(names) < len(row):
            names.append(free_name(f"column_{len(names) + 1}", set(names)))
    return [list(zip(names, row)) for row in rows]


if __name__ == "__main__":
    csv.field_size_limit(sys.maxsize)
    folder = sys.argv[1]
    with open(os.path.join(folder, "dialects.json"), encoding="utf-8") as file:
        dialects = json.load(file)
    json.dump({name: read(os.path.join(folder, name), dialect) for name, dialect in dialects.items()}, sys.stdout)
