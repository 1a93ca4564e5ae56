"""Puts objects whose bodies boto3 frames, hashes and sums in each of the ways that it has, and prints
their keys and lengths."""

import io
import json

import boto3
from botocore.config import Config


class Stream(io.RawIOBase):
    """Has a length and can be read once more, but is not bytes."""

    def __init__(self, content):
        self.file = io.BytesIO(content)

    def read(self, size=-1):
        return self.file.read(size)

    def seek(self, *where):
        return self.file.seek(*where)

    def tell(self):
        return self.file.tell()


content = bytes(range(251)) * 1999
lengths = {}
for checksum in ("when_supported", "when_required"):
    for payload in (True, False):
        s3 = {"payload_signing_enabled": payload}
        client = boto3.client("s3", config=Config(s3=s3, request_checksum_calculation=checksum))
        for name, body in (("bytes", content), ("stream", Stream(content)), ("empty", b"")):
            key = f"{checksum}/{payload}/{name}"
            client.put_object(Bucket="bucket", Key=key, Body=body)
            lengths[key] = len(content) if name != "empty" else 0
        for algorithm in ("CRC32", "SHA1", "SHA256"):
            key = f"{checksum}/{payload}/{algorithm}"
            client.put_object(
                Bucket="bucket", Key=key, Body=Stream(content), ChecksumAlgorithm=algorithm
            )
            lengths[key] = len(content)
        read = client.get_object(Bucket="bucket", Key=key)["Body"].read()
        assert read == content
print(json.dumps(lengths))
