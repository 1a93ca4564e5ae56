"""Holds manifests to the schemas of Kubernetes and prints what it found as JSON.

kubernetes_manifests.py VERSION FILE…
"""

import json
import sys

import kubernetes_validate
import yaml

version, *files = sys.argv[1:]
found, errors = [], []
for file in files:
    with open(file, encoding="utf-8") as text:
        for document in yaml.safe_load_all(text):
            found.append(document)
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                errors.append(f"{file}: {document['kind']}: {error.path}: {error.message}")
print(json.dumps({"documents": found, "errors": errors}))
