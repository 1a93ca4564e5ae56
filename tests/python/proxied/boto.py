"""Uses twelve services with boto3, with whatever the environment says about how to reach them, and
prints what came back. No client is told of credentials, an endpoint or a proxy here."""

import hashlib
import io
import json
import sys
import zipfile

import boto3
from botocore.exceptions import ClientError

KEY = "a b+é/%2F@=:~$?.txt"
ROLE = "arn:aws:iam::000000000000:role/demo"


def s3(name):
    """Put, get, range, copy, multipart, head, list, delete."""
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key=KEY, Body=b"0123456789", Metadata={"colour": "blue"})
    read = client.get_object(Bucket=name, Key=KEY)
    ranged = client.get_object(Bucket=name, Key=KEY, Range="bytes=2-4")
    client.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": KEY})
    large = bytes(range(256)) * 24 * 1024  # 6 MiB: two parts
    upload = client.create_multipart_upload(Bucket=name, Key="large")["UploadId"]
    parts = []
    for number, start in enumerate((0, 5 << 20), start=1):
        part = client.upload_part(
            Bucket=name,
            Key="large",
            UploadId=upload,
            PartNumber=number,
            Body=large[start : start + (5 << 20)],
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(
        Bucket=name, Key="large", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    whole = client.get_object(Bucket=name, Key="large")["Body"].read()
    result = {
        "read": read["Body"].read().decode(),
        "metadata": read["Metadata"],
        "range": ranged["Body"].read().decode(),
        "range_status": ranged["ResponseMetadata"]["HTTPStatusCode"],
        "copy": client.get_object(Bucket=name, Key="copy")["Body"].read().decode(),
        "large": hashlib.sha256(whole).hexdigest() == hashlib.sha256(large).hexdigest(),
        "length": client.head_object(Bucket=name, Key="large")["ContentLength"],
        "listed": sorted(o["Key"] for o in client.list_objects_v2(Bucket=name)["Contents"]),
    }
    for key in (KEY, "copy"):
        client.delete_object(Bucket=name, Key=key)
    client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "large"}]})
    result["left"] = client.list_objects_v2(Bucket=name)["KeyCount"]
    try:
        client.get_object(Bucket=name, Key=KEY)
    except ClientError as error:
        result["gone"] = error.response["Error"]["Code"]
    return result


def dynamodb(name):
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName=name, Item={"id": {"S": "é"}, "n": {"N": "1"}})
    item = client.get_item(TableName=name, Key={"id": {"S": "é"}})["Item"]
    client.delete_table(TableName=name)
    return item["n"]["N"]


def sqs(name):
    client = boto3.client("sqs")
    url = client.create_queue(QueueName=name)["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="a message + é")
    message = client.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"][0]
    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    client.delete_queue(QueueUrl=url)
    return message["Body"]


def sns(name):
    client = boto3.client("sns")
    topic = client.create_topic(Name=name)["TopicArn"]
    published = client.publish(TopicArn=topic, Message="a message & more é")
    client.delete_topic(TopicArn=topic)
    return bool(published["MessageId"])


def lambda_(name):
    client = boto3.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return event\n")
    role = boto3.client("iam").get_role(RoleName=f"{name}-role")["Role"]["Arn"]
    client.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="main.handler",
        Role=role,
        Code={"ZipFile": code.getvalue()},
    )
    handler = client.get_function_configuration(FunctionName=name)["Handler"]
    client.delete_function(FunctionName=name)
    return handler


def sts(_):
    return boto3.client("sts").get_caller_identity()["Arn"].rsplit(":", 1)[0]


def ec2(_):
    client = boto3.client("ec2")
    vpc = client.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    found = client.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"]
    client.delete_vpc(VpcId=vpc)
    return found


def iam(name):
    client = boto3.client("iam")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    client.create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument=json.dumps(trust))
    return client.get_role(RoleName=f"{name}-role")["Role"]["RoleName"] == f"{name}-role"


def cloudwatch(name):
    client = boto3.client("cloudwatch")
    client.put_metric_data(Namespace=name, MetricData=[{"MetricName": "m", "Value": 1.5}])
    return [m["MetricName"] for m in client.list_metrics(Namespace=name)["Metrics"]]


def logs(name):
    client = boto3.client("logs")
    client.create_log_group(logGroupName=f"/{name}/é")
    found = client.describe_log_groups(logGroupNamePrefix=f"/{name}/")["logGroups"]
    client.delete_log_group(logGroupName=f"/{name}/é")
    return [group["logGroupName"] == f"/{name}/é" for group in found]


def secretsmanager(name):
    client = boto3.client("secretsmanager")
    client.create_secret(Name=name, SecretString="not really")
    value = client.get_secret_value(SecretId=name)["SecretString"]
    client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    return value


def kms(_):
    client = boto3.client("kms")
    key = client.create_key()["KeyMetadata"]["KeyId"]
    sealed = client.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
    return client.decrypt(CiphertextBlob=sealed)["Plaintext"].decode()


def stepfunctions(name):
    client = boto3.client("stepfunctions")
    definition = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    machine = client.create_state_machine(
        name=name,
        definition=json.dumps(definition),
        roleArn=f"{ROLE.rsplit('/', 1)[0]}/{name}-role",
    )["stateMachineArn"]
    found = client.describe_state_machine(stateMachineArn=machine)["name"]
    client.delete_state_machine(stateMachineArn=machine)
    return found == name


# IAM before those that need its role.
ALL = (
    s3,
    iam,
    dynamodb,
    sqs,
    sns,
    lambda_,
    sts,
    ec2,
    cloudwatch,
    logs,
    secretsmanager,
    kms,
    stepfunctions,
)

name, *wanted = sys.argv[1:]
results = {}
for use in ALL:
    service = use.__name__.rstrip("_")
    if wanted and service not in wanted:
        continue
    try:
        results[service] = use(name)
    except Exception as error:  # the test shows it beside the others
        results[service] = f"{type(error).__name__}: {error}"
print(json.dumps(results))
