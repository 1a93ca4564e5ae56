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
pub fn read(path: &Path, what: &str) -> Outcome<Zeroizing<String>> {
    let from = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let fail = |error: io::Error| {
        let missing = error.kind() == io::ErrorKind::NotFound;
        let failure = Failure::new(
            ExitCode::Other,
            anyhow::Error::new(error).context(format!("cannot read the {what} from {from}")),
        );
        if missing {
            failure.help("name a file that is there, or - for standard input")
        } else {
            failure
        }
    };
    let mut bytes = Zeroizing::new(Vec::new());
    if path == Path::new("-") {
        io::stdin().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    }
    .map_err(fail)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fail(io::Error::other("it has more than 1 MiB")));
    }
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| fail(io::Error::other("it is not UTF-8 text")))
}
