//! Alerts and dashboard: `promtool` reads the rules, and every metric that they name exists.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use serde_json::Value;

use super::{file, printed, text, tool};
use crate::{
    e2e::installation::Installation,
    support::{free_port, python, python_json},
};

const ALERTS: &str = "examples/prometheus/alerts.yaml";

#[test]
fn prometheus_takes_the_rules_and_the_scrape() {
    let Some(mut promtool) = tool("promtool", "--version") else {
        return;
    };
    printed(promtool.args(["check", "rules"]).arg(file(ALERTS)));
    let Some(mut promtool) = tool("promtool", "--version") else {
        return;
    };
    let scrape = file("examples/prometheus/prometheus.yaml");
    printed(promtool.args(["check", "config"]).arg(scrape));
    let Some(mut promtool) = tool("promtool", "--version") else {
        return;
    };
    let told = file("tests/data/alerts-test.yaml");
    printed(promtool.args(["test", "rules"]).arg(told));
}

/// The alerts' names and expressions.
pub(super) fn alerts() -> Option<Vec<(String, String)>> {
    let path = file(ALERTS).display().to_string();
    let rules = python_json(&python()?, "yaml_to_json.py", &[&path], &[]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let alerts = rules["groups"][0]["rules"].as_array().unwrap().iter();
    Some(
        alerts
            .map(|rule| (text(&rule["alert"]), text(&rule["expr"])))
            .collect(),
    )
}

#[test]
fn every_metric_that_is_named_exists() {
    let ops = free_port();
    let mut installation = Installation::new(|port| {
        format!(
            "issuer = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             keys.algorithm = \"ES256\"\nops.listen = \"127.0.0.1:{ops}\"\n"
        )
    });
    installation.start();
    installation.enrolled();
    installation.run("token").ok();
    let metrics = scrape(ops);
    let existing: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let Some(alerts) = alerts() else { return };
    let dashboard: Value = serde_json::from_str(&text("examples/grafana/idp.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let queries = panels
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap().to_owned());
    let mut named = 0;
    for expression in alerts.into_iter().map(|(_, expr)| expr).chain(queries) {
        for name in metric_names(&expression) {
            named += 1;
            // Only a server with TLS of its own has this one.
            let known = existing.contains(name) || name == "idp_tls_reloads_total";
            assert!(known, "{name} in {expression}");
        }
    }
    assert!(named > 30, "{named}");
}

fn metric_names(expression: &str) -> Vec<&str> {
    expression
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("idp_") || word.starts_with("process_"))
        .collect()
}

fn scrape(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
