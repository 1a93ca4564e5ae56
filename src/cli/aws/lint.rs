//! `idp aws lint`.

use std::path::PathBuf;

use clap::ValueEnum;
use http::Method;
use serde_json::json;

use super::explain::policy;
use crate::{
    cli::{
        admin::{Api, api},
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    domain::OrganizationId,
    iam::{Document, Finding, to_sarif},
};

/// Find what a trust policy admits beyond what was meant
///
/// Ends with 7 where there are findings. --admits asks the server which of its principals the
/// policy lets in; it needs IDP_URL and IDP_ADMIN_TOKEN, and lists them as they are found.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  idp aws lint --trust-policy trust.json\n  \
                  idp aws lint --trust-policy trust.json --format sarif > lint.sarif\n  \
                  aws iam get-role --role-name ci | idp aws lint --trust-policy - --admits")]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) struct Args {
    /// File with the trust policy or the output of `aws iam get-role`, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    trust_policy: PathBuf,
    /// How findings are printed
    #[arg(
        long,
        value_name = "FORM",
        default_value = "human",
        conflicts_with = "admits"
    )]
    format: Format,
    /// List the principals of the server that the policy admits
    #[arg(long)]
    admits: bool,
    /// Of this organisation only
    #[arg(long, value_name = "ID", requires = "admits")]
    org: Option<OrganizationId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line each, for people
    Human,
    /// A JSON array
    Json,
    /// SARIF 2.1.0, for code hosts
    Sarif,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let document = policy(&args.trust_policy)?;
    if args.admits {
        return api(context, async |api| {
            admits(&api, &document, args.org, context).await
        });
    }
    let findings = document.lint();
    let file = args.trust_policy.display().to_string();
    match args.format {
        Format::Sarif => context
            .printer
            .line(&to_sarif(&findings, &file).to_string())?,
        Format::Human if !context.printer.json => human(&findings, &file, context)?,
        Format::Human | Format::Json => context.printer.line(&json!(findings).to_string())?,
    }
    match findings.len() {
        0 => {
            context.printer.note("nothing found");
            Ok(())
        }
        count => Err(Failure::new(
            ExitCode::Findings,
            anyhow::anyhow!("{count} finding{}", if count == 1 { "" } else { "s" }),
        )),
    }
}

fn human(findings: &[Finding], file: &str, context: &Context) -> Outcome {
    for finding in findings {
        context.printer.text(&format!(
            "{file}:{}:{}: {} [{}] {}\n  fix: {}\n",
            finding.line,
            finding.column,
            finding.severity.as_str(),
            finding.code,
            finding.reason,
            finding.fix
        ))?;
    }
    Ok(())
}

/// Lists the admitted principals page by page. One JSON value is written piece by piece, so that a
/// million of them need no memory.
async fn admits(
    api: &Api<'_>,
    document: &Document,
    org: Option<OrganizationId>,
    context: &Context,
) -> Outcome {
    let printer = &context.printer;
    let role = document.role.as_ref().map(|role| role.arn.to_string());
    let body = json!({
        "trust_policy": document.policy, "organization_id": org, "role_arn": role,
    });
    let (mut admitted, mut stopped, mut scanned) = (0_u64, 0_u64, 0_u64);
    let mut cursor: Option<String> = None;
    if printer.json {
        printer.data("[")?;
    }
    loop {
        let path = match &cursor {
            None => "/principals/admitted?limit=1000".to_owned(),
            Some(cursor) => format!("/principals/admitted?limit=1000&cursor={cursor}"),
        };
        let page = api.call(Method::POST, &path, Some(body.clone())).await?;
        let mut out = String::new();
        for item in page["items"].as_array().into_iter().flatten() {
            let first = admitted + stopped == 0;
            let is_stopped = item["state"] == "stopped";
            *if is_stopped {
                &mut stopped
            } else {
                &mut admitted
            } += 1;
            if printer.json {
                out.push_str(if first { "" } else { "," });
                out.push_str(&item.to_string());
            } else {
                let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
                let line = [text("type"), text("state"), text("subject"), text("name")].join("\t");
                out.push_str(&line);
                out.push('\n');
            }
        }
        scanned += page["scanned"].as_u64().unwrap_or_default();
        printer.data(&out)?;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    if printer.json {
        printer.data("]\n")?;
    }
    summary(document, (admitted, stopped, scanned), context);
    Ok(())
}

fn summary(document: &Document, (admitted, stopped, scanned): (u64, u64, u64), context: &Context) {
    let apart = match stopped {
        0 => String::new(),
        count => format!("; {count} more are stopped and get no tokens"),
    };
    context.printer.note(&format!(
        "{admitted} of {scanned} principals are admitted{apart}"
    ));
    if document.policy.has_unknown_conditions() {
        context.printer.warn(
            "the policy has conditions on what only STS knows, such as the caller's address; they \
             count as met here",
        );
    }
}
