//! `idp aws credential-process`.

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        role::{Plan, RoleArgs},
    },
    client::{credential_cache::CredentialCache, credentials::process_json},
    domain::ExposeSecret as _,
    ports::StsCredentials,
};

/// Print credentials as the AWS SDKs' `credential_process` setting wants them
///
/// They are kept in IDP_CACHE_DIR (by default below the platform's cache directory) until a quarter
/// of their life or 15 minutes are left.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example, in ~/.aws/config:\n  [profile demo]\n  credential_process = idp aws \
                  credential-process --role-arn arn:aws:iam::123456789012:role/demo"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) struct Args {
    #[command(flatten)]
    role: RoleArgs,
}

/// Variables that decide where credentials come from and that are read by the AWS SDK alone.
const SDK_VARIABLES: [&str; 8] = [
    "AWS_CONFIG_FILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
];

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    let plan = args.role.plan(None, context)?;
    let cache = cache(&plan, context)?;
    if let Some(cached) = cache.read(context.clock.now())
        && cached.fresh
    {
        return print(&cached.credentials, context);
    }
    // Whoever comes first exchanges; the others wait here and then find what it has got.
    let lock = cache.lock()?;
    let cached = cache.read(context.clock.now());
    if let Some(cached) = &cached
        && cached.fresh
    {
        return print(&cached.credentials, context);
    }
    let credentials = match (plan.carry_out(context), cached) {
        (Ok(session), _) => {
            cache.write(&session.credentials, context.clock.now())?;
            session.credentials
        }
        // Credentials that still work are better than none while a server is out of reach. A
        // refusal is an answer, though.
        (Err(failure), Some(cached)) if failure.code == ExitCode::Unreachable => {
            warn(&failure, &cached.credentials, context);
            cached.credentials
        }
        (Err(failure), _) => return Err(failure),
    };
    drop(lock);
    print(&credentials, context)
}

fn cache(plan: &Plan, context: &Context) -> Outcome<CredentialCache> {
    let role = plan.request.role.to_string();
    let id = plan.identity.environment_id.to_string();
    let duration = plan.request.duration_secs.to_string();
    let mut key = vec![
        plan.identity.issuer.as_str(),
        plan.identity.server_url.as_str(),
        id.as_str(),
        plan.audience.as_str(),
        role.as_str(),
        plan.request.session_name.as_str(),
        duration.as_str(),
        plan.request.policy.as_deref().unwrap_or_default(),
        plan.sts.region.as_deref().unwrap_or_default(),
        plan.sts.endpoint_url.as_deref().unwrap_or_default(),
    ];
    for variable in SDK_VARIABLES {
        key.push(context.env.text(variable)?.unwrap_or_default());
    }
    key.extend(plan.request.policy_arns.iter().map(String::as_str));
    Ok(CredentialCache::new(&context.env.cache_dir()?, &key))
}

fn warn(failure: &Failure, credentials: &StsCredentials, context: &Context) {
    context.printer.warn(&format!(
        "{}; the credentials of before are used until {}",
        failure.error, credentials.expires_at
    ));
}

fn print(credentials: &StsCredentials, context: &Context) -> Outcome {
    context
        .printer
        .line(process_json(credentials).expose_secret())
}
