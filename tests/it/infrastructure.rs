//! Generated infrastructure: policies, templates and modules, judged by the tools that their users
//! have: terraform, cfn-lint, checkov, parliament, moto.

mod cloudformation;
mod policies;
mod terraform;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{e2e::ran::Ran, support::clean_command};

const ISSUER: &str = "https://idp.example.com";
const ACCOUNT: &str = "123456789012";
const ORG: &str = "0191e223-1c3c-7607-badf-303c98b52d2f";
const PROJECT: &str = "019527e4-75d5-704d-a5a4-a2b52cf56198";
const ENVIRONMENT: &str = "019527e4-75d5-704d-a5a4-a2b52cf56196";

/// What the five integrations that this project began with let an agent do in AWS.
const ACTIONS: &str = "\
# read one prefix of one bucket
s3:ListBucket arn:aws:s3:::my-bucket
s3:GetObject arn:aws:s3:::my-bucket/read-prefix/*
# and look around
ec2:DescribeInstances
lambda:ListFunctions
secretsmanager:GetSecretValue arn:aws:secretsmanager:us-east-1:123456789012:secret:database-*
";

/// Runs `idp`, without any variable that would make it ask a server.
fn idp(arguments: &[&str]) -> Ran {
    Ran::of(clean_command(env!("CARGO_BIN_EXE_idp")).args(arguments))
}

/// The arguments of every scope, hardening and claim that a trust policy can have.
fn variants() -> Vec<Vec<&'static str>> {
    vec![
        vec![],
        vec!["--project", PROJECT],
        vec!["--project", PROJECT, "--environment", ENVIRONMENT],
        vec!["--environment", ENVIRONMENT],
        vec!["--session-tags"],
        vec!["--source-identity", "--session-tags", "--project", PROJECT],
        vec!["--source-ip", "203.0.113.0/24"],
        vec![
            "--source-ip",
            "203.0.113.0/24",
            "--source-ip",
            "2001:db8::/32",
        ],
        vec![
            "--source-vpce",
            "vpce-0123456789abcdef0",
            "--environment",
            ENVIRONMENT,
        ],
        vec!["--require-role-pin", "--project", PROJECT],
    ]
}

/// The generator's trust policy for a variant.
fn trust_policy(variant: &[&str]) -> Value {
    let mut arguments = vec![
        "aws",
        "trust-policy",
        "--issuer",
        ISSUER,
        "--account",
        ACCOUNT,
        "--org",
        ORG,
    ];
    arguments.extend(variant);
    idp(&arguments).ok().json()
}

/// A directory with [`ACTIONS`] in a file.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("actions.txt", ACTIONS);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.text(name)
    }
}

/// A directory of this repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
