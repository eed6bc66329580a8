"""Prints, as JSON, every record that pystdf reads in an STDF file: what the converter `stdf` is compared with.

usage: python stdf_records.py FILE.bz2     (in an environment with what requirements.txt says)

The answer is a list of {"record": NAME, "fields": {NAME: value}} in the order of the file. A field that the record leaves out is null.
"""

import bz2
import io
import json
import sys

from pystdf.IO import Parser


class Collect:
    def __init__(self):
        self.records = []

    def after_send(self, source, data):
        kind, values = data
        fields = dict(zip(kind.columnNames, values))
        self.records.append({"record": type(kind).__name__.upper(), "fields": fields})


if __name__ == "__main__":
    with bz2.open(sys.argv[1]) as file:
        parser = Parser(inp=io.BytesIO(file.read()))
    collect = Collect()
    parser.addSink(collect)
    parser.parse()
    json.dump(collect.records, sys.stdout)
