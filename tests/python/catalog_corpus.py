"""Serialises a request for every operation of botocore's models, with botocore's own serialisers and
endpoint rule sets.

    catalog_corpus.py FILE

FILE gets a JSON object on each line: service, operation, protocol, host, method, target (path and query),
headers and body (base64). Each operation comes with the least that it requires and with every top-level
member, over every protocol of its service, and to Amazon S3 with the bucket in the path and in the host.
"""

import base64
import json
import multiprocessing
import sys

import botocore.serialize
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.utils import percent_encode_sequence

LOADER = Loader()
REGION = "us-west-2"
ACCOUNT = "111122223333"
BUCKET = "some.bucket"
# What rule sets are told beside the region.
CONTEXT = {
    "neptune-graph": {"ApiType": "ControlPlane"},
    "cloudfront-keyvaluestore": {"KvsARN": f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/some"},
    "acm": {"ServiceType": "CERTIFICATE_MANAGER"},
}


def value(shape, name, depth=0):
    """Something that the serialisers take for a shape."""
    kind = shape.type_name
    if kind == "structure":
        members = shape.members
        wanted = list(shape.required_members)
        if getattr(shape, "is_tagged_union", False) and not wanted:
            wanted = list(members)[:1]
        return {one: value(members[one], one, depth + 1) for one in wanted} if depth < 12 else {}
    if kind == "list":
        return [value(shape.member, name, depth + 1)] if depth < 12 else []
    if kind == "map":
        return {value(shape.key, name, depth + 1): value(shape.value, name, depth + 1)} if depth < 12 else {}
    if kind == "string":
        return shape.enum[0] if shape.enum else "some"
    return {
        "blob": b"some",
        "boolean": True,
        "character": "s",
        "timestamp": 1700000000,
    }.get(kind, 1)


def parameters(operation, full):
    shape = operation.input_shape
    if shape is None:
        return {}
    given = value(shape, "")
    if full:
        for name, member in shape.members.items():
            given.setdefault(name, value(member, name, 1))
    if "Bucket" in shape.members and operation.service_model.service_name == "s3" and "Bucket" in given:
        given["Bucket"] = BUCKET
    if "Key" in given and operation.service_model.service_name == "s3":
        given["Key"] = "some/key"
    for name in ("AccountId", "accountId"):
        if name in given and isinstance(given[name], str):
            given[name] = ACCOUNT
    return given


def requests(service):
    data = LOADER.load_service_model(service, "service-2")
    model = ServiceModel(data, service)
    rules = LOADER.load_service_model(service, "endpoint-rule-set-1")
    provider = EndpointProvider(rules, LOADER.load_data("partitions"))
    spoken = data["metadata"].get("protocols") or [data["metadata"]["protocol"]]
    for name in model.operation_names:
        operation = model.operation_model(name)
        host = host_of(service, provider, rules, operation)
        if host is None:
            raise SystemExit(f"{service}:{name}: no host")
        for protocol in spoken:
            serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
            for full in (False, True):
                given = parameters(operation, full)
                request = serializer.serialize_to_request(given, operation)
                yield from lines(service, name, protocol, host, request)


def host_of(service, provider, rules, operation):
    given = {"Region": REGION, "UseFIPS": False, "UseDualStack": False}
    given |= CONTEXT.get(service, {})
    given |= {p.name: p.value for p in operation.static_context_parameters}
    if service == "s3control":
        given["AccountId"] = ACCOUNT
    if service == "s3" and "{Bucket}" in operation.http["requestUri"]:
        given |= {"Bucket": BUCKET, "ForcePathStyle": True}
    given = {k: v for k, v in given.items() if k in rules["parameters"]}
    try:
        endpoint = provider.ruleset.evaluate(given)
    except EndpointProviderError:
        return None
    return endpoint and endpoint.url.removeprefix("https://").split("/")[0]


def lines(service, name, protocol, host, request):
    prefix = request.get("host_prefix") or ""
    if prefix and not host.startswith(prefix):
        host = prefix + host
    body = request["body"]
    headers = {k.lower(): str(v) for k, v in request["headers"].items()}
    if isinstance(body, dict):
        body = percent_encode_sequence(body)
        headers.setdefault("content-type", "application/x-www-form-urlencoded; charset=utf-8")
    if isinstance(body, str):
        body = body.encode()
    path = request["url_path"]
    query = request["query_string"]
    if not isinstance(query, str):
        query = percent_encode_sequence(query) if query else ""
    if query:
        path += ("&" if "?" in path else "?") + query
    line = {
        "service": service,
        "operation": name,
        "protocol": protocol,
        "host": host,
        "method": request["method"],
        "target": path,
        "headers": headers,
        "body": base64.b64encode(body or b"").decode(),
    }
    yield json.dumps(line)
    if host.startswith("s3.") and path.startswith(f"/{BUCKET}"):
        rest = path[len(BUCKET) + 1 :]
        line["target"] = rest if rest.startswith("/") else f"/{rest}"
        line["host"] = f"{BUCKET}.{host}"
        yield json.dumps(line)


def of_service(service):
    return list(requests(service))


def main():
    services = LOADER.list_available_services("service-2")
    # The largest first, so that no process is left with it at the end.
    services.sort(key=lambda name: name != "ec2")
    with multiprocessing.Pool() as pool, open(sys.argv[1], "w", encoding="utf-8") as out:
        for found in pool.imap_unordered(of_service, services):
            out.writelines(line + "\n" for line in found)


if __name__ == "__main__":
    main()
