"use strict";
// Uses twelve services with the AWS SDK for JavaScript v3, and prints what came back. The SDK ignores
// HTTPS_PROXY: with IDP_TEST_AGENT=1 every client gets an agent for it.

const { createHash } = require("node:crypto");
const { HttpsProxyAgent } = require("https-proxy-agent");
const { NodeHttpHandler } = require("@smithy/node-http-handler");
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const dynamodb = require("@aws-sdk/client-dynamodb");
const sqs = require("@aws-sdk/client-sqs");
const sns = require("@aws-sdk/client-sns");
const lambda = require("@aws-sdk/client-lambda");
const sts = require("@aws-sdk/client-sts");
const ec2 = require("@aws-sdk/client-ec2");
const iam = require("@aws-sdk/client-iam");
const cloudwatch = require("@aws-sdk/client-cloudwatch");
const logs = require("@aws-sdk/client-cloudwatch-logs");
const secrets = require("@aws-sdk/client-secrets-manager");
const kms = require("@aws-sdk/client-kms");
const sfn = require("@aws-sdk/client-sfn");

const options = {};
if (process.env.IDP_TEST_AGENT) {
  const httpsAgent = new HttpsProxyAgent(process.env.HTTPS_PROXY);
  options.requestHandler = new NodeHttpHandler({ httpsAgent });
}
const KEY = "a b+é/%2F@=:~$?.txt";
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

const uses = {
  async s3(name) {
    const client = new s3.S3Client(options);
    const send = (Command, input) => client.send(new s3[`${Command}Command`]({ Bucket: name, ...input }));
    const text = async (input) => (await send("GetObject", input)).Body.transformToString();
    await send("CreateBucket");
    await send("PutObject", { Key: KEY, Body: "0123456789", Metadata: { colour: "blue" } });
    await send("CopyObject", { Key: "copy", CopySource: `${name}/${encodeURIComponent(KEY)}` });
    const large = Buffer.alloc(6 << 20, "0123456789abcdef-");
    await new Upload({ client, params: { Bucket: name, Key: "large", Body: large } }).done();
    const whole = await (await send("GetObject", { Key: "large" })).Body.transformToByteArray();
    const listed = await send("ListObjectsV2");
    const result = {
      read: await text({ Key: KEY }),
      metadata: (await send("HeadObject", { Key: KEY })).Metadata,
      range: await text({ Key: KEY, Range: "bytes=2-4" }),
      copy: await text({ Key: "copy" }),
      large: sha256(whole) === sha256(large),
      listed: listed.Contents.map((object) => object.Key).sort(),
    };
    for (const Key of [KEY, "copy"]) await send("DeleteObject", { Key });
    await send("DeleteObjects", { Delete: { Objects: [{ Key: "large" }] } });
    result.left = (await send("ListObjectsV2")).KeyCount;
    return result;
  },
  async iam(name) {
    const client = new iam.IAMClient(options);
    const principal = { Service: "lambda.amazonaws.com" };
    const statement = { Effect: "Allow", Principal: principal, Action: "sts:AssumeRole" };
    const trust = { Version: "2012-10-17", Statement: [statement] };
    const RoleName = `${name}-role`;
    await client.send(new iam.CreateRoleCommand({ RoleName, AssumeRolePolicyDocument: JSON.stringify(trust) }));
    return (await client.send(new iam.GetRoleCommand({ RoleName }))).Role.RoleName === RoleName;
  },
  async dynamodb(name) {
    const client = new dynamodb.DynamoDBClient(options);
    const TableName = name;
    await client.send(
      new dynamodb.CreateTableCommand({
        TableName,
        KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
        AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
        BillingMode: "PAY_PER_REQUEST",
      }),
    );
    const Key = { id: { S: "é" } };
    await client.send(new dynamodb.PutItemCommand({ TableName, Item: { ...Key, n: { N: "1" } } }));
    const { Item } = await client.send(new dynamodb.GetItemCommand({ TableName, Key }));
    await client.send(new dynamodb.DeleteTableCommand({ TableName }));
    return Item.n.N;
  },
  async sqs(name) {
    // By itself the SDK sends messages to the host in the queue's URL, past an endpoint from the environment.
    const useQueueUrlAsEndpoint = Boolean(process.env.IDP_TEST_AGENT);
    const client = new sqs.SQSClient({ ...options, useQueueUrlAsEndpoint });
    const made = await client.send(new sqs.CreateQueueCommand({ QueueName: name }));
    // A mock does not know that TLS was ended before it. AWS's queues have https URLs, and the SDK sends
    // messages to the URL that it was given.
    const QueueUrl = made.QueueUrl.replace(/^http:(?=[^?]*\.amazonaws\.com)/, "https:");
    await client.send(new sqs.SendMessageCommand({ QueueUrl, MessageBody: "a message + é" }));
    const got = await client.send(new sqs.ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 1 }));
    await client.send(new sqs.DeleteQueueCommand({ QueueUrl }));
    return got.Messages[0].Body;
  },
  async sns(name) {
    const client = new sns.SNSClient(options);
    const { TopicArn } = await client.send(new sns.CreateTopicCommand({ Name: name }));
    const sent = await client.send(new sns.PublishCommand({ TopicArn, Message: "a message & more é" }));
    await client.send(new sns.DeleteTopicCommand({ TopicArn }));
    return Boolean(sent.MessageId);
  },
  async lambda() {
    const client = new lambda.LambdaClient(options);
    return (await client.send(new lambda.ListFunctionsCommand({}))).Functions;
  },
  async sts() {
    const client = new sts.STSClient(options);
    const { Arn } = await client.send(new sts.GetCallerIdentityCommand({}));
    return Arn.slice(0, Arn.lastIndexOf(":"));
  },
  async ec2() {
    const client = new ec2.EC2Client(options);
    const { Vpc } = await client.send(new ec2.CreateVpcCommand({ CidrBlock: "10.1.0.0/16" }));
    const found = await client.send(new ec2.DescribeVpcsCommand({ VpcIds: [Vpc.VpcId] }));
    await client.send(new ec2.DeleteVpcCommand({ VpcId: Vpc.VpcId }));
    return found.Vpcs[0].CidrBlock;
  },
  async cloudwatch(name) {
    const client = new cloudwatch.CloudWatchClient(options);
    const MetricData = [{ MetricName: "m", Value: 1.5 }];
    await client.send(new cloudwatch.PutMetricDataCommand({ Namespace: name, MetricData }));
    const listed = await client.send(new cloudwatch.ListMetricsCommand({ Namespace: name }));
    return listed.Metrics.map((metric) => metric.MetricName);
  },
  async logs(name) {
    const client = new logs.CloudWatchLogsClient(options);
    const logGroupName = `/${name}/é`;
    await client.send(new logs.CreateLogGroupCommand({ logGroupName }));
    const found = await client.send(new logs.DescribeLogGroupsCommand({ logGroupNamePrefix: `/${name}/` }));
    await client.send(new logs.DeleteLogGroupCommand({ logGroupName }));
    return found.logGroups.map((group) => group.logGroupName === logGroupName);
  },
  async secretsmanager(name) {
    const client = new secrets.SecretsManagerClient(options);
    await client.send(new secrets.CreateSecretCommand({ Name: name, SecretString: "not really" }));
    const { SecretString } = await client.send(new secrets.GetSecretValueCommand({ SecretId: name }));
    return SecretString;
  },
  async kms() {
    const client = new kms.KMSClient(options);
    const { KeyMetadata } = await client.send(new kms.CreateKeyCommand({}));
    const Plaintext = Buffer.from("plain");
    const sealed = await client.send(new kms.EncryptCommand({ KeyId: KeyMetadata.KeyId, Plaintext }));
    const { CiphertextBlob } = sealed;
    const opened = await client.send(new kms.DecryptCommand({ CiphertextBlob }));
    return Buffer.from(opened.Plaintext).toString();
  },
  async stepfunctions(name) {
    const client = new sfn.SFNClient(options);
    const definition = JSON.stringify({ StartAt: "P", States: { P: { Type: "Pass", End: true } } });
    const roleArn = `arn:aws:iam::000000000000:role/${name}-role`;
    const made = await client.send(new sfn.CreateStateMachineCommand({ name, definition, roleArn }));
    const { stateMachineArn } = made;
    const found = await client.send(new sfn.DescribeStateMachineCommand({ stateMachineArn }));
    await client.send(new sfn.DeleteStateMachineCommand({ stateMachineArn }));
    return found.name === name;
  },
};

