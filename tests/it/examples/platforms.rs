//! systemd, containers, Kubernetes.

use std::fs;

use serde_json::Value;

use super::{file, printed, text, tool};
use crate::support::{python, python_json};

const IDP: &str = env!("CARGO_BIN_EXE_idp");

const UNIT: &str = "examples/systemd/idp.service";

#[test]
fn systemd_takes_the_unit() {
    let Some(mut systemd) = tool("systemd-analyze", "--version") else {
        return;
    };
    // The program is not installed here.
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("idp.service");
    fs::write(&unit, text(UNIT).replace("/usr/local/bin/idp", IDP)).unwrap();
    let said = printed(systemd.arg("verify").arg(&unit));
    assert_eq!(said.trim(), "");
}

#[test]
fn systemd_finds_the_unit_hardened() {
    let Some(mut systemd) = tool("systemd-analyze", "--version") else {
        return;
    };
    let said = printed(
        systemd
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(file(UNIT)),
    );
    let score: f64 = said
        .lines()
        .find_map(|line| line.split("idp.service: ").nth(1))
        .and_then(|rest| rest.split(' ').next())
        .unwrap()
        .parse()
        .unwrap();
    assert!(score < 2.0, "{said}");
}

#[test]
fn kubernetes_takes_the_manifests() {
    let Some(python) = python() else { return };
    let files = [
        "examples/kubernetes/idp.yaml",
        "examples/kubernetes/postgres.yaml",
    ]
    .map(|path| file(path).display().to_string());
    let found = python_json(
        &python,
        "kubernetes_manifests.py",
        &["1.31", &files[0], &files[1]],
        &[],
    );
    assert_eq!(found["errors"], serde_json::json!([]));
    let documents = found["documents"].as_array().unwrap();
    let of_kind = |kind: &str| {
        let found = documents.iter().find(|document| document["kind"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}"))
    };
    let deployment = &of_kind("Deployment")["spec"];
    assert_eq!(deployment["replicas"], 2);
    assert_eq!(deployment["strategy"]["rollingUpdate"]["maxUnavailable"], 0);
    let settings = of_kind("ConfigMap")["data"]["idp.toml"].as_str().unwrap();
    let pod = &deployment["template"]["spec"];
    let delay = 5 + 20;
    assert!(settings.contains("delay = 5"));
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > delay);
    // The database's address is a secret.
    let address = [("IDP_DATABASE_URL", "postgres://idp@postgres/idp")];
    assert_settings(settings, &address);
}

#[test]
fn compose_starts_what_the_server_needs() {
    let Some(python) = python() else { return };
    let path = file("examples/container/compose.yaml");
    let path = path.display().to_string();
    let compose = python_json(&python, "yaml_to_json.py", &[&path], &[]);
    let idp = &compose["services"]["idp"];
    assert_eq!(
        idp["depends_on"]["postgres"]["condition"],
        "service_healthy"
    );
    assert_eq!(idp["read_only"], true);
    let variables: Vec<(&str, &str)> = idp["environment"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .chain([("IDP_DATABASE_URL", "postgres://idp@postgres/idp")])
        .collect();
    assert_settings("", &variables);
    let context = file("examples/container").join(idp["build"]["context"].as_str().unwrap());
    let containerfile = idp["build"]["dockerfile"].as_str().unwrap();
    let containerfile = fs::read_to_string(context.join(containerfile)).unwrap();
    assert!(containerfile.contains("\nUSER 65532"), "not as root");
    for volume in idp["volumes"].as_array().unwrap().iter().map(Value::as_str) {
        let (name, _) = volume.unwrap().split_once(':').unwrap();
        assert!(compose["volumes"].as_object().unwrap().contains_key(name));
    }
}

/// Settings that a server would start with.
#[track_caller]
fn assert_settings(text: &str, variables: &[(&str, &str)]) {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let path = std::path::Path::new("idp.toml");
    if let Err(errors) = idp::config::Settings::load(Some((path, text)), &lookup) {
        panic!("{errors}");
    }
    let names: Vec<String> = idp::config::SETTINGS
        .iter()
        .map(|setting| idp::config::variable(setting.name))
        .collect();
    for (name, _) in variables {
        assert!(names.iter().any(|known| known == name), "{name}");
    }
}
