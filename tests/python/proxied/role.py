"""Makes the role of the first argument, which tokens of the issuer of the second one may assume and
which may do everything; prints null."""

import json
import sys

import boto3

arn, issuer = sys.argv[1:]
_, _, _, _, account, resource = arn.split(":")
name = resource.rsplit("/", 1)[-1]
provider = f"arn:aws:iam::{account}:oidc-provider/{issuer}"


def document(statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


iam = boto3.client("iam")
trust = {"Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
everything = {"Action": "*", "Resource": "*"}
iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=document(everything))
print("null")
