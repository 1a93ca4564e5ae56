"""Prints which distributions are installed here, as JSON."""

import argparse
import json
import os
import sys
from importlib.metadata import distributions

argparse.ArgumentParser(description=__doc__).parse_args()

versions = {found.metadata["Name"].lower(): found.version for found in distributions()}
json.dump({"versions": versions, "probe": os.environ.get("IDP_PROBE")}, sys.stdout)
