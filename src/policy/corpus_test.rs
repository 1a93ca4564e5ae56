//! The corpus of requests and rules, and what holds for any rules.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;

use crate::{
    catalog::{self, Incoming, Recognised, Unrecognised},
    domain::RequestTarget,
    policy::{Decision, Question, Recognition, Rules},
};

pub(in crate::policy) const ROLE: &str = "arn:aws:iam::123456789012:role/agent";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    what: String,
    rules: String,
    #[serde(default = "yes")]
    default_role: bool,
    requests: Vec<Request>,
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::policy) struct Request {
    #[serde(rename = "request")]
    line: String,
    #[serde(default)]
    headers: Vec<String>,
    body: Option<String>,
    /// Whether the catalog knows no such operation.
    #[serde(default)]
    unknown: bool,
    #[serde(default)]
    gets: String,
    says: Option<String>,
    role: Option<String>,
}

/// What the catalog says of a request.
pub(in crate::policy) struct Sent {
    host: String,
    method: Method,
    target: RequestTarget,
    region: Option<String>,
    recognised: Result<Recognised, Unrecognised>,
}

impl Request {
    pub(in crate::policy) fn new(line: &str, headers: &[&str], body: Option<&str>) -> Self {
        Self {
            line: line.to_owned(),
            headers: headers.iter().map(|header| (*header).to_owned()).collect(),
            body: body.map(str::to_owned),
            ..Self::default()
        }
    }

    pub(in crate::policy) fn send(&self) -> Sent {
        let (method, url) = self.line.split_once(' ').unwrap();
        let rest = url.strip_prefix("https://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let endpoint = catalog::endpoint(host).unwrap();
        let target = RequestTarget::parse(path, endpoint.path_style()).unwrap();
        let mut headers = HeaderMap::new();
        for header in &self.headers {
            let (name, value) = header.split_once(": ").unwrap();
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        // A body of which nothing was read yet, where the case gives none.
        let length = self.body.as_ref().map_or(100, String::len);
        if self.body.is_some() || method == Method::POST {
            headers.insert("content-length", HeaderValue::from(length));
        }
        let recognised = catalog::recognise(&Incoming {
            endpoint: &endpoint,
            method: &method,
            target: &target,
            headers: &headers,
            body: self.body.as_deref().map(str::as_bytes),
            scope: None,
        });
        Sent {
            host: host.to_owned(),
            region: endpoint.region().map(str::to_owned),
            method,
            target,
            recognised,
        }
    }
}

impl Sent {
    pub(in crate::policy) fn question(&self) -> Question<'_> {
        Question {
            recognition: match &self.recognised {
                Ok(recognised) => Recognition::Known(recognised),
                Err(Unrecognised::NeedsBody) => Recognition::Body,
                Err(_) => Recognition::Unknown,
            },
            host: &self.host,
            method: &self.method,
            target: &self.target,
            region: self.region.as_deref(),
        }
    }
}

pub(in crate::policy) fn parse(text: &str) -> Rules {
    Rules::parse(text, "rules.toml", &|_| Err("there is none".to_owned())).unwrap()
}

#[test]
fn every_request_gets_what_the_corpus_says() {
    let corpus: Corpus = toml::from_str(include_str!("corpus.toml")).unwrap();
    let mut wrong = Vec::new();
    for case in corpus.case {
        let mut rules = parse(&case.rules);
        if case.default_role {
            rules = rules.with_default_role(ROLE.parse().unwrap());
        }
        for request in case.requests {
            let sent = request.send();
            let question = sent.question();
            let is_unknown = matches!(question.recognition, Recognition::Unknown);
            if is_unknown != request.unknown {
                wrong.push(format!(
                    "{}: {}: {:?}",
                    case.what, request.line, sent.recognised
                ));
                continue;
            }
            let decision = rules.decide(&question);
            let (got, reason) = match &decision {
                Decision::Allow(allowed) => (format!("allow {}", allowed.rule()), String::new()),
                Decision::Ask(asked) => {
                    (format!("ask {}", asked.rule()), asked.reason().to_owned())
                }
                Decision::Block(blocked) => {
                    let rule = blocked.rule.as_deref().unwrap_or_default();
                    (
                        format!("block {rule}").trim_end().to_owned(),
                        blocked.reason.clone(),
                    )
                }
                Decision::NeedsBody => ("needs_body".to_owned(), String::new()),
            };
            let role = match &decision {
                Decision::Allow(allowed) => Some(allowed.role().to_string()),
                _ => None,
            };
            let says = request
                .says
                .as_deref()
                .is_none_or(|says| reason.contains(says));
            let signs = request.role.is_none() || request.role == role;
            if got != request.gets || !says || !signs {
                wrong.push(format!(
                    "{}: {} {:?}: {got} {reason} {role:?}",
                    case.what, request.line, request.body
                ));
            }
            let explained = rules.explain(&question);
            let first = got.split(' ').next().unwrap_or_default();
            assert_eq!(explained.decision, first, "{}", case.what);
            assert_eq!(explained.rules.len(), rules.len());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
