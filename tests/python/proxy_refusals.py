"""Calls what the signing proxy refuses, with dummy credentials and its address as the endpoint.

Usage: proxy_refusals.py ENDPOINT KEY. Prints for each call the code, the message and how often it was tried again.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, key = sys.argv[1:]
session = boto3.Session(aws_access_key_id=key, aws_secret_access_key="dummy", region_name="eu-west-1")


def call(service, mode, operation, **arguments):
    config = Config(retries={"mode": mode}, s3={"addressing_style": "path"})
    client = session.client(service, endpoint_url=endpoint, config=config)
    try:
        getattr(client, operation)(**arguments)
        return {"service": service, "code": None}
    except ClientError as error:
        answer = error.response
        return {
            "service": service,
            "operation": operation,
            "code": answer["Error"]["Code"],
            "message": answer["Error"].get("Message", ""),
            "status": answer["ResponseMetadata"]["HTTPStatusCode"],
            "again": answer["ResponseMetadata"].get("RetryAttempts", 0),
        }


calls = [
    ("s3", "get_object", {"Bucket": "secret", "Key": "k"}),
    ("s3", "head_object", {"Bucket": "secret", "Key": "k"}),
    ("s3", "put_object", {"Bucket": "secret", "Key": "k", "Body": b"x" * 300_000}),
    ("dynamodb", "delete_table", {"TableName": "orders"}),
    ("dynamodb", "get_item", {"TableName": "payroll", "Key": {"id": {"S": "1"}}}),
    ("iam", "delete_user", {"UserName": "u"}),
    ("ec2", "delete_vpc", {"VpcId": "vpc-1"}),
    ("lambda", "delete_function", {"FunctionName": "f"}),
    ("route53", "delete_hosted_zone", {"Id": "Z1"}),
    ("cloudwatch", "delete_alarms", {"AlarmNames": ["a"]}),
    ("sts", "assume_role", {"RoleArn": "arn:aws:iam::999999999999:role/admin", "RoleSessionName": "session"}),
]
answers = [
    call(service, mode, operation, **arguments)
    for mode in ("legacy", "standard")
    for service, operation, arguments in calls
]
print(json.dumps(answers))
