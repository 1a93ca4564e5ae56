//! `idp aws explain`.

use std::{net::IpAddr, path::PathBuf};

use serde_json::Value;

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        input,
    },
    client::{
        decode::DecodedToken,
        explain::{
            Presented, Question, check_header, check_keys, explain, imagined_claims, issuer_in,
        },
        last_refusal::{LastRefusal, LastRefusalError},
        private_file::PrivateFileError,
        token::TokenSource as _,
        verify::allowance,
    },
    domain::{Audience, ExposeSecret as _, Issuer, RoleArn, SecretString, Timestamp},
    iam::{Cause, Document},
    jose::WebIdentityToken,
    upstream::keys::HttpKeyFetch,
};

/// Say why AWS STS would let a token assume a role, or not
///
/// Compares the role's trust policy with a token: a fresh one of this environment, the one in
/// --token-file, the one that STS refused last (--last), or one that there is not yet (--subject).
/// The signature is verified with --online only. FILE may hold the policy or the output of `aws iam get-role`. Ends with 5 where STS would refuse.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aws iam get-role --role-name ci | idp aws explain --last --trust-policy -\n  \
                  idp aws explain --trust-policy trust.json --token-file token.jwt\n  \
                  idp aws explain --trust-policy trust.json --subject org:ORG_ID/prj:PROJECT_ID/env:ENVIRONMENT_ID"
)]
pub(super) struct Args {
    /// File with the trust policy, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    trust_policy: PathBuf,
    /// File with the token
    #[arg(long, value_name = "FILE", conflicts_with_all = ["last", "subject"])]
    token_file: Option<PathBuf>,
    /// The token of the login that STS refused last
    #[arg(long, conflicts_with = "subject")]
    last: bool,
    /// A token with this subject
    #[arg(long, value_name = "S")]
    subject: Option<String>,
    /// Audience of the token
    #[arg(long, value_name = "A", default_value_t = Audience::sts(), conflicts_with_all = ["token_file", "last"])]
    audience: Audience,
    /// Issuer of the token of --subject [default: this environment's, or the one in the policy]
    #[arg(long, value_name = "URL", requires = "subject")]
    issuer: Option<Issuer>,
    /// Role, where FILE does not name it
    #[arg(long, value_name = "ARN")]
    role_arn: Option<RoleArn>,
    /// Name of the session, where the policy looks at it
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,
    /// Length of the session in seconds
    #[arg(long, value_name = "S")]
    duration_seconds: Option<u32>,
    /// Address that AWS sees the request come from, where the policy looks at it
    #[arg(long, value_name = "ADDRESS")]
    source_ip: Option<IpAddr>,
    /// File with the output of `aws iam get-open-id-connect-provider`, for the registered audiences
    #[arg(long, value_name = "FILE")]
    provider: Option<PathBuf>,
    /// Fetch the issuer's keys, as AWS does, and verify the token's signature with them
    #[arg(long)]
    online: bool,
}

/// What is at hand of the token in question.
struct Token {
    claims: serde_json::Map<String, Value>,
    kid: Option<String>,
    /// All of it, where there is one.
    text: Option<SecretString>,
    refusal: Option<LastRefusal>,
    now: Timestamp,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    let document = policy(&args.trust_policy)?;
    let registered_audiences = args.provider.as_deref().map(audiences).transpose()?;
    let token = token(&args, &document, context)?;
    let mut token_causes = token
        .text
        .as_ref()
        .map_or_else(Vec::new, |text| check_header(text.expose_secret()));
    if args.online {
        token_causes.extend(look_at_keys(&token, context)?);
    }
    let refusal = token.refusal.as_ref();
    let report = explain(Question {
        document: &document,
        claims: &token.claims,
        role: args
            .role_arn
            .or_else(|| refusal.and_then(LastRefusal::role)),
        session_name: args
            .role_session_name
            .or_else(|| refusal.map(|refusal| refusal.session_name.clone())),
        duration_seconds: args
            .duration_seconds
            .or_else(|| refusal.map(|refusal| refusal.duration_seconds)),
        source_ip: args.source_ip,
        registered_audiences,
        refusal,
        token_causes,
        not_checked: not_checked(args.online, &token),
        now: token.now,
    });
    if context.printer.json {
        context
            .printer
            .line(&serde_json::json!(report).to_string())?;
    } else {
        context.printer.text(&report.to_string())?;
    }
    match report.causes.first() {
        None => Ok(()),
        Some(cause) => Err(Failure::new(
            ExitCode::Sts,
            anyhow::anyhow!("STS would refuse this token: {}", cause.problem),
        )),
    }
}