const refusals = {
  s3: () => new s3.S3Client(options).send(new s3.GetObjectCommand({ Bucket: "forbidden", Key: "k" })),
  "s3-head": () => new s3.S3Client(options).send(new s3.HeadObjectCommand({ Bucket: "forbidden", Key: "k" })),
  query: () => new iam.IAMClient(options).send(new iam.ListUsersCommand({})),
  ec2: () => new ec2.EC2Client(options).send(new ec2.DescribeInstancesCommand({})),
  json: () => new dynamodb.DynamoDBClient(options).send(new dynamodb.DeleteTableCommand({ TableName: "forbidden" })),
  "rest-json": () => new lambda.LambdaClient(options).send(new lambda.GetAccountSettingsCommand({})),
  cbor: () => new cloudwatch.CloudWatchClient(options).send(new cloudwatch.ListDashboardsCommand({})),
};

async function main() {
  const [what, name, ...wanted] = process.argv.slice(2);
  const results = {};
  if (what === "use") {
    for (const [service, use] of Object.entries(uses)) {
      if (wanted.length && !wanted.includes(service)) continue;
      results[service] = await use(name).catch((error) => `${error.name}: ${error.message}`);
    }
  } else {
    for (const [protocol, ask] of Object.entries(refusals)) {
      results[protocol] = await ask().then(
        () => "not refused",
        (error) => ({
          code: error.name,
          message: error.message,
          status: error.$metadata?.httpStatusCode,
          attempts: error.$metadata?.attempts,
        }),
      );
    }
  }
  console.log(JSON.stringify(results));
}

main();
