//! `idp proxy check`.

use std::{fmt::Write as _, io::Read as _, path::PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::json;

use super::rules;
use crate::{
    catalog::{self, Endpoint, HostError, Incoming, Unrecognised},
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        input,
    },
    domain::{RequestTarget, RoleArn},
    policy::{Explanation, Finding, Question, Recognition, Rules, Severity},
};

/// Say what is wrong with a rules file, or what it makes of a request
///
/// Without --url, lists what is wrong with the file, and ends with 7 where there is anything. With it,
/// explains the decision rule by rule and sends nothing; ends with 4 where the request would not be
/// sent. Without --body, a request whose body decides is explained as far as its head goes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  idp proxy check --rules rules.toml\n  \
                  idp proxy check --rules rules.toml --url https://reports.s3.eu-west-1.amazonaws.com/2026/a.csv\n  \
                  idp proxy check --rules rules.toml --method POST --url https://dynamodb.eu-west-1.amazonaws.com/ \\\n    \
                  --header 'X-Amz-Target: DynamoDB_20120810.GetItem' --body item.json")]
pub(super) struct Args {
    /// File with the rules, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    rules: PathBuf,
    /// Role that signs what no role of the file is for
    #[arg(long, value_name = "ARN", env = "IDP_AWS_ROLE_ARN")]
    role_arn: Option<RoleArn>,
    /// Address of the request, with the host that AWS's clients use
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Its method
    #[arg(long, value_name = "METHOD", default_value = "GET", requires = "url")]
    method: Method,
    /// A header, as often as there are some
    #[arg(
        long = "header",
        short = 'H',
        value_name = "NAME: VALUE",
        requires = "url"
    )]
    headers: Vec<String>,
    /// File with its body, or - for standard input
    #[arg(long, value_name = "FILE|-", requires = "url")]
    body: Option<PathBuf>,
}

/// What a decision looks at, as the proxy does.
const MOST_BODY: u64 = 1024 * 1024;

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    match &args.url {
        None => file(args, context),
        Some(url) => request(args, url, context),
    }
}

fn file(args: &Args, context: &Context) -> Outcome {
    let name = args.rules.display().to_string();
    let (rules, findings) = match rules::read(&args.rules)? {
        Ok(rules) => {
            let rules = match &args.role_arn {
                Some(role) => rules.with_default_role(role.clone()),
                None => rules,
            };
            let findings = rules.findings().to_vec();
            (Some(rules), findings)
        }
        Err(error) => (None, error.findings),
    };
    if context.printer.json {
        let report = json!({
            "usable": rules.is_some(),
            "findings": findings.iter().map(as_json).collect::<Vec<_>>(),
            "roles": rules.as_ref().map(roles),
        });
        context.printer.line(&report.to_string())?;
    } else {
        let mut text = String::new();
        for finding in &findings {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{name}:{}:{}: {}: {}",
                finding.line,
                finding.column,
                finding.severity.as_str(),
                finding.problem
            );
            if !finding.cure.is_empty() {
                let _ = writeln!(text, "  fix: {}", finding.cure);
            }
        }
        context.printer.text(&text)?;
    }
    let wrong = findings
        .iter()
        .filter(|finding| finding.severity >= Severity::Warning)
        .count();
    match (wrong, rules) {
        (0, Some(rules)) => {
            context.printer.note(&format!(
                "{} rule{}, nothing wrong",
                rules.len(),
                if rules.len() == 1 { "" } else { "s" }
            ));
            Ok(())
        }
        (count, _) => Err(Failure::new(
            ExitCode::Findings,
            anyhow::anyhow!("{count} finding{}", if count == 1 { "" } else { "s" }),
        )),
    }
}

fn as_json(finding: &Finding) -> serde_json::Value {
    json!({
        "severity": finding.severity.as_str(),
        "line": finding.line,
        "column": finding.column,
        "problem": finding.problem,
        "cure": finding.cure,
    })
}

fn roles(rules: &Rules) -> Vec<serde_json::Value> {
    rules
        .roles()
        .map(|role| {
            json!({
                "arn": role.arn().to_string(),
                "session_policy": role.session_policy().map(ToString::to_string),
            })
        })
        .collect()
}

