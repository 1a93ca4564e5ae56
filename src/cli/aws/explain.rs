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
        explain::{Question, check_keys, explain, imagined_claims, issuer_in},
        last_refusal::{LastRefusal, LastRefusalError},
        private_file::PrivateFileError,
        token::TokenSource as _,
        verify::allowance,
    },
    domain::{Audience, ExposeSecret as _, Issuer, RoleArn, Timestamp},
    iam::{Cause, Document},
    upstream::keys::HttpKeyFetch,
};

/// Say why AWS STS would let a token assume a role, or not
///
/// Compares the role's trust policy with a token: a fresh one of this environment, the one in
/// --token-file, the one that STS refused last (--last), or one that there is not yet (--subject).
/// FILE may hold the policy or the output of `aws iam get-role`. Ends with 5 where STS would refuse.
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
    /// Fetch the issuer's documents, as AWS does, and look at the keys in them
    #[arg(long)]
    online: bool,
}

/// The token in question, unsigned.
struct Token {
    claims: serde_json::Map<String, Value>,
    kid: Option<String>,
    algorithm: Option<String>,
    refusal: Option<LastRefusal>,
    now: Timestamp,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    let document = policy(&args.trust_policy)?;
    let registered_audiences = args.provider.as_deref().map(audiences).transpose()?;
    let token = token(&args, &document, context)?;
    let key_causes = if args.online {
        look_at_keys(&token, context)?
    } else {
        Vec::new()
    };
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
        key_causes,
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
            algorithm: None,
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
            algorithm: None,
            now: refusal.at,
            refusal: Some(refusal),
        });
    }
    let text = if let Some(file) = &args.token_file {
        input::read(file, "token")?
    } else {
        let tokens = context.tokens(context.identity()?)?;
        let fresh = context.block_on(tokens.token(&args.audience, None, None))??;
        fresh.token.expose_secret().to_owned().into()
    };
    let decoded = DecodedToken::parse(&text).map_err(|error| {
        Failure::new(
            ExitCode::Other,
            anyhow::anyhow!("that is not a token: {error}"),
        )
    })?;
    Ok(Token {
        claims: decoded.claims().clone(),
        kid: decoded.header("kid").map(str::to_owned),
        algorithm: decoded.header("alg").map(str::to_owned),
        refusal: None,
        now,
    })
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
    context.block_on(check_keys(
        &issuer,
        token.kid.as_deref(),
        token.algorithm.as_deref(),
        &fetch,
        &*context.clock,
    ))
}
