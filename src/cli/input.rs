//! Files and standard input that arguments name.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use zeroize::Zeroizing;

use super::{
    exit::ExitCode,
    failure::{Failure, Outcome},
};

/// No token and no policy comes near this many bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads the file at `path`, or standard input where that is `-`; `what` it is, for the error.
///
/// # Errors
/// One of usage: the command line names a file that is no such thing.
pub fn read(path: &Path, what: &str) -> Outcome<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if path == Path::new("-") {
        io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    }
    .map_err(|error| unreadable(path, what, error))?;
    if bytes.len() as u64 > MAX_BYTES {
        let long = io::Error::other("it has more than 1 MiB");
        return Err(unreadable(path, what, long));
    }
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| unreadable(path, what, io::Error::other("it is not UTF-8 text")))
}

/// What is said of a file, or of standard input, that a command line names and that cannot be read.
#[must_use]
pub fn unreadable(path: &Path, what: &str, error: io::Error) -> Failure {
    let from = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let help = match error.kind() {
        io::ErrorKind::NotFound => Some("name a file that is there, or - for standard input"),
        io::ErrorKind::PermissionDenied => Some("check the owner and the mode of the file (ls -l)"),
        _ => None,
    };
    let failure = Failure::new(
        ExitCode::Usage,
        anyhow::Error::new(error).context(format!("cannot read the {what} from {from}")),
    );
    help.into_iter().fold(failure, Failure::help)
}
