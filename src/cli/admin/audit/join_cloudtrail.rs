//! `idp admin audit join-cloudtrail`.

use std::{collections::BTreeMap, path::PathBuf};

use http::Method;
use serde_json::{Value, json};

use super::Api;
use crate::{
    cli::{
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    client::{
        cloudtrail::{
            Joined, ReadError, RecordedMint, SessionEvent, Verdict, explain, read_events, window,
        },
        server::ServerError,
    },
    domain::{Issuer, OrganizationId, Timestamp},
};

/// Join AWS CloudTrail's record of role sessions with the tokens that were minted
///
/// Lists the sessions that no token explains, and exits with 7 where there are any. Reads log files as
/// CloudTrail delivers them (gzip or not), directories of them, events one after the other, and the
/// answer of `aws cloudtrail lookup-events`. Sessions of other identity providers are passed over.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp admin audit join-cloudtrail AWSLogs/123456789012/CloudTrail\n  \
                        aws cloudtrail lookup-events --lookup-attributes \
                        AttributeKey=EventName,AttributeValue=AssumeRoleWithWebIdentity | idp admin \
                        audit join-cloudtrail -"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(in crate::cli::admin) struct Args {
    /// Log file, directory, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The issuer's URL [default: what the server at IDP_URL says]
    #[arg(long, value_name = "URL")]
    issuer: Option<Issuer>,
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::new(ExitCode::Usage, error)
    }
}

pub(super) async fn run(args: Args, api: &Api<'_>) -> Outcome {
    let issuer = match args.issuer {
        Some(issuer) => issuer,
        None => ask_issuer(api).await?,
    };
    let (mut own, mut others) = (Vec::new(), 0_usize);
    read_events(&args.file, &mut |event| {
        if event.is_of(issuer.provider()) {
            own.push(event);
        } else {
            others += 1;
        }
    })?;
    let events = own.len();
    let joined = join(own, api).await?;
    let (explained, unexplained): (Vec<_>, Vec<_>) = joined
        .iter()
        .partition(|joined| matches!(joined.verdict, Verdict::Explained(_)));
    // A call that STS refused is no session, whatever token it came with.
    let (explained, refused): (Vec<_>, Vec<_>) = explained
        .into_iter()
        .partition(|joined| joined.event.error_code.is_none());
    if api.context.printer.json {
        let shown = json!({
            "issuer": issuer,
            "events": events,
            "other_providers": others,
            "explained": explained.len(),
            "refused": refused.len(),
            "unexplained": unexplained.iter().copied().map(show).collect::<Vec<_>>(),
            "joined": explained.iter().copied().map(show).collect::<Vec<_>>(),
        });
        api.context.printer.line(&shown.to_string())?;
    } else if !unexplained.is_empty() {
        let rows: Vec<Value> = unexplained.iter().copied().map(show).collect();
        api.table(
            &["at", "event_id", "role_arn", "subject", "source", "reason"],
            &rows,
        )?;
    }
    api.context.printer.note(&format!(
        "{events} calls with tokens of {issuer}: {} sessions explained by a token, {} calls with a known \
         token that STS refused, {} explained by none; {others} of other providers",
        explained.len(),
        refused.len(),
        unexplained.len()
    ));
    if unexplained.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Findings,
        anyhow::anyhow!("{} sessions are explained by no token", unexplained.len()),
    )
    .help("a key of the issuer may be in other hands, or this is another installation's log"))
}

fn show(joined: &Joined) -> Value {
    let event = &joined.event;
    let mut shown = json!({
        "event_id": event.id,
        "at": event.at.to_string(),
        "role_arn": event.role_arn,
        "session_name": event.session_name,
        "subject": event.subject,
        "source_identity": event.source_identity,
        "source": event.source,
        "error_code": event.error_code,
    });
    match &joined.verdict {
        Verdict::Explained(jtis) => shown["jtis"] = json!(jtis),
        Verdict::Unexplained(reason) => shown["reason"] = json!(reason),
    }
    shown
}

async fn ask_issuer(api: &Api<'_>) -> Outcome<Issuer> {
    let document = api
        .admin
        .server
        .get("/.well-known/openid-configuration")
        .await?;
    document["issuer"]
        .as_str()
        .and_then(|issuer| issuer.parse().ok())
        .ok_or_else(|| {
            Failure::usage("the server does not say which issuer it is")
                .help("pass the issuer's URL with --issuer")
        })
}

/// Joins organisation by organisation.
async fn join(events: Vec<SessionEvent>, api: &Api<'_>) -> Outcome<Vec<Joined>> {
    let mut by_organization: BTreeMap<Option<OrganizationId>, Vec<SessionEvent>> = BTreeMap::new();
    for event in events {
        let organization = event.organization().and_then(|id| id.parse().ok());
        by_organization.entry(organization).or_default().push(event);
    }
    let mut joined = Vec::new();
    for (organization, events) in by_organization {
        let Some(organization) = organization else {
            joined.extend(refused(events, "no environment has such a subject"));
            continue;
        };
        match mints(organization, &events, api).await? {
            Some(mints) => joined.extend(explain(events, &mints)),
            None => joined.extend(refused(events, "there is no such organisation")),
        }
    }
    joined.sort_by_key(|joined| joined.event.at);
    Ok(joined)
}

fn refused(events: Vec<SessionEvent>, reason: &str) -> Vec<Joined> {
    events
        .into_iter()
        .map(|event| Joined {
            event,
            verdict: Verdict::Unexplained(reason.to_owned()),
        })
        .collect()
}

/// The organisation's tokens that can explain the events; `None` where the server knows no such
/// organisation.
async fn mints(
    organization: OrganizationId,
    events: &[SessionEvent],
    api: &Api<'_>,
) -> Outcome<Option<Vec<RecordedMint>>> {
    let Some((since, until)) = window(events) else {
        return Ok(Some(Vec::new()));
    };
    let path = format!("/organizations/{organization}");
    match api.admin.call(Method::GET, &path, None).await {
        Err(ServerError::Refused(refusal)) if refusal.status == 404 => return Ok(None),
        result => result.map_err(super::super::explain)?,
    };
    let rows = api
        .list(&format!("{path}/mints?since={since}&until={until}"))
        .await?;
    let time = |row: &Value, name: &str| {
        let time: jiff::Timestamp = row[name].as_str()?.parse().ok()?;
        Some(Timestamp::from_ms(time.as_millisecond()))
    };
    let text = |row: &Value, name: &str| row[name].as_str().map(str::to_owned);
    Ok(Some(
        rows.iter()
            .filter_map(|row| {
                Some(RecordedMint {
                    at: time(row, "at")?,
                    jti: text(row, "jti")?,
                    subject: text(row, "subject")?,
                    audience: text(row, "audience")?,
                    expires_at: time(row, "expires_at")?,
                })
            })
            .collect(),
    ))
}
