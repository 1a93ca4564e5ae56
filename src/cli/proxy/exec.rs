//! `idp proxy exec`.

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use tokio::sync::watch;

use super::start::ProxyArgs;
use crate::{
    cli::{
        context::Context,
        failure::{Failure, Outcome},
        runtime,
    },
    client::{
        atomic_file::AccessError,
        proxied::{self, Route, UnixUser},
    },
    config::{LogFormat, LogLevel, LogSettings},
    domain::SecretString,
    proxy::ProxyKey,
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
    let Some((program, arguments)) = args.command.split_first() else {
        return Ok(());
    };
    let user = args.user.as_deref().map(UnixUser::find).transpose()?;
    match &user {
        Some(user) => user.check(rustix::process::geteuid().as_raw())?,
        None => context.printer.warn(
            "the program runs as the same user as the proxy and can read what the proxy reads: this is a \
             convenience, not a boundary; --user makes one",
        ),
    }
    let start = args.proxy.read(context)?;
    let region = start.region.clone();
    let state = super::state(context)?;
    // No program can use the key of another one, or use its own once it has ended.
    let key = ProxyKey::generate(&*context.random);
    let secret = SecretString::from(key.expose());
    let public = public_dir()?;
    let code = runtime::block_on(async {
        let quiet = LogSettings {
            level: LogLevel::Warn,
            // Lines come between those of the program, which are for people too.
            format: Some(LogFormat::Text),
        };
        let _log = runtime::log(context, quiet, None)?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let dir = Some(public.path().to_owned());
        let proxy = start
            .prepare(listen, None, dir, (state, key), context)
            .await?;
        let (ca, bundle) = proxy.files();
        let (config, credentials) = (
            public.path().join("config"),
            public.path().join("credentials"),
        );
        for file in [&config, &credentials] {
            write_public(file)?;
        }
        let variables = Route {
            address: proxy.address(),
            key: &secret,
            bundle,
            ca,
            region: &region,
            endpoint_url: !args.no_endpoint_url,
            aws_files: Some((&config, &credentials)),
        }
        .variables();
        let (stop, stopping) = watch::channel(false);
        let proxy = tokio::spawn(proxy.run(stopping));
        let ended = proxied::run(program, arguments, &variables, user.as_ref()).await;
        stop.send_replace(true);
        // What the program left open is of no use to anybody, but records are.
        drop(proxy.await);
        Outcome::Ok(ended?)
    })??;
    match code {
        0 => Ok(()),
        code => Err(Failure::of_program(code)),
    }
}

/// A directory for what the program has to read, whoever it runs as. It goes when it is dropped.
fn public_dir() -> Outcome<tempfile::TempDir> {
    let parent = std::env::temp_dir();
    let dir = tempfile::Builder::new()
        .prefix("idp-proxy-")
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(&parent)
        .map_err(AccessError::on(&parent, "make a directory in"))?;
    // A umask may have taken something away.
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
        .map_err(AccessError::on(dir.path(), "open"))?;
    Ok(dir)
}

fn write_public(file: &Path) -> Result<(), AccessError> {
    fs::write(file, "")
        .and_then(|()| fs::set_permissions(file, Permissions::from_mode(0o644)))
        .map_err(AccessError::on(file, "write"))
}
