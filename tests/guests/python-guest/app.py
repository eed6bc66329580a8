"""A converter in Python: measurements in CSV to one test report in JSON.

    name,value,low,high,unit
    supply,5.02,4.9,5.1,V

Build it with componentize-py (from PyPI), against the contract's world `plugin`:

    componentize-py -d wit/0.1.0 -w plugin componentize app -o measurements-py.wasm
"""

import csv
import io as text
import json
import uuid
from datetime import datetime, timezone

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import io, log, types

COLUMNS = ["name", "value", "low", "high", "unit"]

# JSON Schema: the host checks what is configured, and fills in the defaults.
OPTIONS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "stamp": {
            "type": "boolean",
            "default": False,
            "description": "Puts an id and the time of conversion into the report. They are the same for every file, unless the host's "
            "configuration allows `random` and `clocks`.",
        }
    },
}


class Converter(exports.Converter):
    def describe(self) -> types.Descriptor:
        return types.Descriptor(
            name="measurements-py",
            version="1.0.0",
            description="Measurements in CSV to a test report in JSON, in Python",
            patterns=["*.meas.csv"],
            media_types_in=["text/csv"],
            media_types_out=["application/json"],
            options_schema=json.dumps(OPTIONS),
            metrics=[],
            extra=[],
        )

    def probe(self, input: io.Input) -> types.ProbeResult:
        first = input.read(4096).split(b"\n", 1)[0].decode("utf-8", "replace").strip()
        if first == ",".join(COLUMNS):
            return types.ProbeResult(90, "the first line names the columns of measurements")
        return types.ProbeResult(0, "the first line does not name the columns of measurements")

    def convert(self, input: io.Input, options: str) -> types.Outcome:
        try:
            lines = read_all(input).decode("utf-8")
        except UnicodeDecodeError as error:
            raise failure(types.ErrorType.ENCODING, f"this is not UTF-8: {error.reason}", offset=error.start)
        rows = csv.DictReader(text.StringIO(lines, newline=""), strict=True)
        try:
            if rows.fieldnames != COLUMNS:
                raise failure(types.ErrorType.MALFORMED, f"the first line must be {','.join(COLUMNS)}", line=1)
            measurements = [measurement(row, rows.line_num) for row in rows]
        except csv.Error as error:
            raise failure(types.ErrorType.MALFORMED, str(error), line=rows.line_num)
        passed = all(measurement["passed"] for measurement in measurements)
        report = {"source": input.name(), "passed": passed, "measurements": measurements}
        if json.loads(options)["stamp"]:
            report["id"] = str(uuid.uuid4())
            report["converted"] = datetime.now(timezone.utc).isoformat()

        document = io.create_document("application/json", f"{input.name().removesuffix('.meas.csv')}.json")
        document.set_attribute("passed", json.dumps(passed))
        document.write(json.dumps(report, indent=1).encode())
        document.finish()
        log.log(log.Level.INFO, "converted", [("measurements", str(len(measurements)))])
        return types.Outcome_Converted()


def read_all(input: io.Input) -> bytes:
    """All of it: reports are small. For large files, read and write in pieces."""
    pieces = []
    while piece := input.read(64 * 1024):
        pieces.append(piece)
    return b"".join(pieces)


def measurement(row: dict, line: int) -> dict:
    if None in row or None in row.values():
        raise failure(types.ErrorType.MALFORMED, f"this line has not {len(COLUMNS)} fields", line=line)
    try:
        value, low, high = (float(row[column]) for column in ("value", "low", "high"))
    except ValueError as error:
        raise failure(types.ErrorType.VALIDATION, str(error), line=line)
    return {"name": row["name"], "value": value, "low": low, "high": high, "unit": row["unit"], "passed": low <= value <= high}


def failure(kind: types.ErrorType, message: str, line: int | None = None, offset: int | None = None) -> Err:
    """What `convert` raises to fail: a kind, a sentence for the person who has to mend the file, and the place."""
    return Err(types.ConversionError(kind, "", message, types.Location(line, None, offset)))
