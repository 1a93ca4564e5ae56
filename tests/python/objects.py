"""Makes the S3 bucket that the argument names, if it is missing, and prints the objects in it."""

import json
import sys

import boto3

s3 = boto3.client("s3")
s3.create_bucket(Bucket=sys.argv[1])
objects = {}
for listed in s3.list_objects_v2(Bucket=sys.argv[1]).get("Contents", []):
    found = s3.get_object(Bucket=sys.argv[1], Key=listed["Key"])
    objects[listed["Key"]] = {
        "content_type": found["ContentType"],
        "cache_control": found.get("CacheControl"),
        "body": found["Body"].read().decode(),
    }
print(json.dumps(objects))
