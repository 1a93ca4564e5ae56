//! The catalog against botocore, in the release that its tables were made from.

mod corpus;

use std::{path::Path, process::Command};

use idp::catalog;

use crate::support::catalog_python;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn operations_that_botocore_serialises_are_recognised() {
    let Some(python) = catalog_python() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let corpus = directory.path().join("corpus.jsonl");
    let made = Command::new(python)
        .arg(root().join("tests/python/catalog_corpus.py"))
        .arg(&corpus)
        .status()
        .unwrap();
    assert!(made.success());
    let ties = include_str!("../../src/catalog/data/ties.txt");
    corpus::judge(&corpus, ties);
}

/// The tables are those that their generator writes, and every action in them exists.
#[test]
fn tables_are_what_the_generator_writes() {
    let Some(python) = catalog_python() else {
        return;
    };
    let checked = Command::new(python)
        .arg("-B")
        .arg(root().join("tools/catalog/generate.py"))
        .arg("--check")
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn the_requirements_name_the_release_of_the_tables() {
    let version = catalog::version();
    let requirements = include_str!("../../tools/catalog/requirements.txt");
    for (name, release) in [
        ("botocore", version.botocore),
        ("policy_sentry", version.policy_sentry),
    ] {
        assert!(requirements.contains(&format!("{name}=={release}")));
    }
}
