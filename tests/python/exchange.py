"""Brings tokens to STS with boto3.

Arguments: the role's ARN, and a JSON file of tokens by name. On standard output, by the same names:
the assumed role's ARN, or code, message and HTTP status of the refusal.
"""

import json
import sys

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

role, file = sys.argv[1:]
sts = boto3.client("sts", config=Config(signature_version=UNSIGNED))


def exchange(token):
    try:
        answer = sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="exchange", WebIdentityToken=token
        )
    except ClientError as error:
        return {
            "code": error.response["Error"]["Code"],
            "message": error.response["Error"]["Message"],
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
        }
    return {"arn": answer["AssumedRoleUser"]["Arn"]}


with open(file, encoding="utf-8") as tokens:
    answers = {name: exchange(token) for name, token in json.load(tokens).items()}
json.dump(answers, sys.stdout)
