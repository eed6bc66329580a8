"""Prints, as JSON, what junitparser counts in JUnit XML files: what the converter `junit` is compared with.

usage: python junit_counts.py FILE...     (in an environment with what requirements.txt says)

The answer is an object: file name -> {"suites": [...]} or, where junitparser cannot read the file, {"unreadable": "reason"}.
Suites stand in document order, each one before those inside it, and count their own cases only:
  path, name, timestamp, hostname    as in the file; path is the list of names from the outermost suite
  reported                           what the attributes say: tests, failures, errors, skipped, time
  counted                            tests, failures, errors, skipped, time; a case counts once, by its worst result
  results                            failures, errors, skipped as results: a case may have several
  cases                              name, classname, time, results (kinds, in order)
junitparser does not see what is not of its dialect: cases outside of any suite, and retries (`rerunFailure` and the like).
"""

import json
import os
import sys

import junitparser

KINDS = {junitparser.Failure: "failure", junitparser.Error: "error", junitparser.Skipped: "skipped"}
COUNTERS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def case_of(case):
    kinds = [KINDS[type(result)] for result in case.result]
    return {"name": case.name, "classname": case.classname, "time": case.time, "results": kinds}


def suite_of(suite, path):
    path = path + [suite.name]
    attributes = suite._elem.attrib  # junitparser's own accessors fill in what is absent
    numbers = {name: int(attributes[name]) for name in ("tests", "failures", "errors", "skipped") if name in attributes}
    if "time" in attributes:
        numbers["time"] = suite.time
    cases = [case_of(case) for case in suite.iterchildren(junitparser.TestCase)]
    counted = {"tests": len(cases), "failures": 0, "errors": 0, "skipped": 0}
    results = {"failures": 0, "errors": 0, "skipped": 0}
    for case in cases:
        for kind in case["results"]:
            results[COUNTERS[kind]] += 1
        worst = next((kind for kind in ("error", "failure", "skipped") if kind in case["results"]), None)
        if worst:
            counted[COUNTERS[worst]] += 1
    counted["time"] = round(sum(case["time"] or 0 for case in cases), 9)
    yield {
        "path": path,
        "name": suite.name,
        "timestamp": suite.timestamp,
        "hostname": suite.hostname,
        "reported": numbers,
        "counted": counted,
        "results": results,
        "cases": cases,
    }
    for nested in suite.testsuites():
        yield from suite_of(nested, path)


def read(path):
    try:
        root = junitparser.JUnitXml.fromfile(path)
    except Exception as error:  # whatever it is, the file is one that junitparser cannot read
        return {"unreadable": f"{type(error).__name__}: {error}"}
    suites = [root] if isinstance(root, junitparser.TestSuite) else list(root)
    return {"suites": [entry for suite in suites for entry in suite_of(suite, [])]}


if __name__ == "__main__":
    json.dump({os.path.basename(path): read(path) for path in sys.argv[1:]}, sys.stdout, indent=1)
    print()
