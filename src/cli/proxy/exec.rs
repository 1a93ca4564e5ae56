//! `idp proxy exec`.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use super::{
    apart::{self, Apart},
    public_dir::PublicDir,
    start::ProxyArgs,
};
use crate::{
    cli::{
        context::Context,
        failure::{Failure, Outcome},
        runtime,
    },
    client::proxied::{self, Route, UnixUser},
    config::{LogFormat, LogLevel, LogSettings},
    domain::{ExposeSecret as _, SecretString},
    proxy::ProxyKey,
    server::{Log, Proxy},
};

/// Run a program that reaches AWS through a signing proxy of its own
///
/// The program's environment leads to the proxy and holds a key for it that ends with the program;
/// variables with credentials of AWS, profiles and endpoints are taken away. Its exit code is the
/// program's. With --user the program runs as another user and cannot read the identity, the proxy's
/// keys or its records; without, it can.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp proxy exec --rules rules.toml --role-arn arn:aws:iam::123456789012:role/agent -- aws s3 ls\n  \
                  sudo -E idp proxy exec --rules rules.toml --user agent -- python agent.py"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) struct Args {
    #[command(flatten)]
    proxy: ProxyArgs,
    /// User that the program runs as, by name or as UID:GID; needs root
    #[arg(
        long,
        value_name = "USER",
        env = "IDP_PROXY_USER",
        hide_env_values = true
    )]
    user: Option<String>,
    /// Leave AWS_ENDPOINT_URL unset: everything goes through HTTPS_PROXY, which the SDK for JavaScript
    /// does not know
    #[arg(long)]
    no_endpoint_url: bool,
    /// Program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    let user = args.user.as_deref().map(UnixUser::find).transpose()?;
    let Some(user) = &user else {
        context.printer.warn(
            "the program runs as the same user as the proxy and can read what the proxy reads: this is a \
             convenience, not a boundary; --user makes one",
        );
        return ended(args.here(None, context)?);
    };
    user.check(rustix::process::geteuid().as_raw())?;
    let Some(owner) = apart::owner(context)? else {
        return ended(args.here(Some(user), context)?);
    };
    user.check_against(owner.uid)?;
    ended(args.apart(user, &owner, context)?)
}

impl Args {
    /// Runs the program beside a proxy in this process.
    fn here(self, user: Option<&UnixUser>, context: &Context) -> Outcome<u8> {
        let direct = super::direct(context)?;
        let start = self.proxy.read(context)?;
        let region = start.region.clone();
        let state = super::state(context)?;
        // No program can use the key of another one, or use its own once it has ended.
        let key = ProxyKey::generate(&*context.random);
        let secret = SecretString::from(key.expose());
        let public = PublicDir::new()?;
        runtime::block_on(async {
            let _log = quiet_log(context)?;
            let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let dir = Some(public.path().to_owned());
            let proxy = start
                .prepare(listen, None, dir, (state, key), context)
                .await?;
            let told = Told::of(&proxy, &public, secret, region);
            let variables = told.variables(!self.no_endpoint_url, &direct);
            let (stop, stopping) = watch::channel(false);
            let proxy = tokio::spawn(proxy.run(stopping));
            let ended = run_program(&self.command, &variables, user).await;
            stop.send_replace(true);
            // What the program left open is of no use to anybody, but records are.
            drop(proxy.await);
            ended
        })?
    }

    /// Runs the program as one user, and the proxy as another, whose the identity is.
    fn apart(self, user: &UnixUser, owner: &UnixUser, context: &Context) -> Outcome<u8> {
        let direct = super::direct(context)?;
        let proxy = Apart::start(owner, &self.proxy, context)?;
        let variables = proxy.told.variables(!self.no_endpoint_url, &direct);
        let ended = context.block_on(run_program(&self.command, &variables, Some(user)));
        proxy.end(context);
        ended?
    }
}

async fn run_program(
    command: &[OsString],
    variables: &[(&'static str, SecretString)],
    user: Option<&UnixUser>,
) -> Outcome<u8> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(0);
    };
    Ok(proxied::run(program, arguments, variables, user).await?)
}

fn ended(code: u8) -> Outcome {
    match code {
        0 => Ok(()),
        code => Err(Failure::of_program(code)),
    }
}

/// A log for what the user has to look at. Its lines come between those of the program, which are for
/// people too.
pub(super) fn quiet_log(context: &Context) -> Outcome<Log> {
    let quiet = LogSettings {
        level: LogLevel::Warn,
        format: Some(LogFormat::Text),
    };
    runtime::log(context, quiet, None)
}

/// What leads a program to its proxy.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    address: SocketAddr,
    key: SecretString,
    ca: PathBuf,
    bundle: PathBuf,
    config: PathBuf,
    credentials: PathBuf,
    region: String,
}

impl Told {
    pub(super) fn of(proxy: &Proxy, public: &PublicDir, key: SecretString, region: String) -> Self {
        let (ca, bundle) = proxy.files();
        Self {
            address: proxy.address(),
            key,
            ca: ca.clone(),
            bundle: bundle.clone(),
            config: public.config(),
            credentials: public.credentials(),
            region,
        }
    }

    /// As one line, for a pipe.
    pub(super) fn to_json(&self) -> SecretString {
        let json = json!({
            "address": self.address,
            "key": self.key.expose_secret(),
            "ca": self.ca,
            "bundle": self.bundle,
            "config": self.config,
            "credentials": self.credentials,
            "region": self.region,
        });
        SecretString::from(json.to_string())
    }

    pub(super) fn from_json(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    fn variables(&self, endpoint_url: bool, direct: &str) -> Vec<(&'static str, SecretString)> {
        let route = Route {
            address: self.address,
            key: &self.key,
            bundle: &self.bundle,
            ca: &self.ca,
            region: &self.region,
            endpoint_url,
            direct,
            aws_files: Some((&self.config, &self.credentials)),
        };
        route.variables()
    }
}
