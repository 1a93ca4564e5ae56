"""Which hosts AWS answers at: host name to candidates of (service, signing name, signing region).

Two sources, both in botocore: the endpoint rule sets, evaluated for every region and variant, and
endpoints.json, which knows older names. hosts.toml adds what neither has.
"""

import collections
import itertools
import json
import pathlib
import re
import tomllib

import botocore
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError

DATA = pathlib.Path(botocore.__file__).parent / "data"
HERE = pathlib.Path(__file__).parent

# Stand-ins for what is the caller's in a host name: they become `*` in a template.
ACCOUNT = "111122223333"
CALLERS = "callersown"

# Parameters of rule sets that no operation sets to a constant, with a value that makes the rule set give
# the host of that kind. {region} and {partition} are filled in.
DYNAMIC = {
    "cloudfront-keyvaluestore": [
        {"KvsARN": f"arn:{{partition}}:cloudfront::{ACCOUNT}:key-value-store/{CALLERS}"}
    ],
    "dynamodb": [{"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}],
    "dynamodbstreams": [{"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}],
    "eventbridgev2": [{"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}],
    "events": [{"EndpointId": f"{CALLERS}.{CALLERS}"}],
    "kinesis": [
        {"StreamARN": f"arn:{{partition}}:kinesis:{{region}}:{ACCOUNT}:stream/{CALLERS}"},
        {"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"},
    ],
    "opensearchmemory": [{"SpaceId": CALLERS}],
    "sesv2": [{"EndpointId": f"{CALLERS}.{CALLERS}"}],
    "s3control": [{"AccountId": ACCOUNT}, {"UseS3ExpressControlEndpoint": True}, {"OutpostId": "op-1"}],
    "s3": [
        {"UseS3ExpressControlEndpoint": True, "Bucket": "callersown--usw2-az1--x-s3"},
        {"UseObjectLambdaEndpoint": True},
        {"Accelerate": False, "UseGlobalEndpoint": True},
    ],
    "sts": [{"UseGlobalEndpoint": True}],
}


class Partitions:
    """partitions.json, and which partition a region is of."""

    def __init__(self):
        self.data = json.loads((DATA / "partitions.json").read_text())
        self.regions = {}
        self.suffixes = {}
        # Names of partitions as if they were regions; no host has them.
        self.pseudo = []
        for partition in self.data["partitions"]:
            outputs = partition["outputs"]
            for region in partition["regions"]:
                self.regions[region] = partition
                if region.endswith("-global"):
                    self.pseudo.append(region)
            self.suffixes[partition["id"]] = (outputs["dnsSuffix"], outputs["dualStackDnsSuffix"])


class Table:
    """Templates and exact hosts, each with its candidates."""

    def __init__(self, partitions):
        self.partitions = partitions
        # template -> {(service, name, signing region or "=", algorithm): {region, …}}
        self.templates = collections.defaultdict(lambda: collections.defaultdict(set))
        # host -> {(partition, service, name, signing region, algorithm)}
        self.exact = collections.defaultdict(set)
        # template -> what a customer's host is
        self.customers = {}
        self.domains = []
        self.names = {}

    def add(self, host, service, region, name, signing_region, algorithm="v4"):
        """Takes a host in; `region` is the one that it was computed for."""
        host = re.sub(rf"\b({ACCOUNT}|{CALLERS})\b", "*", host.lower())
        partition = self.partitions.regions[region]
        if any(name in host for name in self.partitions.pseudo):
            return
        label = next(
            (
                one
                for one in sorted(partition["regions"], key=len, reverse=True)
                if re.search(rf"(^|[.-]){re.escape(one)}($|\.)", host)
            ),
            None,
        )
        if label is None:
            # A rule set that gives every partition the host of one region.
            if any(re.search(rf"(^|[.-]){re.escape(r)}($|\.)", host) for r in self.partitions.regions):
                return
            self.exact[host].add((partition["id"], service, name, signing_region, algorithm))
            return
        for suffix, kind in zip(self.partitions.suffixes[partition["id"]], (".{dns}", ".{dual}")):
            if host.endswith("." + suffix):
                host = host[: -len(suffix) - 1] + kind
                break
        template = re.sub(rf"(^|[.-]){re.escape(label)}($|\.)", r"\1{region}\2", host, count=1)
        signing = "=" if signing_region == label else signing_region
        self.templates[template][service, name, signing, algorithm].add(label)

    def tidy(self):
        """Leaves one candidate of a service at a host: the host's own region, then its partition's."""
        for rows in self.templates.values():
            for key in [k for k in rows if k[2] != "="]:
                if any(other[:1] == key[:1] and other[2] == "=" for other in rows):
                    del rows[key]
        implicit = {
            p["id"]: p["outputs"]["implicitGlobalRegion"] for p in self.partitions.data["partitions"]
        }
        for host, rows in self.exact.items():
            best = {}
            for row in rows:
                partition, service, name, region, _ = row
                own = region == implicit[partition]
                rank = (partition == "aws", region == "*", own, row)
                if service not in best or rank > best[service][0]:
                    best[service] = rank, row
            self.exact[host] = {row for _, row in best.values()}
        for host, rows in self.templates.items():
            self.templates[host] = {
                ((k[1] if k[0] == "s3" else k[0]), *k[1:]): v for k, v in rows.items()
            }
        for host, rows in self.exact.items():
            self.exact[host] = {(r[0], r[2] if r[1] == "s3" else r[1], *r[2:]) for r in rows}
        self.names = collections.defaultdict(set)
        for rows in self.templates.values():
            for service, name, _, _ in rows:
                self.names[service].add(name)
        for rows in self.exact.values():
            for _, service, name, _, _ in rows:
                self.names[service].add(name)

    def lines(self, order):
        """The lines of the table, candidates in the order of preference."""
        place = {service: at for at, service in enumerate(order)}
        out = []
        for host, rows in self.templates.items():
            out.append((host, "", self.customers.get(host, ""), [(place[k[0]], k) for k in rows]))
        for host, rows in self.exact.items():
            partition = min(row[0] for row in rows)
            found = [(place[row[1]], row[1:]) for row in rows]
            out.append((host, partition, self.customers.get(host, ""), found))
        lines = []
        for host, partition, customer, rows in sorted(out):
            cells = []
            for _, (service, name, region, algorithm) in sorted(rows):
                cells.append(",".join([service, name, region] + (["v4a"] if algorithm == "v4a" else [])))
            lines.append(f"host\t{host}\t{partition}\t{customer}\t{' '.join(cells)}")
        return lines


def static_parameters(model):
    """Every distinct set of constants that an operation gives to the rule set."""
    seen = {()}
    for operation in model["operations"].values():
        constants = operation.get("staticContextParams", {})
        seen.add(tuple(sorted((k, json.dumps(v["value"])) for k, v in constants.items())))
    return [{k: json.loads(v) for k, v in one} for one in sorted(seen)]


def scheme(properties, service_name, region, signatures):
    """(signing name, signing region, algorithm) of an evaluated endpoint."""
    for entry in properties.get("authSchemes", []):
        if entry["name"] in ("sigv4", "sigv4-s3express"):
            return entry.get("signingName", service_name), entry.get("signingRegion", region), "v4"
        if entry["name"] == "sigv4a":
            regions = entry.get("signingRegionSet", ["*"])
            return entry.get("signingName", service_name), ",".join(regions), "v4a"
    return service_name, region, "v4"


def from_rules(table, loader, service, model):
    metadata = model["metadata"]
    rules = loader.load_service_model(service, "endpoint-rule-set-1")
    provider = EndpointProvider(rules, table.partitions.data)
    known = rules["parameters"]
    base_name = metadata.get("signingName", metadata["endpointPrefix"])
    dynamics = [{}] + DYNAMIC.get(service, [])
    prefixes = {
        o["endpoint"]["hostPrefix"]
        for o in model["operations"].values()
        if "hostPrefix" in o.get("endpoint", {})
    }
    for region, fips, dual, constants, dynamic in itertools.product(
        table.partitions.regions, (False, True), (False, True), static_parameters(model), dynamics
    ):
        partition = table.partitions.regions[region]
        fill = {"region": region, "partition": partition["id"]}
        parameters = {
            k: v.format(**fill) if isinstance(v, str) else v for k, v in dynamic.items()
        }
        parameters |= constants
        parameters |= {"Region": region, "UseFIPS": fips, "UseDualStack": dual}
        parameters = {k: v for k, v in parameters.items() if k in known}
        try:
            endpoint = provider.ruleset.evaluate(parameters)
        except EndpointProviderError:
            continue
        if endpoint is None or "{" in endpoint.url:
            continue
        host = endpoint.url.removeprefix("https://").split("/")[0]
        name, signing_region, algorithm = scheme(
            endpoint.properties, base_name, region, metadata["signatureVersion"]
        )
        if signing_region.endswith("-global"):
            signing_region = partition["outputs"]["implicitGlobalRegion"]
        table.add(host, service, region, name, signing_region, algorithm)
        for prefix in prefixes:
            prefix = re.sub(r"\{\w+\}", CALLERS, prefix)
            # Only one of Amazon S3's hosts has its operations' prefix.
            if service == "s3" and "object-lambda" not in host:
                continue
            if not host.startswith((prefix, ACCOUNT)):
                table.add(prefix + host, service, region, name, signing_region, algorithm)


def from_endpoints(table, by_prefix):
    """endpoints.json: `by_prefix` has the services of an endpoint prefix, with their signing names."""
    data = json.loads((DATA / "endpoints.json").read_text())
    for partition in data["partitions"]:
        for prefix, entry in partition["services"].items():
            services = by_prefix.get(prefix, [])
            defaults = partition["defaults"] | entry.get("defaults", {})
            for name, endpoint in entry["endpoints"].items():
                merged = defaults | endpoint
                scope = merged.get("credentialScope", {})
                region = scope.get("region", name)
                if region not in table.partitions.regions:
                    continue
                hosts = [merged["hostname"], merged.get("sslCommonName")]
                hosts += [v.get("hostname") for v in endpoint.get("variants", [])]
                for host, (service, signing) in itertools.product(hosts, services):
                    if host is None:
                        continue
                    host = host.format(
                        service=prefix, region=name, dnsSuffix=partition["dnsSuffix"]
                    )
                    base = region
                    if region.endswith("-global"):
                        base = table.partitions.regions[region]["outputs"]["implicitGlobalRegion"]
                    table.add(host, service, base, scope.get("service", signing), base)


def by_hand(table):
    """hosts.toml."""
    data = tomllib.loads((HERE / "hosts.toml").read_text())
    table.domains = data["domains"]
    for entry in data["host"]:
        host = entry["name"]
        algorithm = entry.get("algorithm", "v4")
        if "customer" in entry:
            table.customers[host] = entry["customer"]
        for service in entry["services"]:
            key = (service, entry["signing_name"], entry.get("region", "="), algorithm)
            if "{region}" in host:
                table.templates[host][key].add("*")
            else:
                table.exact[host].add((entry.get("partition", "aws"), *key))
        if not entry["services"]:
            table.templates.setdefault(host, {})
