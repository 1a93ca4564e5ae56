//! Which files are a log: the newest, and the older ones beside it.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::file::older;

/// One file of a log.
pub(super) struct Member {
    /// 0 is the newest.
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) file: File,
}

/// The files of the log at `path`, the oldest first.
///
/// They are opened from the newest on: where a proxy puts one away meanwhile, it is met twice, and none is
/// passed over.
pub(super) fn members(path: &Path) -> io::Result<Vec<Member>> {
    let mut numbers: Vec<u32> = names_beside(path)?
        .iter()
        .filter_map(|name| number_of(path.file_name()?, name))
        .collect();
    // One that is put away just now has a number that was not there yet.
    numbers.extend([0, numbers.iter().max().map_or(1, |most| most + 1)]);
    numbers.sort_unstable();
    numbers.dedup();
    let mut members: Vec<Member> = Vec::new();
    let mut known = Vec::new();
    for number in numbers {
        let path = if number == 0 {
            path.to_owned()
        } else {
            older(path, number)
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(about(&path, &error)),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let error = io::Error::other("it is not a regular file");
            return Err(about(&path, &error));
        }
        let identity = (metadata.dev(), metadata.ino());
        if known.contains(&identity) {
            continue;
        }
        known.push(identity);
        members.push(Member { number, path, file });
    }
    members.reverse();
    Ok(members)
}

/// The logs in a proxy's directory: `requests.jsonl`, and `requests-2.jsonl` and so on of proxies that ran
/// beside it. A log whose newest file is gone is among them.
///
/// # Errors
/// The directory cannot be read.
pub fn request_logs_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let names = names_beside(&directory.join("requests.jsonl"))?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| log_of(name)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers
        .into_iter()
        .map(|number| directory.join(log_name(number)))
        .collect())
}

/// The name of the log of the proxy that is the `number`th to run in its directory at the same time.
#[must_use]
pub fn log_name(number: u32) -> String {
    match number {
        1 => "requests.jsonl".to_owned(),
        number => format!("requests-{number}.jsonl"),
    }
}

/// Which log a file belongs to.
fn log_of(name: &[u8]) -> Option<u32> {
    let name = std::str::from_utf8(name).ok()?;
    let (stem, rest) = name.split_once(".jsonl")?;
    let number = match stem.strip_prefix("requests")? {
        "" => 1,
        number => number.strip_prefix('-')?.parse().ok()?,
    };
    let own = log_name(number);
    (name == own || (!rest.is_empty() && number_of(OsStr::new(&own), name.as_bytes()).is_some()))
        .then_some(number)
}

/// `N` where `name` is `LOG.N`.
fn number_of(log: &OsStr, name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(log.as_bytes())?.strip_prefix(b".")?;
    let number: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (number > 0 && number.to_string().as_bytes() == digits).then_some(number)
}

/// The names in the directory that a file is in.
fn names_beside(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::read_dir(directory)
        .map_err(|error| about(directory, &error))?
        .map(|entry| Ok(entry?.file_name().as_bytes().to_vec()))
        .collect()
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_told_from_other_files() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "requests.jsonl",
            "requests.jsonl.2",
            "requests-2.jsonl.1",
            "requests-3.jsonl",
            "requests.jsonl.bak",
            "requests.jsonl.01",
            "requests.jsonl.0",
            "requests-x.jsonl",
            "requests-02.jsonl",
            "requests.json",
            "running.json",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let logs = request_logs_in(directory.path()).unwrap();
        let expected = ["requests.jsonl", "requests-2.jsonl", "requests-3.jsonl"];
        assert_eq!(logs, expected.map(|name| directory.path().join(name)));
        let numbers = |log: &Path| -> Vec<u32> {
            let members = members(log).unwrap();
            members.iter().map(|member| member.number).collect()
        };
        assert_eq!(numbers(&logs[0]), [2, 0]);
        assert_eq!(numbers(&logs[1]), [1]);
        assert_eq!(numbers(&directory.path().join("requests.jsonl.2")), [0]);
    }

    #[test]
    fn a_file_that_is_met_twice_counts_once() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("requests.jsonl");
        fs::write(&log, "").unwrap();
        fs::hard_link(&log, older(&log, 1)).unwrap();
        assert_eq!(members(&log).unwrap().len(), 1);
    }
}
