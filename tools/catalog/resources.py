"""What operations act on: the kinds of resources of their actions, and where a request names them."""

import re

from iam import normal


class Kinds:
    """The `r` lines of one service's table."""

    def __init__(self):
        self.lines = {}

    def take(self, name, arn):
        text = arn.replace("${Partition}", "{p}").replace("${Region}", "{r}")
        text = text.replace("${Account}", "{a}").replace("${AccountId}", "{a}")
        text = re.sub(r"\$\{[^}]*\}", "{}", text)
        known = self.lines.setdefault(name, text)
        return known == text


def specs(mapper, service, operation, actions, kinds):
    """The resource column of an operation."""
    by_hand = mapper.service(service).get("resources", {})
    listed = by_hand.get(operation.name)
    if listed is not None:
        for spec in listed:
            kind = spec.partition("=")[0].lstrip("?").rpartition(":")[2]
            kinds.take(kind, by_hand_arn(mapper, service, kind))
        return list(listed)
    if service in ("s3", "s3express", "s3-object-lambda", "s3-outposts"):
        return _of_path(mapper, operation, kinds)
    found = []
    several = len({one.partition("?")[0] for one in actions}) > 1
    for one in actions:
        action = one.partition("?")[0]
        if action == "iam:PassRole":
            continue
        for spec in _of_action(mapper, service, operation, action, kinds):
            found.append(f"{spec}@{action.partition(':')[2]}" if several else spec)
    return list(dict.fromkeys(found))


def with_arns(specs, operation):
    """The same, with `^` behind the sources where the service takes an ARN as well as a name. A role's name
    cannot look like an ARN, so roles are not asked about."""
    marked = []
    for spec in specs:
        kind, _, rest = spec.partition("=")
        sources, at, actions = rest.partition("@")
        takes = operation.arns if not kind.endswith("passed-role") else set(sources.split(","))
        sources = ",".join(f"{one}^" if one in takes - {"_"} else one for one in sources.split(","))
        marked.append(f"{kind}={sources}{at}{actions}")
    return marked


def _of_path(mapper, operation, kinds):
    """Amazon S3: what the path names."""
    if "{Bucket}" not in operation.path:
        return []
    kind = "object" if "{Key+}" in operation.path else "bucket"
    kinds.take(kind, mapper.service("s3")["kinds"][kind])
    return [f"object=p:Bucket,p:Key" if kind == "object" else "bucket=p:Bucket"]


def by_hand_arn(mapper, service, kind):
    own = mapper.service(service).get("kinds", {})
    if kind in own:
        return own[kind]
    prefix = mapper.service(service).get("prefix", service)
    return mapper.reference.services[prefix]["resources"][kind]["arn"]


def _of_action(mapper, service, operation, action, kinds):
    types = mapper.reference.types(action)
    required = [one for one in types if one[1]]
    aliases = mapper.service(service).get("members", {})
    ways = mapper.service(service).get("ways", {})
    own = mapper.service(service).get("kinds", {})
    out = []
    for kind, needed, arn in types:
        arn = own.get(kind, arn)
        holes = re.findall(r"\$\{([^}]*)\}", arn)
        holes = [h for h in holes if h not in ("Partition", "Region", "Account", "AccountId")]
        if not holes:
            if needed:
                label = _label(action, kind, arn, kinds)
                out.append(f"{label}=_")
            continue
        alone = len(required or types) == 1
        sources = [
            _member(operation, kind, hole, index == len(holes) - 1, alone, aliases)
            for index, hole in enumerate(holes)
        ]
        # One member may name the whole ARN.
        whole = _arn_member(operation, kind, alone)
        if sources[-1] is None and whole is not None:
            sources[-1] = whole
        label = None
        if needed:
            label = _label(action, kind, arn, kinds)
            optional = ""
        elif sources[-1] is not None and not (required and _is_of(required, sources[-1], out)):
            # One of several kinds that the action may be on.
            label = _label(action, kind, arn, kinds)
            optional = "?"
        if label is None:
            continue
        way = ways.get(kind)
        way = f"{way}:" if way else ""
        out.append(f"{optional}{way}{label}={','.join(one or '_' for one in sources)}")
    if not required:
        # Where no kind is required, the request may be on any of them. Two kinds that one member names
        # cannot be told apart, so nothing is known.
        tails = [spec.partition("=")[2].rpartition(",")[2] for spec in out]
        if len(set(tails)) != len(tails):
            return []
    return out


def _is_of(required, source, out):
    """Whether a member already names a required resource."""
    return any(spec.partition("=")[2].rpartition(",")[2] == source for spec in out)


def _label(action, kind, arn, kinds):
    label = re.sub(r"[^A-Za-z0-9_-]", "-", kind)
    if not kinds.take(label, arn):
        label = f"{action.partition(':')[0]}-{label}"
        kinds.take(label, arn)
    return label


def _located(operation, member):
    """Where a member is, in the words of the tables; a list's elements are meant one by one."""
    return operation.locations.get(member)


def _member(operation, kind, hole, last, alone, aliases):
    names = {normal(name): name for name in operation.locations}
    wanted = [normal(hole)]
    for alias in aliases.get(hole, []):
        wanted.append(normal(alias))
    if last:
        base = normal(kind)
        wanted += [base + end for end in ("", "name", "id", "arn", "identifier")]
        if normal(hole).endswith(("id", "name")):
            stem = re.sub(r"(id|name)$", "", normal(hole))
            wanted += [stem + end for end in ("id", "name", "arn", "identifier")]
        wanted += [one + "s" for one in list(wanted)]
        if alone and base in normal(operation.name):
            wanted += ["name", "id", "identifier"]
    for one in wanted:
        if one in names:
            return _located(operation, names[one])
    return None


def _arn_member(operation, kind, alone):
    names = {normal(name): name for name in operation.locations}
    wanted = [normal(kind) + "arn"]
    if alone:
        wanted += ["resourcearn", "arn", "resourceid"]
    else:
        wanted += ["resourcearn"]
    for one in wanted:
        if one in names:
            return _located(operation, names[one])
    return None
