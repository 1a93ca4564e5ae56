"""Puts an object of as many bytes as the argument says, then gets one that is as large; prints the
SHA-256 of what came and the seconds that each took. The bytes are those of `pattern.rs`."""

import hashlib
import io
import json
import sys
import time

import boto3
from botocore.config import Config

PERIOD = 1_048_583


def period():
    state, out = 1, bytearray()
    for _ in range(PERIOD):
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        out.append(state >> 24)
    return bytes(out)


class Pattern(io.RawIOBase):
    def __init__(self, size):
        self.size, self.at = size, 0
        self.twice = memoryview(period() * 2)

    def seekable(self):
        return True

    def readable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, offset, whence=io.SEEK_SET):
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        self.at = base + offset
        return self.at

    def read(self, size=-1):
        left = self.size - self.at
        size = left if size is None or size < 0 else min(size, left)
        size = min(size, PERIOD)
        start = self.at % PERIOD
        self.at += size
        return bytes(self.twice[start : start + size])


size = int(sys.argv[1])
client = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}, read_timeout=120))
begun = time.monotonic()
client.put_object(Bucket="bucket", Key=f"up/{size}", Body=Pattern(size), ContentLength=size)
up = time.monotonic() - begun
begun = time.monotonic()
digest, length = hashlib.sha256(), 0
for chunk in client.get_object(Bucket="bucket", Key=f"pattern/{size}")["Body"].iter_chunks(1 << 20):
    digest.update(chunk)
    length += len(chunk)
down = time.monotonic() - begun
assert length == size, length
print(json.dumps({"down": digest.hexdigest(), "up_s": round(up, 2), "down_s": round(down, 2)}))
