//! The proxy of `idp proxy exec` in a process of its own. Root starts a program as another user; the proxy,
//! which reads whatever that program sends, is better not root, and the identity is that of whoever said
//! `sudo`. So root starts it as that user, and touches none of that user's files itself.

use std::{
    fs,
    io::{self, BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    process::{Child, ChildStdin, Command, Stdio},
};

use tokio::sync::watch;
use zeroize::Zeroizing;

use super::{
    exec::{Told, quiet_log},
    public_dir::PublicDir,
    start::{ProxyArgs, raise_open_files},
};
use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        runtime,
    },
    client::proxied::UnixUser,
    domain::{ExposeSecret as _, SecretString},
    proxy::ProxyKey,
    server::stop_signal,
};

/// The subcommand that runs it.
pub(super) const COMMAND: &str = "apart";

/// Run the signing proxy of `idp proxy exec` until standard input ends
///
/// `idp proxy exec --user` starts it where it runs as root for another user's identity.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  idp proxy apart --rules rules.toml   # started by: sudo -E idp proxy exec --user agent"
)]
pub(super) struct Args {
    #[command(flatten)]
    proxy: ProxyArgs,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    raise_open_files();
    let start = args.proxy.read(context)?;
    let region = start.region.clone();
    let state = super::state(context)?;
    let key = ProxyKey::generate(&*context.random);
    let secret = SecretString::from(key.expose());
    let public = PublicDir::new()?;
    runtime::block_on(async {
        let _log = quiet_log(context)?;
        let stop = until_input_ends().map_err(|error| Failure::new(ExitCode::Other, error))?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let dir = Some(public.path().to_owned());
        let proxy = start
            .prepare(listen, None, dir, (state, key), context)
            .await?;
        let told = Told::of(&proxy, &public, secret, region);
        context.printer.line(told.to_json().expose_secret())?;
        proxy.run(stop).await;
        Ok(())
    })?
}

/// Turns true where whoever started this process is gone, or a signal says so.
fn until_input_ends() -> io::Result<watch::Receiver<bool>> {
    let mut signalled = stop_signal()?;
    let (stop, stopping) = watch::channel(false);
    let ended = stop.clone();
    // A thread that nobody waits for: reading cannot be broken off.
    std::thread::spawn(move || {
        drop(io::copy(&mut io::stdin().lock(), &mut io::sink()));
        ended.send_replace(true);
    });
    tokio::spawn(async move {
        if signalled.wait_for(|stop| *stop).await.is_ok() {
            stop.send_replace(true);
        }
    });
    Ok(stopping)
}

/// Whom root acts for: the owner of the identity, where that is who said `sudo`. `None` where this is not
/// root, or the identity is root's own.
///
/// # Errors
/// The identity is that of a user who has not asked for this.
pub(super) fn owner(context: &Context) -> Outcome<Option<UnixUser>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let path = context.env.identity_path()?;
    // What is missing is told where it is read.
    let uid = match fs::metadata(&path) {
        Ok(metadata) if metadata.uid() != 0 => metadata.uid(),
        _ => return Ok(None),
    };
    let number = |name: &str| -> Outcome<Option<u32>> {
        Ok(context.env.text(name)?.and_then(|text| text.parse().ok()))
    };
    if number("SUDO_UID")? != Some(uid) {
        let error = anyhow::anyhow!(
            "{} belongs to user {uid}, and it is not by that user's sudo that this runs as root",
            path.display()
        );
        return Err(Failure::new(ExitCode::Other, error).help(
            "run `sudo -E idp proxy exec --user …` as the user who enrolled, or set IDP_HOME to an identity \
             of root's",
        ));
    }
    match (UnixUser::find(&uid.to_string()), number("SUDO_GID")?) {
        (Ok(user), _) => Ok(Some(user)),
        (Err(_), Some(gid)) => Ok(Some(UnixUser {
            name: uid.to_string(),
            uid,
            gid,
            home: None,
        })),
        (Err(error), None) => Err(error.into()),
    }
}

/// A proxy that runs in a process of its own.
pub(super) struct Apart {
    child: Child,
    /// It runs until this is closed.
    input: ChildStdin,
    pub(super) told: Told,
}

impl Apart {
    /// Starts it as `owner` and waits until it listens.
    ///
    /// # Errors
    /// It did not start; it has said why itself.
    pub(super) fn start(owner: &UnixUser, proxy: &ProxyArgs, context: &Context) -> Outcome<Self> {
        let failed = |cause: io::Error| {
            let what = format!("the proxy cannot be started as {}", owner.name);
            Failure::new(ExitCode::Other, anyhow::Error::new(cause).context(what))
        };
        let mut command = command(owner, context)?;
        let mut child = command.args(proxy.arguments()).spawn().map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let mut line = Zeroizing::new(String::new());
        BufReader::new(output)
            .read_line(&mut line)
            .map_err(failed)?;
        if let Some(told) = Told::from_json(&line) {
            return Ok(Self { child, input, told });
        }
        drop(input);
        let status = child.wait().map_err(failed)?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Err(Failure::of_program(code.unwrap_or(1)))
    }

    /// Has it finish what it does and end.
    pub(super) fn end(mut self, context: &Context) {
        let early = matches!(self.child.try_wait(), Ok(Some(_)));
        drop(self.input);
        let ended = self.child.wait();
        if early || !ended.is_ok_and(|status| status.success()) {
            context
                .printer
                .warn("the proxy ended before the program, or broke off; its log may lack the last requests");
        }
    }
}

/// This program, as `owner`, in a process group of its own: what a terminal sends (Ctrl-C) is for the
/// program, and the proxy serves it to its end.
fn command(owner: &UnixUser, context: &Context) -> Outcome<Command> {
    let own = if cfg!(target_os = "linux") {
        // It is this very file, and can be run from a directory that the owner cannot enter.
        "/proc/self/exe".into()
    } else {
        std::env::current_exe().map_err(|error| Failure::new(ExitCode::Other, error))?
    };
    let mut command = Command::new(own);
    command.arg0("idp").args(["proxy", COMMAND]);
    if context.printer.quiet {
        command.arg("--quiet");
    }
    // With a user id set, the standard library gives up the supplementary groups as well.
    command.gid(owner.gid).uid(owner.uid).process_group(0);
    command.env("USER", &owner.name).env("LOGNAME", &owner.name);
    if let Some(home) = &owner.home {
        command.env("HOME", home);
    }
    if let Some(dir) = context.env.identity_path()?.parent() {
        command.env("IDP_HOME", dir);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}
