//! Exit codes, as the interface fixes them.

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: done.
    Ok,
    /// 1: anything that has no code of its own.
    Other,
    /// 2: the command line or a value in it is wrong; nothing was tried.
    Usage,
    /// 3: a server did not answer.
    Unreachable,
    /// 4: the identity provider refused, or a token did not verify.
    Refused,
    /// 5: AWS STS refused.
    Sts,
    /// 6: a file was not written.
    NotWritten,
    /// 7: the check ran and found something.
    Findings,
    /// The code of a command that was run, or 126 or 127 where it could not be.
    Command(u8),
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Ok => 0,
            ExitCode::Other => 1,
            ExitCode::Usage => 2,
            ExitCode::Unreachable => 3,
            ExitCode::Refused => 4,
            ExitCode::Sts => 5,
            ExitCode::NotWritten => 6,
            ExitCode::Findings => 7,
            ExitCode::Command(code) => code,
        })
    }
}