/// A request as its sender would make it.
struct Sent {
    endpoint: Endpoint,
    target: RequestTarget,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

fn request(args: &Args, url: &str, context: &Context) -> Outcome {
    let rules = rules::load(&args.rules, args.role_arn.as_ref())?;
    let sent = sent(args, url, &rules)?;
    let recognised = catalog::recognise(&Incoming {
        endpoint: &sent.endpoint,
        method: &args.method,
        target: &sent.target,
        headers: &sent.headers,
        body: sent.body.as_deref(),
        scope: None,
    });
    let (recognition, unknown) = match &recognised {
        Ok(recognised) => (Recognition::Known(recognised), None),
        Err(Unrecognised::NeedsBody) if sent.body.is_none() => (Recognition::Body, None),
        Err(why) => (Recognition::Unknown, Some(why.to_string())),
    };
    let mut explanation = rules.explain(&Question {
        recognition,
        host: sent.endpoint.host(),
        method: &args.method,
        target: &sent.target,
        region: sent.endpoint.region(),
    });
    // Nobody knows what it does, so the proxy does not ask the rules.
    if let Some(why) = &unknown {
        explanation.decision = "block";
        explanation.rule = None;
        explanation.rule_line = None;
        explanation.reason.clone_from(why);
        explanation.suggestion = None;
    }
    if context.printer.json {
        let mut report = json!(explanation);
        report["unrecognised"] = json!(unknown);
        context.printer.line(&report.to_string())?;
    } else {
        context
            .printer
            .text(&for_people(&explanation, unknown.as_deref()))?;
    }
    match explanation.decision {
        "allow" => Ok(()),
        "needs_body" => Err(Failure::new(
            ExitCode::Refused,
            anyhow::anyhow!("the body decides, and none was given"),
        )
        .help("pass it with --body FILE")),
        _ => {
            let failure = Failure::new(ExitCode::Refused, anyhow::Error::msg(explanation.reason));
            Err(match explanation.suggestion {
                Some(rule) => {
                    failure.help(format!("this rule would allow it:\n{}", rule.trim_end()))
                }
                None => failure,
            })
        }
    }
}

fn sent(args: &Args, url: &str, rules: &Rules) -> Outcome<Sent> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or_else(|| {
            Failure::usage(format!(
                "--url {url} begins with neither https:// nor http://"
            ))
        })?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.strip_suffix(":443").unwrap_or(host);
    let endpoint = match catalog::endpoint(host) {
        Ok(endpoint) => endpoint,
        Err(HostError::Customer(host)) if rules.allows_customer_host(host.host()) => host.allowed(),
        Err(HostError::NotAws { host }) if rules.tunnels(&host) => {
            return Err(Failure::usage(format!(
                "{host} is no host of AWS; connections to it pass through unread, by tunnel_hosts"
            )));
        }
        Err(error) => {
            let help = match &error {
                HostError::Customer(_) => Some("list it in `customer_hosts` of the rules file"),
                HostError::NotAws { .. } => Some(
                    "to let connections to it pass through unread, list it in `tunnel_hosts` of the rules \
                     file",
                ),
                _ => None,
            };
            let failure = Failure::new(ExitCode::Refused, error);
            return Err(help.into_iter().fold(failure, Failure::help));
        }
    };
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    };
    let target = RequestTarget::parse(&path, endpoint.path_style())
        .map_err(|error| Failure::new(ExitCode::Refused, error))?;
    let mut headers = HeaderMap::new();
    for line in &args.headers {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let Some((name, value)) = parsed else {
            return Err(Failure::usage(format!(
                "--header {line:?} is not NAME: VALUE"
            )));
        };
        headers.append(name, value);
    }
    let body = args.body.as_deref().map(body).transpose()?;
    let has_length = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING);
    let may_have_body = matches!(args.method, Method::POST | Method::PUT | Method::PATCH);
    match &body {
        Some(body) if !has_length => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        // There is one, which was not given.
        None if !has_length && may_have_body => {
            headers.insert(
                header::TRANSFER_ENCODING,
                HeaderValue::from_static("chunked"),
            );
        }
        _ => {}
    }
    Ok(Sent {
        endpoint,
        target,
        headers,
        body,
    })
}

fn body(path: &std::path::Path) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path == std::path::Path::new("-") {
        std::io::stdin().take(MOST_BODY + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST_BODY + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| input::unreadable(path, "body", error))?;
    if bytes.len() as u64 > MOST_BODY {
        return Err(Failure::new(
            ExitCode::Refused,
            anyhow::anyhow!("the body has more than 1 MiB, which no decision looks at"),
        ));
    }
    Ok(bytes)
}

fn for_people(explained: &Explanation, unknown: Option<&str>) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    match (explained.service, explained.operation, unknown) {
        (Some(service), Some(operation), _) => {
            let mut notes = Vec::new();
            if explained.inferred {
                notes.push("its actions are inferred");
            }
            if explained.returns_credentials {
                notes.push("its answer holds credentials");
            }
            let notes = if notes.is_empty() {
                String::new()
            } else {
                format!(" ({})", notes.join("; "))
            };
            line("operation", &format!("{service}:{operation}{notes}"));
        }
        (_, _, Some(why)) => line("operation", &format!("unknown: {why}")),
        _ => line("operation", "in the body"),
    }
    for needed in &explained.needs {
        line(
            "needs",
            &format!("{} on {}", needed.action, needed.resources.join(", ")),
        );
    }
    if explained.operation.is_some() && explained.needs.is_empty() {
        line("needs", "actions that are not known");
    }
    if let Some(region) = &explained.region {
        line("region", region);
    }
    line("role", explained.role.as_deref().unwrap_or("none"));
    line("decision", explained.decision);
    line("because", &explained.reason);
    text.push_str("\nrules\n");
    for rule in &explained.rules {
        let _ = writeln!(
            text,
            "  {:<7} {:<5} line {:<4} {}: {}",
            rule.fits, rule.effect, rule.line, rule.name, rule.why
        );
    }
    text
}
