//! Running a program beside the proxy: its signals are forwarded, its exit code is handed on.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Command, ExitStatus},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::{UnixUser, is_removed};
use crate::{
    client::exec::ExecError,
    domain::{ExposeSecret as _, SecretString},
};

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] ExecError),
    /// Signals cannot be watched, or the program not waited for.
    #[error("the program cannot be watched: {0}")]
    Watch(#[from] io::Error),
}

/// Runs a program with these variables on top of the process's own, less what [`is_removed`] says, and
/// returns its exit code: 128 and the signal's number where a signal ended it, as shells have it.
///
/// Signals that this process gets go to the program. Those that a terminal sends (Ctrl-C) it gets by
/// itself.
///
/// # Errors
/// [`ChildError`].
pub async fn run(
    program: &OsStr,
    arguments: &[OsString],
    variables: &[(&'static str, SecretString)],
    user: Option<&UnixUser>,
) -> Result<u8, ChildError> {
    // Before the program starts: a signal in between would end this process and leave the program.
    let mut forwarded = Forwarded::new()?;
    let mut child = command(program, arguments, variables, user)
        .spawn()
        .map_err(|cause| ExecError {
            program: program.to_owned(),
            cause,
        })?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    loop {
        tokio::select! {
            ended = &mut ended => {
                let status = ended.map_err(io::Error::other)??;
                return Ok(code(status));
            }
            signal = forwarded.next() => {
                if let Some(pid) = pid {
                    // It may just have ended.
                    let _ = kill_process(pid, signal);
                }
            }
        }
    }
}

fn command(
    program: &OsStr,
    arguments: &[OsString],
    variables: &[(&'static str, SecretString)],
    user: Option<&UnixUser>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_removed) {
            command.env_remove(name);
        }
    }
    for (name, value) in variables {
        command.env(name, value.expose_secret());
    }
    if let Some(user) = user {
        // With a user id set, the standard library gives up the supplementary groups as well.
        command.gid(user.gid).uid(user.uid);
        command.env("USER", &user.name).env("LOGNAME", &user.name);
        command.env("HOME", user.home.as_deref().unwrap_or("/".as_ref()));
        // They would name files of this process's user.
        for name in [
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
            "XDG_DATA_HOME",
            "XDG_RUNTIME_DIR",
        ] {
            command.env_remove(name);
        }
    }
    command
}

fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    status
        .code()
        .or(signal)
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1)
}

/// The signals that are handed on.
struct Forwarded {
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
    first: tokio::signal::unix::Signal,
    second: tokio::signal::unix::Signal,
    /// Whether a terminal sends Ctrl-C and Ctrl-\ to both processes.
    terminal: bool,
}

impl Forwarded {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            first: signal(SignalKind::user_defined1())?,
            second: signal(SignalKind::user_defined2())?,
            terminal: File::open("/dev/tty").is_ok(),
        })
    }

    async fn next(&mut self) -> Signal {
        loop {
            return tokio::select! {
                _ = self.terminate.recv() => Signal::TERM,
                _ = self.hangup.recv() => Signal::HUP,
                _ = self.first.recv() => Signal::USR1,
                _ = self.second.recv() => Signal::USR2,
                _ = self.interrupt.recv() => if self.terminal { continue } else { Signal::INT },
                _ = self.quit.recv() => if self.terminal { continue } else { Signal::QUIT },
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sh(script: &str) -> Result<u8, ChildError> {
        let variables = [("IDP_TEST_VALUE", SecretString::from("x"))];
        let arguments = ["-c".into(), script.into()];
        run("sh".as_ref(), &arguments, &variables, None).await
    }

    #[tokio::test]
    async fn the_exit_code_is_the_programs() {
        assert_eq!(sh("exit 7").await.unwrap(), 7);
        assert_eq!(sh("test \"$IDP_TEST_VALUE\" = x").await.unwrap(), 0);
        assert_eq!(sh("kill -TERM $$").await.unwrap(), 128 + 15);
        let missing = run("/nonexistent".as_ref(), &[], &[], None).await;
        let Err(ChildError::Start(error)) = missing else {
            panic!("{missing:?}");
        };
        assert_eq!(error.exit_code(), 127);
    }
}
