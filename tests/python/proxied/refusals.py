"""Asks for what the rules do not allow, once in every protocol, with boto3; prints the code, the
message and the number of attempts of each refusal."""

import json

import boto3
from botocore.exceptions import ClientError

CALLS = {
    "s3": lambda: boto3.client("s3").get_object(Bucket="forbidden", Key="k"),
    "s3-head": lambda: boto3.client("s3").head_object(Bucket="forbidden", Key="k"),
    "query": lambda: boto3.client("iam").list_users(),
    "ec2": lambda: boto3.client("ec2").describe_instances(),
    "json": lambda: boto3.client("dynamodb").delete_table(TableName="forbidden"),
    "rest-json": lambda: boto3.client("lambda").get_account_settings(),
    "rest-xml": lambda: boto3.client("route53").list_hosted_zones(),
    "cbor": lambda: boto3.client("cloudwatch").list_dashboards(),
}

refusals = {}
for name, call in CALLS.items():
    try:
        call()
        refusals[name] = "not refused"
    except ClientError as error:
        refusals[name] = {
            "code": error.response["Error"]["Code"],
            "message": error.response["Error"]["Message"],
            "status": error.response["ResponseMetadata"]["HTTPStatusCode"],
            "attempts": error.response["ResponseMetadata"]["RetryAttempts"] + 1,
        }
    except Exception as error:  # the test shows it beside the others
        refusals[name] = f"{type(error).__name__}: {error}"
print(json.dumps(refusals))
