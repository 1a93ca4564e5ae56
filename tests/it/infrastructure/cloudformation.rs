//! `CloudFormation` templates.

use serde_json::{Value, json};

use super::{ACCOUNT, ISSUER, ORG, PROJECT, Place, idp, in_repository, trust_policy};
use crate::{
    e2e::ran::Ran,
    support::{
        Moto, clean_command, infrastructure_python, moto_server, python, python_json, python_tool,
    },
};

const BOUNDARY: &str = "arn:aws:iam::123456789012:policy/boundary";

/// Templates of every kind, by name.
fn templates(place: &Place) -> Vec<(String, Value)> {
    let actions = place.text("actions.txt");
    let common = ["aws", "cloudformation"];
    let role = ["--issuer", ISSUER, "--org", ORG];
    let cases: Vec<(&str, Vec<&str>)> = vec![
        ("plain", role.to_vec()),
        (
            "full",
            [
                &role[..],
                &[
                    "--project",
                    PROJECT,
                    "--session-tags",
                    "--source-identity",
                    "--role-name",
                    "ci",
                    "--max-session-duration",
                    "7200",
                    "--permission-boundary",
                    BOUNDARY,
                    "--actions",
                    &actions,
                    "--source-ip",
                    "203.0.113.0/24",
                ],
            ]
            .concat(),
        ),
        (
            "cross-account",
            vec![
                "--trust-account",
                "222233334444",
                "--external-id",
                "your-unique-external-id",
            ],
        ),
        (
            "gateway",
            vec![
                "--trust-account",
                "arn:aws:iam::222233334444:role/TheirCallerRole",
                "--principal-org-id",
                "o-a1b2c3d4e5",
                "--actions",
                &actions,
                "--source-vpce",
                "vpce-0123456789abcdef0",
            ],
        ),
    ];
    cases
        .into_iter()
        .map(|(name, arguments)| {
            let ran = idp(&[&common[..], &arguments].concat()).ok();
            let file = place.write(&format!("{name}.json"), &ran.stdout);
            (file, ran.json())
        })
        .collect()
}

#[test]
fn cfn_lint_and_checkov_find_nothing() {
    let Some(python) = infrastructure_python() else {
        return;
    };
    let place = Place::new();
    let templates = templates(&place);
    let files: Vec<_> = templates.iter().map(|(file, _)| file.as_str()).collect();
    let mut lint = clean_command(python_tool(&python, "cfn-lint"));
    Ran::of(lint.args(["--regions", "us-east-1", "--"]).args(&files)).ok();

    let mut checkov = clean_command(python_tool(&python, "checkov"));
    checkov.args(["--skip-download", "--quiet", "--compact", "--framework"]);
    checkov.args(["cloudformation", "terraform", "--file"]);
    Ran::of(checkov.args(&files)).ok();
    let printed = ["aws", "terraform", "--issuer", ISSUER, "--org", ORG];
    let printed = place.write("printed.tf", &idp(&printed).ok().stdout);
    let mut checkov = clean_command(python_tool(&python, "checkov"));
    checkov.args(["--skip-download", "--quiet", "--compact", "--framework"]);
    Ran::of(checkov.args(["terraform", "--file", &printed])).ok();
    let mut checkov = clean_command(python_tool(&python, "checkov"));
    checkov.args(["--skip-download", "--quiet", "--compact", "--framework"]);
    checkov.args(["terraform", "--directory"]);
    Ran::of(checkov.arg(in_repository("terraform"))).ok();
}

#[test]
fn moto_makes_the_stacks() {
    let Some(Moto { url, .. }) = &moto_server() else {
        return;
    };
    let python = python().unwrap();
    let place = Place::new();
    let templates = templates(&place);
    let mut arguments = vec![ISSUER];
    arguments.extend(templates.iter().map(|(file, _)| file.as_str()));
    let deployed = python_json(
        &python,
        "deploy.py",
        &arguments,
        &[
            ("AWS_ENDPOINT_URL", url),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ],
    );
    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com");
    assert_eq!(deployed["provider"], provider);
    assert_eq!(deployed["client_ids"], json!(["sts.amazonaws.com"]));
    let stack = |name: &str| &deployed["stacks"][place.text(&format!("{name}.json"))];
    for name in ["plain", "full", "cross-account", "gateway"] {
        assert_eq!(stack(name)["status"], "CREATE_COMPLETE", "{name}");
    }
    assert_eq!(stack("plain")["trust"], trust_policy(&[]));
    assert_eq!(stack("plain")["outputs"]["ProviderArn"], provider);
    let full = stack("full");
    let variant = [
        "--project",
        PROJECT,
        "--session-tags",
        "--source-identity",
        "--source-ip",
        "203.0.113.0/24",
    ];
    assert_eq!(full["trust"], trust_policy(&variant));
    assert_eq!(
        full["outputs"]["RoleArn"],
        format!("arn:aws:iam::{ACCOUNT}:role/ci")
    );
    assert_eq!(
        full["max_session_duration"].to_string().trim_matches('"'),
        "7200"
    );
    assert_eq!(full["boundary"], BOUNDARY);
    assert_eq!(full["inline"][0]["Statement"].as_array().unwrap().len(), 4);
    let reader = stack("cross-account");
    // moto takes no notice of these.
    let managed = |name: &str| {
        let (_, template) = templates
            .iter()
            .find(|(file, _)| file.ends_with(&format!("/{name}.json")))
            .unwrap();
        template["Resources"]["Role"]["Properties"]["ManagedPolicyArns"].clone()
    };
    assert_eq!(
        managed("cross-account"),
        json!([{ "Fn::Sub": "arn:${AWS::Partition}:iam::aws:policy/ReadOnlyAccess" }])
    );
    assert_eq!(
        managed("gateway"),
        Value::Null,
        "the actions are all it has"
    );
    assert_eq!(reader["outputs"]["ExternalId"], "your-unique-external-id");
    assert_eq!(
        reader["trust"]["Statement"][0]["Condition"],
        json!({ "StringEquals": { "sts:ExternalId": "your-unique-external-id" } })
    );
    let gateway = stack("gateway");
    let condition = &gateway["trust"]["Statement"][0]["Condition"]["StringEquals"];
    assert_eq!(condition["aws:PrincipalOrgID"], "o-a1b2c3d4e5");
    assert_eq!(condition["aws:SourceVpce"], "vpce-0123456789abcdef0");
    let random = condition["sts:ExternalId"].as_str().unwrap();
    assert!(random.len() > 24 && random.starts_with("idp-"), "{random}");
}

#[test]
fn a_quick_create_link_opens_the_form_filled_in() {
    let template = "https://templates.s3.eu-central-1.amazonaws.com/reader.json";
    let link = idp(&[
        "aws",
        "cloudformation",
        "--trust-account",
        "222233334444",
        "--external-id",
        "abc",
        "--quick-create",
        template,
        "--region",
        "eu-central-1",
    ])
    .ok();
    assert_eq!(
        link.text(),
        "https://eu-central-1.console.aws.amazon.com/cloudformation/home?region=eu-central-1#/stacks/\
         create/review?templateURL=https%3A%2F%2Ftemplates.s3.eu-central-1.amazonaws.com%2Freader.json\
         &stackName=idp-role&param_ExternalId=abc"
    );
    idp(&["aws", "cloudformation"]).exits(2).says(&["--org"]);
    idp(&["aws", "cloudformation", "--trust-account", "*"])
        .exits(2)
        .says(&["wildcards would trust everybody"]);
}
