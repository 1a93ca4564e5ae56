"""Prints where boto3 finds credentials, and whose they are."""

import json

import boto3

session = boto3.Session()
credentials = session.get_credentials()
identity = session.client("sts").get_caller_identity()
print(
    json.dumps(
        {
            "method": credentials.method,
            "access_key": credentials.access_key,
            "account": identity["Account"],
            "arn": identity["Arn"],
        }
    )
)
