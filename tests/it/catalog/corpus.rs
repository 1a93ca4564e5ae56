//! Every operation of botocore's models, as botocore itself serialises it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use idp::{
    catalog::{Incoming, Protocol, Recognised, Unrecognised, endpoint, recognise},
    domain::RequestTarget,
};
use serde::Deserialize;

/// A request of the corpus.
#[derive(Deserialize)]
struct Line {
    service: String,
    operation: String,
    protocol: String,
    host: String,
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Line {
    fn name(&self) -> String {
        format!("{}:{}", self.service, self.operation)
    }

    /// What the catalog says of it, first without its body and then, where that is asked for, with it.
    fn recognised(&self) -> Result<Recognised, String> {
        let endpoint = endpoint(&self.host).map_err(|error| error.to_string())?;
        let target = RequestTarget::parse(&self.target, endpoint.path_style())
            .map_err(|error| error.to_string())?;
        let method: Method = self.method.parse().unwrap();
        let body = STANDARD.decode(&self.body).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers.insert("content-length", body.len().into());
        let mut incoming = Incoming {
            endpoint: &endpoint,
            method: &method,
            target: &target,
            headers: &headers,
            body: None,
            scope: None,
        };
        let head = recognise(&incoming);
        incoming.body = Some(&body);
        let whole = recognise(&incoming).map_err(|error| error.to_string())?;
        match head {
            Err(Unrecognised::NeedsBody) => {
                assert!(matches!(whole.protocol, Protocol::Query | Protocol::Ec2));
            }
            Err(error) => panic!("{}: {error} without its body", self.name()),
            // Without the body everything is there that the body may ask for.
            Ok(head) => {
                assert!(std::ptr::eq(head.operation, whole.operation));
                for action in whole.actions.iter() {
                    assert!(head.actions.iter().any(|one| one == action), "{action}");
                }
            }
        }
        assert!(whole.complete, "{}", self.name());
        assert!(!whole.resources.is_empty());
        assert_eq!(whole.operation.mapped(), !whole.actions.is_empty());
        Ok(whole)
    }
}

/// What is wrong with the corpus's requests, and which are taken for another operation of the same actions.
struct Outcome {
    operations: usize,
    wrong: Vec<String>,
    ties: BTreeSet<String>,
}

fn outcome(corpus: &Path) -> Outcome {
    let mut wrong = Vec::new();
    let mut ties = BTreeSet::new();
    let mut operations = BTreeSet::new();
    for line in BufReader::new(fs::File::open(corpus).unwrap()).lines() {
        let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
        operations.insert(line.name());
        match line.recognised() {
            Ok(found) => {
                let name = format!("{}:{}", found.service.id(), found.operation.name());
                if name != line.name() {
                    ties.insert(format!("{}\t{name}", line.name()));
                }
                let spoken = match found.protocol {
                    Protocol::RestXml { .. } => "rest-xml",
                    Protocol::Query => "query",
                    Protocol::Ec2 => "ec2",
                    Protocol::Json => "json",
                    Protocol::RestJson => "rest-json",
                    Protocol::Cbor => "smithy-rpc-v2-cbor",
                };
                if spoken != line.protocol {
                    wrong.push(format!("{}: {spoken} for {}", line.name(), line.protocol));
                }
            }
            Err(error) => wrong.push(format!(
                "{}: {} {}{}: {error}",
                line.name(),
                line.method,
                line.host,
                line.target
            )),
        }
    }
    Outcome {
        operations: operations.len(),
        wrong,
        ties,
    }
}

/// Each is recognised as itself, or as the operation that `ties.txt` names, which needs the same actions.
pub(super) fn judge(corpus: &Path, ties: &str) {
    let found = outcome(corpus);
    let listed: BTreeSet<String> = ties
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let mut report = String::new();
    for wrong in &found.wrong {
        let _ = writeln!(report, "{wrong}");
    }
    for tie in found.ties.difference(&listed) {
        let _ = writeln!(report, "not in ties.txt: {tie}");
    }
    for tie in listed.difference(&found.ties) {
        let _ = writeln!(report, "in ties.txt, but not tied: {tie}");
    }
    assert!(report.is_empty(), "{report}");
    assert!(found.operations > 19_000, "{}", found.operations);
}