/// What of the token nobody looks at.
fn not_checked(online: bool, token: &Token) -> Vec<String> {
    let what = match (&token.text, &token.refusal) {
        (Some(_), _) if online => return Vec::new(),
        (Some(_), _) => "the signature, and whether its key is published (--online does both)",
        (None, Some(_)) if online => "header and signature, which are not kept of a login",
        (None, Some(_)) => {
            "header and signature, which are not kept of a login, and the issuer's keys (--online)"
        }
        (None, None) => "header and signature, as there is no token",
    };
    vec![what.to_owned()]
}

/// Reads a trust policy in any form.
pub(super) fn policy(file: &std::path::Path) -> Outcome<Document> {
    let text = input::read(file, "trust policy")?;
    Document::parse(&text).map_err(|error| {
        Failure::new(
            ExitCode::Other,
            anyhow::anyhow!("{} is not a trust policy: {error}", file.display()),
        )
    })
}

/// The audiences in a provider's description.
fn audiences(file: &std::path::Path) -> Outcome<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Provider {
        #[serde(rename = "ClientIDList")]
        client_ids: Vec<String>,
    }
    let text = input::read(file, "provider")?;
    serde_json::from_str(&text)
        .map(|provider: Provider| provider.client_ids)
        .map_err(|error| {
            Failure::new(
                ExitCode::Other,
                anyhow::anyhow!("{} describes no OIDC provider: {error}", file.display()),
            )
            .help("write it with `aws iam get-open-id-connect-provider --open-id-connect-provider-arn ARN`")
        })
}

fn token(args: &Args, document: &Document, context: &Context) -> Outcome<Token> {
    let now = context.clock.now();
    if let Some(subject) = &args.subject {
        let issuer = match &args.issuer {
            Some(issuer) => issuer.to_string(),
            None => own_or_named_issuer(document, context)?,
        };
        return Ok(Token {
            claims: imagined_claims(&issuer, subject, args.audience.as_str(), now),
            kid: None,
            text: None,
            refusal: None,
            now,
        });
    }
    if args.last {
        let path = context.env.last_refusal_path()?;
        let refusal = LastRefusal::load(&path).map_err(|error| {
            let missing = matches!(error, LastRefusalError::File(PrivateFileError::Missing(_)));
            let failure = Failure::new(ExitCode::Other, error);
            if missing {
                failure.help(
                    "no login was refused since; name a token with --token-file, or a --subject",
                )
            } else {
                failure.help("remove the file, and log in again")
            }
        })?;
        return Ok(Token {
            claims: refusal.claims.clone(),
            kid: refusal.kid.clone(),
            text: None,
            now: refusal.at,
            refusal: Some(refusal),
        });
    }
    let text = if let Some(file) = &args.token_file {
        SecretString::from(input::read(file, "token")?.to_string())
    } else {
        let tokens = context.tokens(context.identity()?)?;
        context
            .block_on(tokens.token(&args.audience, None, None))??
            .token
    };
    Ok(Token {
        claims: claims(text.expose_secret())?,
        kid: None,
        text: Some(text),
        refusal: None,
        now,
    })
}

/// The claims of a token: as AWS reads them, else, for the sake of the advice, as far as they can be read.
fn claims(token: &str) -> Outcome<serde_json::Map<String, Value>> {
    if let Ok(token) = WebIdentityToken::parse(token) {
        return Ok(token.for_display().clone());
    }
    let decoded = DecodedToken::parse(token).map_err(|error| {
        Failure::new(
            ExitCode::Other,
            anyhow::anyhow!("that is not a token: {error}"),
        )
    })?;
    Ok(decoded.claims().clone())
}

/// The issuer of this environment, else the one that the policy names.
fn own_or_named_issuer(document: &Document, context: &Context) -> Outcome<String> {
    if let Ok(identity) = context.identity() {
        return Ok(identity.issuer.to_string());
    }
    issuer_in(document).ok_or_else(|| {
        Failure::usage("neither this environment nor the policy names an issuer")
            .help("pass --issuer https://HOST")
    })
}

fn look_at_keys(token: &Token, context: &Context) -> Outcome<Vec<Cause>> {
    let issuer: Issuer = token
        .claims
        .get("iss")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .parse()
        .map_err(|error| Failure::new(ExitCode::Other, error))?;
    let own = context.identity().ok().map(|identity| identity.issuer);
    let fetch = HttpKeyFetch::new(
        &context.env.http_settings(),
        allowance(&issuer, own.as_ref()),
    );
    let presented = token.text.as_ref().map_or_else(
        || Presented::Kid(token.kid.as_deref()),
        |text| Presented::Token(text.expose_secret()),
    );
    context.block_on(check_keys(&issuer, presented, &fetch, &*context.clock))
}
