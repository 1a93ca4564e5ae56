//! How a command fails: an error with its causes, what to do about it, and an exit code.

use super::exit::ExitCode;
use crate::{
    client::{
        atomic_file::AccessError,
        aws_files::FileError,
        exec::ExecError,
        identity::IdentityError,
        lock_file::LockError,
        rotate::RotateError,
        server::{Refusal, ServerError},
        verify::VerifyError,
    },
    ports::{FetchError, ObjectError},
    upstream::http::HttpError,
};

/// What a command that failed tells the user.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: ExitCode,
    /// What went wrong, with its causes.
    pub error: anyhow::Error,
    /// What to do about it, a line each.
    pub help: Vec<String>,
    /// Whether nothing is left to say: a program that was run has said what it had to.
    pub told: bool,
}

/// The result of a command.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with that code.
    pub fn new(code: ExitCode, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
            help: Vec::new(),
            told: false,
        }
    }

    /// The exit code of a program that was run, without a message.
    #[must_use]
    pub fn of_program(code: u8) -> Self {
        Self {
            told: true,
            ..Self::new(
                ExitCode::Command(code),
                anyhow::anyhow!("the program ended with {code}"),
            )
        }
    }

    /// A wrong value on the command line or in a variable that stands for one.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, anyhow::Error::msg(message.into()))
    }

    /// The same failure with one more line of help.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.help.push(line.into());
        self
    }
}

const UNREACHABLE: &str = "check the address and the network; a proxy is taken from HTTPS_PROXY and \
     NO_PROXY, extra CA certificates from SSL_CERT_FILE or AWS_CA_BUNDLE";

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        let help = error.help();
        Self::new(ExitCode::Other, error).help(help)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match &error {
            ServerError::Refused(refusal) => {
                let help = help_for(refusal);
                let failure = Self::new(ExitCode::Refused, error);
                help.into_iter().fold(failure, Self::help)
            }
            ServerError::Key(_) => Self::new(ExitCode::Other, error),
            ServerError::Unreachable(HttpError::Roots { .. }) => Self::new(ExitCode::Other, error)
                .help("SSL_CERT_FILE and AWS_CA_BUNDLE name PEM files; correct or unset them"),
            ServerError::Unreachable(_) => {
                Self::new(ExitCode::Unreachable, error).help(UNREACHABLE)
            }
            ServerError::Unavailable { .. } => Self::new(ExitCode::Unreachable, error).help(
                "the address is right and the server answers: come again in a while, and ask who runs it \
                 if it lasts",
            ),
            ServerError::Unexpected { .. } => Self::new(ExitCode::Unreachable, error)
                .help("check that the URL is that of an idp server, and that the server is well"),
        }
    }
}

fn help_for(refusal: &Refusal) -> Option<&'static str> {
    match refusal.error.as_str() {
        "unauthorized_client" if refusal.description.contains("quarantined") => Some(
            "find out who else has this environment's identity file (a restored snapshot, an image with \
             the file in it, a thief); the server's audit log says from where the old key was used",
        ),
        "invalid_client" | "unauthorized_client" => Some(
            "if the environment was stopped or its key replaced, ask an administrator for a join \
             token and run `idp enroll` again",
        ),
        "invalid_target" => {
            Some("ask an administrator to allow the audience, or name another with --audience")
        }
        _ => None,
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Keys(FetchError::Unreachable { .. }) => {
                Self::new(ExitCode::Unreachable, error).help(UNREACHABLE)
            }
            _ => Self::new(ExitCode::Refused, error),
        }
    }
}

impl From<ObjectError> for Failure {
    fn from(error: ObjectError) -> Self {
        let code = match error {
            ObjectError::Unreachable { .. } => ExitCode::Unreachable,
            ObjectError::Refused { .. } => ExitCode::NotWritten,
        };
        Self::new(code, error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::new(ExitCode::NotWritten, error)
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self::new(ExitCode::NotWritten, error)
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Self::new(ExitCode::NotWritten, error)
    }
}

impl From<RotateError> for Failure {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Identity(error) => error.into(),
            RotateError::Write(error) => error.into(),
            RotateError::Lock(error) => error.into(),
            RotateError::Server(error) => error.into(),
        }
    }
}

impl From<ExecError> for Failure {
    fn from(error: ExecError) -> Self {
        let code = ExitCode::Command(error.exit_code());
        Self::new(code, error)
    }
}
