//! The catalog's cases, each a request and what it is.

use http::{HeaderMap, HeaderName, Method};

use super::*;
use crate::domain::{PathStyle, RequestTarget};

/// A request in the making.
struct Case {
    endpoint: Endpoint,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    scope: Option<(&'static str, &'static str)>,
}

fn at(endpoint: Endpoint, method: &str, target: &str) -> Case {
    Case {
        endpoint,
        method: method.parse().unwrap(),
        target: target.to_owned(),
        headers: HeaderMap::new(),
        body: None,
        scope: None,
    }
}

/// `METHOD HOST/PATH?QUERY`.
fn request(line: &str) -> Case {
    let (method, address) = line.split_once(' ').unwrap();
    let (host, target) = address.split_at(address.find('/').unwrap());
    at(endpoint(host).unwrap(), method, target)
}

/// At an overridden endpoint, with a dummy signature's scope.
fn scoped(name: &str, region: &str, own: Option<&str>, line: &str) -> Case {
    let (method, target) = line.split_once(' ').unwrap();
    at(scoped_endpoint(name, region, own).unwrap(), method, target)
}

impl Case {
    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        self
    }

    fn body(mut self, body: &str) -> Self {
        self.body = Some(body.as_bytes().to_vec());
        self.headers.insert("content-length", body.len().into());
        self
    }

    /// As its head comes, before the body is read.
    fn unread(mut self) -> Self {
        self.headers.insert("content-length", 100.into());
        self
    }

    fn scope(mut self, name: &'static str, region: &'static str) -> Self {
        self.scope = Some((name, region));
        self
    }

    fn ask(&self) -> Result<Recognised, Unrecognised> {
        let target = RequestTarget::parse(&self.target, self.endpoint.path_style()).unwrap();
        recognise(&Incoming {
            endpoint: &self.endpoint,
            method: &self.method,
            target: &target,
            headers: &self.headers,
            body: self.body.as_deref(),
            scope: self.scope,
        })
    }

    /// `service:Operation`.
    fn name(&self) -> String {
        let found = self
            .ask()
            .unwrap_or_else(|error| panic!("{}: {error}", self.target));
        format!("{}:{}", found.service.id(), found.operation.name())
    }

    fn actions(&self) -> Vec<String> {
        self.ask()
            .unwrap()
            .actions
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn resources(&self) -> Vec<String> {
        self.ask()
            .unwrap()
            .resources
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn error(&self) -> String {
        self.ask().unwrap_err().to_string()
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn hosts_are_looked_up_and_never_guessed() {
    for (host, name) in [
        ("email.us-east-1.amazonaws.com", "ses"),
        ("api.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("monitoring.us-east-1.amazonaws.com", "monitoring"),
        ("stream-logs.us-east-1.amazonaws.com", "logs"),
        ("S3.US-EAST-1.amazonaws.com", "s3"),
        ("sqs.cn-north-1.amazonaws.com.cn", "sqs"),
        ("sqs.us-gov-west-1.amazonaws.com", "sqs"),
        ("sqs.eu-west-9.amazonaws.com", "sqs"),
        ("us-east-2.queue.amazonaws.com", "sqs"),
        ("111122223333.ddb.us-east-1.amazonaws.com", "dynamodb"),
    ] {
        let region = endpoint(host).unwrap().region().unwrap().to_owned();
        assert!(
            endpoint(host).unwrap().allows_scope(name, &region),
            "{host}"
        );
    }
    for host in [
        "s3.amazonaws.com.evil.com",
        "amazonaws.com.evil.com",
        "s3.amazonaws.com.cn.evil",
        "evil.com",
        "localhost",
    ] {
        assert!(
            matches!(endpoint(host), Err(HostError::NotAws { .. })),
            "{host}"
        );
    }
    for host in [
        "sqs.us-east-1.amazonaws.com.cn",
        "sqs.cn-north-1.amazonaws.com",
        "nothing.us-east-1.amazonaws.com",
        "evils3.us-east-1.amazonaws.com",
        "bucket.s3-website-us-east-1.amazonaws.com",
    ] {
        assert!(
            matches!(endpoint(host), Err(HostError::Unknown { .. })),
            "{host}"
        );
    }
    for host in [
        "s3.amazonaws.com.",
        "s3.amazonaws.com:443",
        "user@s3.amazonaws.com",
        ".amazonaws.com",
        "",
        "s3 .amazonaws.com",
        "[::1]",
    ] {
        assert!(
            matches!(endpoint(host), Err(HostError::Malformed { .. })),
            "{host}"
        );
    }
}

#[test]
fn what_customers_run_needs_an_allow_list() {
    for (host, action) in [
        (
            "abc123.execute-api.us-east-1.amazonaws.com",
            "execute-api:Invoke",
        ),
        (
            "abc123.lambda-url.us-east-1.on.aws",
            "lambda:InvokeFunctionUrl",
        ),
        ("search-x-y.us-east-1.es.amazonaws.com", "es:ESHttpGet"),
        ("abc123.us-east-1.aoss.amazonaws.com", "aoss:APIAccessAll"),
    ] {
        let Err(HostError::Customer(found)) = endpoint(host) else {
            panic!("{host}");
        };
        assert_eq!(found.host(), host);
        let case = at(found.allowed(), "GET", "/some/path");
        assert_eq!(case.actions(), [action]);
        assert_eq!(case.ask().unwrap().operation.access(), Access::Read);
    }
    let balancer = endpoint("x-1.us-east-1.elb.amazonaws.com");
    assert!(matches!(balancer, Err(HostError::Customer(_))));
}

#[test]
fn hosts_of_s3_hold_buckets() {
    for (line, resource) in [
        (
            "GET s3.us-east-1.amazonaws.com/some.bucket/a/b",
            "arn:aws:s3:::some.bucket/a/b",
        ),
        ("GET s3.amazonaws.com/b/k", "arn:aws:s3:::b/k"),
        (
            "GET some.bucket.s3.eu-west-1.amazonaws.com/a//b",
            "arn:aws:s3:::some.bucket/a//b",
        ),
        ("GET b.s3.amazonaws.com//k", "arn:aws:s3:::b//k"),
        (
            "GET us-west-2.s3.amazonaws.com/k",
            "arn:aws:s3:::us-west-2/k",
        ),
        (
            "GET b.s3.us-east-1.s3.us-west-2.amazonaws.com/k",
            "arn:aws:s3:::b.s3.us-east-1/k",
        ),
        (
            "GET b.s3.dualstack.us-east-1.amazonaws.com/k",
            "arn:aws:s3:::b/k",
        ),
        (
            "GET b.s3-fips.us-east-1.amazonaws.com/k",
            "arn:aws:s3:::b/k",
        ),
        ("GET b.s3-us-west-2.amazonaws.com/k", "arn:aws:s3:::b/k"),
        ("GET b.s3-accelerate.amazonaws.com/k", "arn:aws:s3:::b/k"),
        (
            "GET b.s3.cn-north-1.amazonaws.com.cn/k",
            "arn:aws-cn:s3:::b/k",
        ),
        (
            "GET ap-111122223333.s3-accesspoint.us-east-1.amazonaws.com/k",
            "arn:aws:s3:us-east-1:111122223333:accesspoint/ap/object/k",
        ),
        (
            "GET alias.mrap.accesspoint.s3-global.amazonaws.com/k",
            "arn:aws:s3::*:accesspoint/alias.mrap/object/k",
        ),
        (
            "GET ap-111122223333.s3-object-lambda.us-east-1.amazonaws.com/k",
            "arn:aws:s3-object-lambda:us-east-1:111122223333:accesspoint/ap/object/k",
        ),
        (
            "GET ap-111122223333.op-01.s3-outposts.us-east-1.amazonaws.com/k",
            "arn:aws:s3-outposts:us-east-1:111122223333:outpost/op-01/accesspoint/ap/object/k",
        ),
        (
            "GET b--usw2-az1--x-s3.s3express-usw2-az1.us-west-2.amazonaws.com/k",
            "arn:aws:s3express:us-west-2:*:bucket/b--usw2-az1--x-s3",
        ),
    ] {
        let case = request(line);
        assert_eq!(case.resources(), [resource], "{line}");
        assert_eq!(case.ask().unwrap().operation.name(), "GetObject");
        assert_eq!(case.endpoint.path_style(), PathStyle::S3);
    }
    let found = request("GET alias.mrap.accesspoint.s3-global.amazonaws.com/k")
        .ask()
        .unwrap();
    assert_eq!(found.signing.algorithm, SigningMethod::V4a);
    assert_eq!(found.signing.region, "*");
    let found = request("PUT b--z--x-s3.s3express-z.us-west-2.amazonaws.com/k")
        .ask()
        .unwrap();
    assert_eq!(found.signing.name, "s3express");
    assert_eq!(found.operation.access(), Access::Write);
    assert_eq!(
        found.actions.iter().next().unwrap().to_string(),
        "s3express:CreateSession"
    );
    assert_eq!(
        request("GET 111122223333.s3-control.us-east-1.amazonaws.com/v20180820/jobs").name(),
        "s3control:ListJobs"
    );
}

#[test]
fn subresources_make_operations_of_s3() {
    for (line, name) in [
        ("GET s3.us-east-1.amazonaws.com/", "ListBuckets"),
        ("GET s3.us-east-1.amazonaws.com/b", "ListObjects"),
        ("GET s3.us-east-1.amazonaws.com/b/", "ListObjects"),
        ("GET b.s3.us-east-1.amazonaws.com/", "ListObjects"),
        (
            "GET b.s3.us-east-1.amazonaws.com/?list-type=2&prefix=a",
            "ListObjectsV2",
        ),
        ("GET b.s3.us-east-1.amazonaws.com/k?acl", "GetObjectAcl"),
        ("GET b.s3.us-east-1.amazonaws.com/k?acl=", "GetObjectAcl"),
        (
            "PUT b.s3.us-east-1.amazonaws.com/?policy",
            "PutBucketPolicy",
        ),
        ("POST b.s3.us-east-1.amazonaws.com/?delete", "DeleteObjects"),
        (
            "PUT b.s3.us-east-1.amazonaws.com/k?partNumber=1&uploadId=u",
            "UploadPart",
        ),
        (
            "PUT b.s3.us-east-1.amazonaws.com/k?x-id=PutObject",
            "PutObject",
        ),
        ("HEAD b.s3.us-east-1.amazonaws.com/k", "HeadObject"),
        // S3 decodes a path as a whole, so an encoded slash ends the bucket's name too.
        ("GET s3.us-east-1.amazonaws.com/a%2Fk", "GetObject"),
        (
            "DELETE b.s3.us-east-1.amazonaws.com/k?uploadId=u",
            "AbortMultipartUpload",
        ),
    ] {
        assert_eq!(request(line).name(), format!("s3:{name}"), "{line}");
    }
    for line in [
        "PUT b.s3.us-east-1.amazonaws.com/?acl&policy",
        "GET b.s3.us-east-1.amazonaws.com/k?acl&acl",
        "GET b.s3.us-east-1.amazonaws.com/k?versionId=1&versionId=2",
    ] {
        assert!(
            matches!(request(line).ask(), Err(Unrecognised::Ambiguous { .. })),
            "{line}"
        );
    }
    for line in [
        "PUT b.s3.us-east-1.amazonaws.com/?newThing",
        "PUT b.s3.us-east-1.amazonaws.com/k?uploadId=u",
        "POST b.s3.us-east-1.amazonaws.com/",
        "GET s3.us-east-1.amazonaws.com/../k",
        "GET s3.us-east-1.amazonaws.com/%2e%2e/k",
        "GET s3.us-east-1.amazonaws.com//k",
        "PATCH b.s3.us-east-1.amazonaws.com/k",
    ] {
        assert!(
            matches!(request(line).ask(), Err(Unrecognised::Unknown { .. })),
            "{line}"
        );
    }
}

#[test]
fn a_copy_reads_its_source() {
    let copy =
        |source| request("PUT to.s3.us-east-1.amazonaws.com/k").header("x-amz-copy-source", source);
    let found = copy("/from/a%20b?versionId=1").ask().unwrap();
    assert_eq!(found.operation.name(), "CopyObject");
    let on = |name: &str| -> Vec<&str> {
        let action = found.actions.iter().find(|one| one.name() == name).unwrap();
        found.resources_of(action).map(Resource::arn).collect()
    };
    assert_eq!(on("PutObject"), ["arn:aws:s3:::to/k"]);
    assert_eq!(on("GetObject"), ["arn:aws:s3:::from/a b"]);
    // A plus may be read in two ways, so nobody says which key that is.
    let unsure = copy("from/a+b").ask().unwrap();
    let source = unsure
        .resources
        .iter()
        .find(|one| one.arn().contains("from"))
        .unwrap();
    assert_eq!(source.unknown(), [source.arn().len() - 1]);
    let part = request("PUT to.s3.us-east-1.amazonaws.com/k?partNumber=1&uploadId=u")
        .header("x-amz-copy-source", "from/k");
    assert_eq!(part.name(), "s3:UploadPartCopy");
    let twice = copy("from/a").header("x-amz-copy-source", "from/b");
    assert!(matches!(twice.ask(), Err(Unrecognised::Ambiguous { .. })));
}

#[test]
fn what_a_request_carries_adds_actions() {
    let put = "PUT b.s3.us-east-1.amazonaws.com/k";
    assert_eq!(request(put).actions(), ["s3:PutObject"]);
    assert_eq!(
        request(put).header("x-amz-acl", "public-read").actions(),
        ["s3:PutObject", "s3:PutObjectAcl"]
    );
    assert_eq!(
        request("DELETE b.s3.us-east-1.amazonaws.com/k?versionId=1").actions(),
        ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    );
    assert_eq!(
        request("HEAD b.s3.us-east-1.amazonaws.com/k").actions(),
        ["s3:GetObject"]
    );
    let run = |form: &str| {
        request("POST ec2.us-east-1.amazonaws.com/")
            .header("content-type", FORM)
            .body(&format!("Action=RunInstances&Version=2016-11-15{form}"))
    };
    assert_eq!(run("").actions(), ["ec2:RunInstances"]);
    assert_eq!(
        run("&IamInstanceProfile.Name=x").actions(),
        ["ec2:RunInstances", "iam:PassRole"]
    );
    let function = "PUT lambda.us-east-1.amazonaws.com/2015-03-31/functions/f/configuration";
    let known = request(function).body("{}");
    assert_eq!(known.actions(), ["lambda:UpdateFunctionConfiguration"]);
    let unread = request(function).unread().ask().unwrap();
    assert!(!unread.complete);
    assert_eq!(unread.actions.len(), 2);
}

#[test]
fn forms_name_one_action() {
    let sts = "POST sts.amazonaws.com/";
    let action = "Action=GetCallerIdentity&Version=2011-06-15";
    let whole = request(sts).header("content-type", FORM).body(action);
    assert_eq!(whole.name(), "sts:GetCallerIdentity");
    assert_eq!(whole.ask().unwrap().protocol, Protocol::Query);
    assert_eq!(
        request(sts).unread().ask().unwrap_err(),
        Unrecognised::NeedsBody
    );
    let in_url = format!("GET sts.amazonaws.com/?{action}");
    assert_eq!(request(&in_url).name(), "sts:GetCallerIdentity");
    // In both places, and twice in one.
    for (line, body) in [
        (format!("{sts}?Action=GetCallerIdentity"), action),
        (format!("{sts}?Action=AssumeRole"), action),
        (sts.to_owned(), "Action=GetCallerIdentity&Action=AssumeRole"),
    ] {
        let case = request(&line).header("content-type", FORM).body(body);
        assert!(
            matches!(case.ask(), Err(Unrecognised::Ambiguous { .. })),
            "{line}"
        );
    }
    let hidden = request("POST sts.amazonaws.com/?Action=GetCallerIdentity").unread();
    assert_eq!(hidden.ask().unwrap_err(), Unrecognised::NeedsBody);
    let packed = request(sts).header("content-encoding", "gzip").body("x");
    assert!(packed.error().contains("compressed"));
    assert!(
        request(sts)
            .body("Action=Nothing")
            .error()
            .contains("Nothing")
    );
}

#[test]
fn targets_name_operations() {
    let target = |target: &str| {
        request("POST dynamodb.us-east-1.amazonaws.com/").header("x-amz-target", target)
    };
    let case = target("DynamoDB_20120810.GetItem").body(r#"{"TableName":"t"}"#);
    assert_eq!(case.name(), "dynamodb:GetItem");
    assert_eq!(case.resources(), ["arn:aws:dynamodb:us-east-1:*:table/t"]);
    assert_eq!(case.ask().unwrap().resources[0].unknown(), [27]);
    let streams = request("POST streams.dynamodb.us-east-1.amazonaws.com/")
        .header("x-amz-target", "DynamoDBStreams_20120810.ListStreams")
        .body("{}");
    assert_eq!(streams.name(), "dynamodbstreams:ListStreams");
    for case in [
        target("DynamoDBStreams_20120810.ListStreams").body("{}"),
        target("DynamoDB_20120810.Nothing").body("{}"),
        target("GetItem").body("{}"),
        request("GET dynamodb.us-east-1.amazonaws.com/")
            .header("x-amz-target", "DynamoDB_20120810.GetItem"),
        request("POST dynamodb.us-east-1.amazonaws.com/x")
            .header("x-amz-target", "DynamoDB_20120810.GetItem"),
    ] {
        assert!(matches!(case.ask(), Err(Unrecognised::Unknown { .. })));
    }
    for case in [
        target("DynamoDB_20120810.GetItem").header("x-amz-target", "DynamoDB_20120810.PutItem"),
        target("DynamoDB_20120810.GetItem").body(r#"{"TableName":"t","TableName":"u"}"#),
        target("DynamoDB_20120810.GetItem")
            .body(r#"{"TableName":["t"]}"#)
            .body("{"),
    ] {
        assert!(matches!(case.ask(), Err(Unrecognised::Ambiguous { .. })));
    }
    let unread = target("DynamoDB_20120810.GetItem").unread().ask().unwrap();
    assert!(!unread.complete);
    assert_eq!(
        unread.resources[0].arn(),
        "arn:aws:dynamodb:us-east-1:*:table/*"
    );
    assert_eq!(unread.resources[0].unknown().len(), 2);
    let batch = target("DynamoDB_20120810.BatchGetItem")
        .body(r#"{"RequestItems":{"t":{"Keys":[]},"arn:aws:dynamodb:us-east-1:111122223333:table/u":{}}}"#);
    assert_eq!(
        batch.resources(),
        [
            "arn:aws:dynamodb:us-east-1:*:table/t",
            "arn:aws:dynamodb:us-east-1:111122223333:table/u"
        ]
    );
    let write = target("DynamoDB_20120810.TransactWriteItems")
        .body(r#"{"TransactItems":[{"Put":{"TableName":"t"}},{"Delete":{"TableName":"u"}}]}"#);
    assert_eq!(write.actions(), ["dynamodb:PutItem", "dynamodb:DeleteItem"]);
    assert_eq!(write.resources().len(), 2);
}

#[test]
fn one_of_several_services_is_meant() {
    let form = |host: &str, body: &str| {
        request(&format!("POST {host}/"))
            .header("content-type", FORM)
            .body(body)
    };
    let rds = form(
        "rds.us-east-1.amazonaws.com",
        "Action=DescribeDBClusters&Version=2014-10-31",
    );
    assert_eq!(rds.name(), "rds:DescribeDBClusters");
    let balancing = "elasticloadbalancing.us-east-1.amazonaws.com";
    for (version, name) in [("2012-06-01", "elb"), ("2015-12-01", "elbv2")] {
        let case = form(
            balancing,
            &format!("Action=DescribeLoadBalancers&Version={version}"),
        );
        assert_eq!(case.name(), format!("{name}:DescribeLoadBalancers"));
    }
    // The signature says which region, and IAM has one.
    let iam = "GET iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08";
    let found = request(iam).ask().unwrap();
    assert_eq!(
        (found.signing.name, found.signing.region.as_ref()),
        ("iam", "us-east-1")
    );
    assert_eq!(
        request(iam).scope("iam", "us-east-1").name(),
        "iam:ListUsers"
    );
    for (name, region) in [("iam", "eu-west-1"), ("s3", "us-east-1")] {
        assert!(
            request(iam)
                .scope(name, region)
                .error()
                .contains("signed for")
        );
    }
}

#[test]
fn paths_hold_names() {
    for (line, name, resource) in [
        (
            "POST lambda.us-east-1.amazonaws.com/2015-03-31/functions/f/invocations",
            "lambda:Invoke",
            "arn:aws:lambda:us-east-1:*:function:f",
        ),
        (
            "POST lambda.us-east-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A111122223333%3Afunction%3Af/invocations",
            "lambda:Invoke",
            "arn:aws:lambda:us-east-1:111122223333:function:f",
        ),
        (
            "POST lambda.us-east-1.amazonaws.com/2015-03-31/functions/111122223333:function:f/invocations",
            "lambda:Invoke",
            "arn:aws:lambda:us-east-1:111122223333:function:f",
        ),
        (
            "GET lambda.us-east-1.amazonaws.com/2015-03-31/functions",
            "lambda:ListFunctions",
            "*",
        ),
        (
            "GET lambda.us-east-1.amazonaws.com/2015-03-31/functions/",
            "lambda:ListFunctions",
            "*",
        ),
    ] {
        assert_eq!(request(line).name(), name, "{line}");
        assert_eq!(request(line).resources(), [resource], "{line}");
    }
    let model = "POST bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v2:1/invoke";
    assert_eq!(request(model).name(), "bedrock-runtime:InvokeModel");
    assert_eq!(request(model).actions(), ["bedrock:InvokeModel"]);
    let stage = request("GET apigateway.us-east-1.amazonaws.com/restapis/a/stages/b");
    assert_eq!(stage.actions(), ["apigateway:GET"]);
}

#[test]
fn a_scope_names_the_service_behind_an_override() {
    let put = scoped("s3", "eu-west-1", None, "PUT /b/k").ask().unwrap();
    assert_eq!(put.host, "s3.eu-west-1.amazonaws.com");
    assert_eq!(put.resources[0].arn(), "arn:aws:s3:::b/k");
    let put = scoped("s3", "eu-west-1", Some("b."), "PUT /k")
        .ask()
        .unwrap();
    assert_eq!(put.host, "b.s3.eu-west-1.amazonaws.com");
    assert_eq!(put.resources[0].arn(), "arn:aws:s3:::b/k");
    let get = scoped("dynamodb", "us-east-1", None, "POST /")
        .header("x-amz-target", "DynamoDBStreams_20120810.ListStreams")
        .body("{}");
    assert_eq!(
        get.ask().unwrap().host,
        "streams.dynamodb.us-east-1.amazonaws.com"
    );
    let list = scoped("iam", "us-east-1", None, "GET /?Action=ListUsers")
        .ask()
        .unwrap();
    assert_eq!(list.host, "iam.amazonaws.com");
    let control = scoped(
        "s3",
        "us-east-1",
        Some("111122223333"),
        "GET /v20180820/jobs",
    )
    .header("x-amz-account-id", "111122223333");
    assert_eq!(control.name(), "s3control:ListJobs");
    assert_eq!(
        control.ask().unwrap().host,
        "111122223333.s3-control.us-east-1.amazonaws.com"
    );
    assert!(matches!(
        scoped_endpoint("nothing", "us-east-1", None),
        Err(HostError::SigningName { .. })
    ));
    assert!(matches!(
        scoped_endpoint("s3", "moon", None),
        Err(HostError::Region { .. })
    ));
    assert!(scoped_endpoint("s3", "us-east-1", Some("a b")).is_err());
}

#[test]
fn credentials_are_marked_and_never_preset() {
    for (line, body) in [
        (
            "POST sts.us-east-1.amazonaws.com/",
            "Action=AssumeRole&Version=2011-06-15",
        ),
        (
            "POST iam.amazonaws.com/",
            "Action=CreateAccessKey&Version=2010-05-08",
        ),
    ] {
        let found = request(line)
            .header("content-type", FORM)
            .body(body)
            .ask()
            .unwrap();
        assert!(found.operation.returns_credentials(), "{body}");
    }
    let names = |prefix| -> Vec<&str> { read_only(prefix).unwrap().map(Action::name).collect() };
    assert!(names("s3").contains(&"GetObject") && names("s3").contains(&"ListBucket"));
    assert!(!names("s3").contains(&"PutObject"));
    assert!(!names("secretsmanager").contains(&"GetSecretValue"));
    assert!(!names("sts").contains(&"GetSessionToken"));
    assert!(!names("ecr").contains(&"GetAuthorizationToken"));
    assert!(read_only("nothing").is_none());
    assert!(!version().botocore.is_empty() && version().date.len() == 10);
}

#[test]
fn every_table_reads() {
    for service in 0..u16::try_from(tables::TABLES.len()).unwrap() {
        let (row, text) = (services::row(service), tables::TABLES[usize::from(service)]);
        let lines = text.lines().filter(|line| line.starts_with("o\t")).count();
        let table = services::table(service);
        assert_eq!(table.entries.len(), lines, "{}", row.service.id());
        for (entry, line) in table
            .entries
            .iter()
            .zip(text.lines().filter(|line| line.starts_with("o\t")))
        {
            let columns: Vec<&str> = line.split('\t').collect();
            let count = |at: usize| {
                columns.get(at).map_or(0, |text| {
                    text.split(' ').filter(|one| !one.is_empty()).count()
                })
            };
            assert_eq!(entry.operation.every_action().count(), count(7), "{line}");
            assert_eq!(entry.resources.len(), count(8), "{line}");
            assert_eq!(entry.needs.len(), count(5), "{line}");
        }
    }
}

#[test]
fn a_name_that_looks_like_an_arn_is_a_name() {
    // A key of Amazon S3 can be any text.
    let arn = "arn:aws:s3:::reports/x";
    for line in [
        "PUT other.s3.us-east-1.amazonaws.com/arn:aws:s3:::reports/x",
        "PUT s3.us-east-1.amazonaws.com/other/arn:aws:s3:::reports/x",
    ] {
        assert_eq!(
            request(line).resources(),
            [format!("arn:aws:s3:::other/{arn}")],
            "{line}"
        );
    }
    let alarm = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:a";
    let put = scoped("monitoring", "us-east-1", None, "POST /")
        .header("content-type", FORM)
        .body(&format!("Action=PutMetricAlarm&AlarmName={alarm}"));
    assert_eq!(
        put.resources(),
        [format!("arn:aws:cloudwatch:us-east-1:*:alarm:{alarm}")]
    );
    // A table may be named by its ARN, and a cluster in another's.
    let table = "arn:aws:dynamodb:us-east-1:111122223333:table/t";
    let get = request("POST dynamodb.us-east-1.amazonaws.com/")
        .header("x-amz-target", "DynamoDB_20120810.GetItem")
        .body(&format!(r#"{{"TableName":"{table}"}}"#));
    assert_eq!(get.resources(), [table]);
}

#[test]
fn a_header_does_not_hide_the_bucket_of_the_host() {
    let name = "x-amz-account-id";
    let put = request("PUT other.s3.us-east-1.amazonaws.com/reports/x").header(name, "other");
    assert_eq!(put.resources(), ["arn:aws:s3:::other/reports/x"]);
    let list = request("GET other.s3.us-east-1.amazonaws.com/").header(name, "other");
    assert_eq!(list.name(), "s3:ListObjects");
    let put = scoped("s3", "us-east-1", Some("other"), "PUT /reports/x").header(name, "other");
    assert_eq!(put.resources(), ["arn:aws:s3:::other/reports/x"]);
    assert_eq!(put.ask().unwrap().host, "other.s3.us-east-1.amazonaws.com");
    // Without the header it is an object whose key looks like a control operation's path.
    let get = scoped("s3", "us-east-1", Some("other"), "GET /v20180820/jobs");
    assert_eq!(get.name(), "s3:GetObject");
}

#[test]
fn a_queue_is_named_in_one_way() {
    let to = |path: &str, named: &str| {
        scoped("sqs", "us-east-1", None, &format!("POST {path}"))
            .header("content-type", FORM)
            .body(&format!("Action=SendMessage&MessageBody=m{named}"))
    };
    let url = "&QueueUrl=https%3A%2F%2Fsqs.us-east-1.amazonaws.com%2F111122223333%2Fallowed";
    let allowed = "arn:aws:sqs:us-east-1:111122223333:allowed";
    assert_eq!(to("/", url).resources(), [allowed]);
    assert_eq!(to("/111122223333/allowed", url).resources(), [allowed]);
    assert_eq!(to("/111122223333/allowed", "").resources(), [allowed]);
    let error = to("/111122223333/other", url).error();
    assert!(error.contains("names another one"), "{error}");
    // What is no queue's URL names no queue.
    for odd in [
        "%3Fx%2F1%2Fallowed",
        "%23%2Fallowed",
        "%2F..%2Fallowed",
        "%5Callowed",
    ] {
        let resources = to("/", &format!("{url}{odd}")).resources();
        assert_eq!(resources, ["arn:aws:sqs:us-east-1:*:*"], "{odd}");
    }
}

#[test]
fn a_compressed_form_is_refused_whatever_its_url_says() {
    let error = request("POST monitoring.us-east-1.amazonaws.com/?Action=ListMetrics")
        .header("content-type", FORM)
        .header("content-encoding", "gzip")
        .body("packed")
        .error();
    assert!(error.contains("compressed"), "{error}");
}

#[test]
fn an_arn_is_of_the_kind_that_belongs_there() {
    let get = |table: &str| {
        request("POST dynamodb.us-east-1.amazonaws.com/")
            .header("x-amz-target", "DynamoDB_20120810.GetItem")
            .body(&format!(r#"{{"TableName":"{table}"}}"#))
    };
    let table = "arn:aws:dynamodb:us-east-1:111122223333:table/t";
    assert_eq!(get(table).resources(), [table]);
    for other in [
        "arn:aws:s3:::reports/x",
        "arn:aws:dynamodb:us-east-1:111122223333:t",
        "arn:aws:sqs:us-east-1:111122223333:table/t",
        "arn:aws-cn:dynamodb:us-east-1:111122223333:table/t",
        "arn:aws:dynamodb:us-east-1:*:table/t",
        "arn:aws:dynamodb:us-east-1:1111 2222:table/t",
        "arn:aws:dynamodb",
    ] {
        let found = get(other).ask().unwrap();
        assert_eq!(found.resources.len(), 1, "{other}");
        assert_eq!(found.resources[0].arn(), "*", "{other}");
        assert_eq!(found.resources[0].unknown(), [0], "{other}");
    }
    // Two kinds that one member names: the ARN says which.
    let policy = |arn: &str| {
        request("POST dynamodb.us-east-1.amazonaws.com/")
            .header("x-amz-target", "DynamoDB_20120810.GetResourcePolicy")
            .body(&format!(r#"{{"ResourceArn":"{arn}"}}"#))
    };
    assert_eq!(policy(table).resources(), [table]);
    let stream = format!("{table}/stream/2026-01-01T00:00:00.000");
    assert_eq!(policy(&stream).resources(), [stream]);
    // An ARN of another service before a name, where a cluster's belongs.
    let described = |cluster: &str| {
        request("POST ecs.us-east-1.amazonaws.com/")
            .header(
                "x-amz-target",
                "AmazonEC2ContainerServiceV20141113.DescribeServices",
            )
            .body(&format!(r#"{{"cluster":"{cluster}","services":["s"]}}"#))
            .resources()
    };
    assert_eq!(described("c"), ["arn:aws:ecs:us-east-1:*:service/c/s"]);
    assert_eq!(
        described("arn:aws:ecs:us-east-1:111122223333:cluster/c"),
        ["arn:aws:ecs:us-east-1:111122223333:service/c/s"]
    );
    assert_eq!(
        described("arn:aws:s3:us-east-1:111122223333:cluster/c"),
        ["arn:aws:ecs:us-east-1:*:service/*/s"]
    );
}
