"""Prints parliament's findings on policies, by file.

Arguments: files with a permission or session policy each.
"""

import json
import sys

from parliament import analyze_policy_string


def findings(file):
    with open(file, encoding="utf-8") as text:
        found = analyze_policy_string(text.read()).findings
    return [f"{finding.issue}: {finding.detail or finding.location}" for finding in found]


json.dump({file: findings(file) for file in sys.argv[1:]}, sys.stdout, default=str)
