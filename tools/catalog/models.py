"""What botocore's service models say of each operation: how it is asked for, and its body."""

import collections
import dataclasses
import re

# Members of answers that authenticate whoever holds them.
SECRET_MEMBERS = re.compile(
    r"^(secret_?access_?key|session_?token|authorization_?token|secret_?key|sigv4authorization.*)$",
    re.IGNORECASE,
)


@dataclasses.dataclass
class Operation:
    """An operation as a line of the tables has it, before anything is known of IAM."""

    name: str
    method: str = ""
    path: str = ""
    # Query literals, then required query members (q:) and headers (h:) that tell it from others at its path.
    needs: tuple = ()
    # Every query member that it declares.
    queries: tuple = ()
    # Where each input member is: name -> "p:x", "q:x", "h:x" or "b:x".
    members: dict = dataclasses.field(default_factory=dict)
    # Where the texts and lists of texts among them are, as the tables write it: "p:Bucket", "b:Names[]".
    locations: dict = dataclasses.field(default_factory=dict)
    # The locations where the service takes an ARN, as far as the model says.
    arns: set = dataclasses.field(default_factory=set)
    required: tuple = ()
    host_prefix: str = ""
    signed: bool = True
    unsigned_payload: bool = False
    event_stream: bool = False
    streaming: bool = False
    requires_length: bool = False
    returns_credentials: bool = False
    deprecated: bool = False
    read_only: bool = False


def operations(service, model):
    """The operations of a model, by name."""
    found = {name: _operation(service, model, name) for name in model["operations"]}
    _keep_what_tells_apart(found.values())
    return found


def protocols(metadata):
    """What the service speaks, the newest first, in the words of the tables."""
    names = metadata.get("protocols") or [metadata["protocol"]]
    words = {
        "rest-xml": "rest-xml",
        "rest-json": "rest-json",
        "json": "json",
        "query": "query",
        "ec2": "ec2",
        "smithy-rpc-v2-cbor": "cbor",
    }
    spoken = [words[name] for name in names]
    # SDKs from before such a service changed its protocol still send forms.
    if "awsQueryCompatible" in metadata and "query" not in spoken:
        spoken.append("query")
    return spoken


def _operation(service, model, name):
    description = model["operations"][name]
    shapes = model["shapes"]
    http = description["http"]
    shape = shapes.get(description.get("input", {}).get("shape"), {})
    path, _, query = http["requestUri"].partition("?")
    operation = Operation(name)
    if model["metadata"]["protocol"].startswith("rest"):
        operation.method, operation.path = http["method"], path
    else:
        query = ""
    operation.required = tuple(shape.get("required", ()))
    queries, needs = [], [part for part in query.split("&") if part]
    for member, reference in shape.get("members", {}).items():
        letter = {"uri": "p", "querystring": "q", "header": "h"}.get(reference.get("location"))
        name_there = reference.get("locationName", member)
        if letter is None:
            letter = "b"
            if reference.get("location") in ("headers", "statusCode"):
                continue
        operation.members[member] = f"{letter}:{name_there}"
        located = _locate(model, shape, member, reference, letter, name_there)
        if located:
            operation.locations[member] = located
            if _takes_arn(model["shapes"], member, reference):
                operation.arns.add(located)
        if letter == "q":
            queries.append(name_there)
        if letter in "qh" and member in operation.required:
            needs.append(f"{letter}:{name_there}")
    operation.queries = tuple(sorted(queries))
    operation.needs = tuple(needs)
    operation.host_prefix = description.get("endpoint", {}).get("hostPrefix", "")
    auth = description.get("auth") or []
    operation.signed = not (
        description.get("authtype") == "none"
        or "smithy.api#noAuth" in auth
        or model["metadata"]["signatureVersion"] == "bearer"
    )
    operation.unsigned_payload = bool(
        description.get("unsignedPayload") or description.get("authtype") == "v4-unsigned-body"
    )
    payload = shape.get("payload")
    if payload:
        body = shapes[shape["members"][payload]["shape"]]
        reference = shape["members"][payload]
        operation.event_stream = bool(body.get("eventstream"))
        blob = body["type"] == "blob"
        operation.streaming = blob and bool(reference.get("streaming") or body.get("streaming"))
        operation.requires_length = bool(
            reference.get("requiresLength") or body.get("requiresLength")
        )
    operation.deprecated = bool(description.get("deprecated"))
    operation.read_only = bool(description.get("readonly"))
    operation.returns_credentials = _has_secret(
        shapes, description.get("output", {}).get("shape"), set()
    )
    return operation


def _takes_arn(shapes, member, reference):
    """Whether names, pattern or description of a member, or of its elements, speak of ARNs."""
    target = shapes[reference["shape"]]
    parts = [(reference["shape"], target), (None, reference)]
    if target["type"] == "list":
        element = target["member"]
        parts += [(element["shape"], shapes[element["shape"]]), (None, element)]
    names = [member] + [name for name, _ in parts if name]
    if any(re.search(r"(Arn|ARN|arn)s?(OrId|OrName|List|Type)?$|^(Arn|ARN)", name) for name in names):
        return True
    texts = [part.get(key, "") for _, part in parts for key in ("documentation", "pattern")]
    return any(re.search(r"\bARNs?\b|Amazon Resource Name|\barn:|\(arn|\^arn", text) for text in texts)


def _locate(model, shape, member, reference, letter, name):
    """Where a member's text is, or its texts are; None where it is neither."""
    shapes = model["shapes"]
    target = shapes[reference["shape"]]
    listed = target["type"] == "list" and shapes[target["member"]["shape"]]["type"] == "string"
    if target["type"] != "string" and not listed:
        return None
    if letter != "b":
        return f"{letter}:{name}"
    if "payload" in shape:
        return None
    protocol = model["metadata"]["protocol"]
    if protocol == "ec2":
        there = reference.get("queryName") or name[0].upper() + name[1:]
    elif protocol == "query":
        there = name
        if listed and target.get("flattened") and "locationName" in target["member"]:
            there = target["member"]["locationName"]
    elif protocol in ("json", "rest-json"):
        there = name
    else:
        there = member
    return f"b:{there}[]" if listed else f"b:{there}"


def _has_secret(shapes, name, seen):
    """Whether an answer holds, at any depth, a member that authenticates."""
    if name is None or name in seen:
        return False
    seen.add(name)
    shape = shapes[name]
    for member, reference in shape.get("members", {}).items():
        kind = shapes[reference["shape"]]["type"]
        if kind in ("string", "blob") and SECRET_MEMBERS.match(member):
            return True
        if _has_secret(shapes, reference["shape"], seen):
            return True
    inner = [shape.get(part, {}).get("shape") for part in ("member", "value")]
    return any(_has_secret(shapes, one, seen) for one in inner)


def _keep_what_tells_apart(operations):
    """Required members matter only where operations share a method and path."""
    groups = collections.defaultdict(list)
    for operation in operations:
        if operation.path:
            form = re.sub(r"\{[^}]*?(\+?)\}", r"{\1}", operation.path)
            groups[operation.method, form].append(operation)
    for group in groups.values():
        if len(group) == 1:
            operation = group[0]
            operation.needs = tuple(n for n in operation.needs if not n.startswith(("q:", "h:")))
