"""Makes the identity provider and the stacks of templates at AWS_ENDPOINT_URL.

Arguments: the issuer, then template files. On standard output, by file: the stack's outputs, and the
role that it made. moto makes no provider from a template, so that is made through IAM's API, and
templates are told that it is there.
"""

import ast
import json
import sys
import urllib.parse

import boto3

issuer, *files = sys.argv[1:]
iam = boto3.client("iam")
stacks = boto3.client("cloudformation")
provider = iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"])
arn = provider["OpenIDConnectProviderArn"]


def document(policy):
    if not isinstance(policy, str):
        return policy
    try:
        return json.loads(urllib.parse.unquote(policy))
    except json.JSONDecodeError:
        # moto keeps an inline policy of a template as Python writes it.
        return ast.literal_eval(policy)


def deploy(number, file):
    with open(file, encoding="utf-8") as text:
        body = text.read()
    name = f"stack-{number}"
    parameters = [
        {"ParameterKey": "CreateProvider", "ParameterValue": "false"}
        for known in json.loads(body)["Parameters"]
        if known == "CreateProvider"
    ]
    stacks.create_stack(
        StackName=name,
        TemplateBody=body,
        Parameters=parameters,
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    [stack] = stacks.describe_stacks(StackName=name)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    role = outputs["RoleArn"].rsplit("/", 1)[1]
    described = iam.get_role(RoleName=role)["Role"]
    inline = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return {
        "status": stack["StackStatus"],
        "outputs": outputs,
        "trust": document(described["AssumeRolePolicyDocument"]),
        "max_session_duration": described["MaxSessionDuration"],
        "boundary": described.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "inline": [
            document(iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"])
            for policy in inline
        ],
    }


json.dump(
    {
        "provider": arn,
        "client_ids": iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)["ClientIDList"],
        "stacks": {file: deploy(number, file) for number, file in enumerate(files)},
    },
    sys.stdout,
)
