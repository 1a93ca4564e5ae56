"""Makes the S3 bucket that the argument names, and prints what buckets there are."""

import json
import sys

import boto3

session = boto3.Session()
s3 = session.client("s3")
s3.create_bucket(Bucket=sys.argv[1])
print(
    json.dumps(
        {
            "method": session.get_credentials().method,
            "arn": session.client("sts").get_caller_identity()["Arn"],
            "buckets": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
        }
    )
)
