"""Lists the keys of a KMS. Arguments: endpoint, region. One JSON array on standard output."""

import json
import sys

import boto3

client = boto3.client(
    "kms",
    endpoint_url=sys.argv[1],
    region_name=sys.argv[2],
    aws_access_key_id="test",
    aws_secret_access_key="test",
)
keys = []
for page in client.get_paginator("list_keys").paginate():
    for key in page["Keys"]:
        described = client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        described["Tags"] = client.list_resource_tags(KeyId=key["KeyId"])["Tags"]
        keys.append(described)
print(json.dumps(keys, default=str))
