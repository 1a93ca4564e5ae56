"""Runs the AWS CLI (its own entry point, in this process, so that forty commands do not take half a
minute) and prints for each command how it ended and what it said.

Standard input: a JSON list of argument lists."""

import contextlib
import io
import json
import sys

from awscli.clidriver import create_clidriver


class Standard(io.TextIOWrapper):
    """A standard stream that takes text and bytes, as the CLI writes both."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self):
        return self.buffer.getvalue().decode("utf-8", "replace")


def run(arguments):
    out, err = Standard(), Standard()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = create_clidriver().main(arguments)
        except SystemExit as end:
            code = end.code
    return {"code": code, "out": out.text(), "err": err.text()}


commands = json.load(open(sys.argv[1], encoding="utf-8"))
print(json.dumps([run(arguments) for arguments in commands]))
