"""Prints the documents of YAML files as one JSON list."""

import json
import sys

import yaml

print(json.dumps([document for path in sys.argv[1:] for document in yaml.safe_load_all(open(path, encoding="utf-8"))]))
