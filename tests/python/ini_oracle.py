"""Reads AWS files with botocore, for comparison.

One JSON object a line on standard input: `contents` (base64), `kind` (`credentials` or `config`)
and `profile`. One a line on standard output: `sections` (name to settings) and, for the credentials
file, `keys` (what botocore would sign with for the profile, or null); or `refused`, the class of
botocore's exception.
"""

import base64
import json
import os
import sys
import tempfile

from botocore.configloader import load_config, raw_config_parse
from botocore.credentials import SharedCredentialProvider
from botocore.exceptions import ConfigParseError


def read(path, kind, profile):
    if kind == "config":
        return {"sections": load_config(path)["profiles"]}
    sections = raw_config_parse(path)
    keys = None
    if "aws_secret_access_key" in sections.get(profile, {}):
        found = SharedCredentialProvider(path, profile).load()
        if found is not None:
            keys = [found.access_key, found.secret_key, found.token]
    return {"sections": sections, "keys": keys}


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "file")
        for line in sys.stdin:
            asked = json.loads(line)
            with open(path, "wb") as file:
                file.write(base64.b64decode(asked["contents"]))
            try:
                answer = read(path, asked["kind"], asked["profile"])
            except ConfigParseError as error:
                answer = {"refused": type(error).__name__}
            print(json.dumps(answer), flush=True)


main()
