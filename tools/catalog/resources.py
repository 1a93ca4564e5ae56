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
        # What is passed and what is tagged is not what the operation's own members name.
        if action == "iam:PassRole" or (action == "ec2:CreateTags" and operation.name != "CreateTags"):
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
        takes = operation.arns if not kind.endswith("passed-role") else set(re.split("[,|]", sources))
        sources = re.sub(r"[^,|]+", lambda one: f"{one[0]}^" if one[0] in takes - {"_"} else one[0], sources)
        marked.append(f"{kind}={sources}{at}{actions}")
    return marked


def _of_path(mapper, operation, kinds):
    """Amazon S3: what the path names."""
    if "{Bucket}" not in operation.path:
        return []
    copies = mapper.service("s3")["resources"].get(operation.name, [])
    if any(spec.startswith("copy:") for spec in copies):
        kinds.take("object", mapper.service("s3")["kinds"]["object"])
        return list(copies)
    if operation.name == "DeleteObjects":
        kinds.take("object", mapper.service("s3")["kinds"]["object"])
        return ["object=p:Bucket,b:Object[].Key"]
    kind = "object" if "{Key+}" in operation.path else "bucket"
    kinds.take(kind, mapper.service("s3")["kinds"][kind])
    return [f"object=p:Bucket,p:Key" if kind == "object" else "bucket=p:Bucket"]


def by_hand_arn(mapper, service, kind):
    own = mapper.service(service).get("kinds", {})
    if kind in own:
        return own[kind]
    if kind == "passed-role":
        return "arn:${Partition}:iam::${Account}:role/${RoleName}"
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
        sources = [one and _with_siblings(operation, one) for one in sources]
        label = None
        if needed:
            label = _label(action, kind, arn, kinds)
            optional = ""
        elif sources[-1] is not None and not (required and _is_of(operation, required, sources[-1], out)):
            # One of several kinds that the action may be on.
            label = _label(action, kind, arn, kinds)
            optional = "?"
        if label is None:
            continue
        way = ways.get(kind)
        if way == "function" and "Qualifier" in operation.locations:
            sources.append(operation.locations["Qualifier"])
        way = f"{way}:" if way else ""
        out.append(f"{optional}{way}{label}={','.join(one or '_' for one in sources)}")
    if not required:
        # Where no kind is required, the request may be on any of them. Two kinds that one member names
        # cannot be told apart where it is no ARN, so nothing is known.
        tails = [spec.partition("=")[2].rpartition(",")[2] for spec in out]
        if any(tails.count(one) > 1 and not _is_arn_alone(operation, one) for one in tails):
            return []
    return out


def _is_arn_alone(operation, source):
    """Whether a member takes ARNs and nothing else, so that its value says of which kind it is."""
    names = [name for name, there in operation.locations.items() if there == source]
    return source in operation.arns and any(re.search(r"arns?$", name, re.IGNORECASE) for name in names)


# How the members of a model say in which way they name something.
WAYS_TO_NAME = re.compile(r"(Names?|Arns?|ARNs?|Ids?|Identifiers?)$", re.IGNORECASE)


def siblings(operation, source):
    """The other members that name the same thing in another way: StreamARN beside StreamName. Of members of
    which one is required, an optional name or id is an attribute, and not another way to name it."""
    found = []
    for member, other, there in _same_stem(operation, source):
        points = re.search(r"(arns?|identifiers?)$", other, re.IGNORECASE)
        if points or (member not in operation.required and other not in operation.required):
            found.append(there)
    return found


def unjudged(operation, specs):
    """Members that look like other names of what the resources name, and have no say."""
    used = {one.rstrip("^") for spec in specs for one in re.split("[,|]", spec.partition("=")[2].partition("@")[0])}
    return sorted({there for one in used for _, _, there in _same_stem(operation, one) if there not in used})


def _same_stem(operation, source):
    """[(member, another one that is called alike, where that is)]"""
    member = next((name for name, there in operation.locations.items() if there == source), None)
    stem = member and WAYS_TO_NAME.sub("", member)
    if not stem:
        return []
    return [
        (member, other, there)
        for other, there in operation.locations.items()
        if there != source and other != stem and normal(WAYS_TO_NAME.sub("", other)) == normal(stem)
    ]


def _with_siblings(operation, source):
    return "|".join([source, *siblings(operation, source)])


def _is_of(operation, required, source, out):
    """Whether a member already names a required resource."""
    if _is_arn_alone(operation, source):
        return False
    return any(source in spec.partition("=")[2].rpartition(",")[2].split("|") for spec in out)


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
            # A label that is not required beside members that are is an attribute.
            pointing = any(WAYS_TO_NAME.search(one) for one in operation.required)
            wanted += [
                one
                for one in ("name", "id", "identifier")
                if not pointing or normal(one) in map(normal, operation.required)
            ]
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
