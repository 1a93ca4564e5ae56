//! Reading `CloudTrail`'s files.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use serde_json::{Deserializer, Value};

use super::SessionEvent;

/// The most that one file may hold, unpacked: `CloudTrail` writes some MiB.
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file or directory.
    #[error("cannot read {}: {reason}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// What is in it.
    #[error("{} is not a CloudTrail log: {reason}; write JSON with Records, or an event a line", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Hands every `AssumeRoleWithWebIdentity` event of a file to `take`: of a log file as `CloudTrail`
/// delivers it, gzip or not, of a directory of such files and what lies below it, or of standard input
/// (`-`). Also taken are events one after the other, and the answer of `aws cloudtrail lookup-events`.
///
/// # Errors
/// See [`ReadError`].
pub fn read_events(path: &Path, take: &mut dyn FnMut(SessionEvent)) -> Result<(), ReadError> {
    let failed = |reason| ReadError::Io {
        path: path.to_owned(),
        reason,
    };
    if path == Path::new("-") {
        return read(path, io::stdin().lock(), take);
    }
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return read(path, File::open(path).map_err(failed)?, take);
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        })
        .map_err(failed)?;
    entries.sort_unstable();
    let is_log = |path: &PathBuf| {
        path.is_dir()
            || path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| {
                    [".json", ".json.gz", ".jsonl"]
                        .iter()
                        .any(|end| name.ends_with(end))
                })
    };
    entries
        .iter()
        .filter(|path| is_log(path))
        .try_for_each(|path| read_events(path, take))
}

fn read(
    path: &Path,
    source: impl Read,
    take: &mut dyn FnMut(SessionEvent),
) -> Result<(), ReadError> {
    let mut source = BufReader::new(source);
    let head = io::BufRead::fill_buf(&mut source).map_err(|reason| ReadError::Io {
        path: path.to_owned(),
        reason,
    })?;
    if head.starts_with(&[0x1f, 0x8b]) {
        values(path, MultiGzDecoder::new(source), take)
    } else {
        values(path, source, take)
    }
}

fn values(
    path: &Path,
    source: impl Read,
    take: &mut dyn FnMut(SessionEvent),
) -> Result<(), ReadError> {
    let wrong = |reason: String| ReadError::Content {
        path: path.to_owned(),
        reason,
    };
    let source = BufReader::new(source.take(MOST_BYTES));
    for value in Deserializer::from_reader(source).into_iter::<Value>() {
        let value = value.map_err(|error| wrong(error.to_string()))?;
        let events = match &value {
            Value::Array(events) => events.as_slice(),
            Value::Object(members) => match members.get("Records").or(members.get("Events")) {
                Some(Value::Array(events)) => events.as_slice(),
                Some(_) => return Err(wrong("its Records are no list".to_owned())),
                None => std::slice::from_ref(&value),
            },
            _ => return Err(wrong("it holds something other than events".to_owned())),
        };
        for event in events {
            // `lookup-events` has the event as text in a member.
            let inner = event
                .get("CloudTrailEvent")
                .and_then(Value::as_str)
                .map(serde_json::from_str::<Value>)
                .transpose()
                .map_err(|error| wrong(format!("CloudTrailEvent: {error}")))?;
            if let Some(event) = SessionEvent::read(inner.as_ref().unwrap_or(event)) {
                take(event);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn event(id: &str) -> Value {
        json!({ "eventID": id, "eventTime": "2025-02-25T20:10:45Z",
            "eventSource": "sts.amazonaws.com", "eventName": "AssumeRoleWithWebIdentity",
            "userIdentity": { "type": "WebIdentityUser", "userName": "org:o/env:e",
                "identityProvider": "arn:aws:iam::123456789012:oidc-provider/idp.example.com" } })
    }

    fn ids(path: &Path) -> Vec<String> {
        let mut found = Vec::new();
        read_events(path, &mut |event| found.push(event.id)).unwrap();
        found
    }

    #[test]
    fn every_form_is_read() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let other = json!({ "eventSource": "s3.amazonaws.com", "eventName": "GetObject" });
        let log = json!({ "Records": [event("a"), other, event("b")] }).to_string();
        fs::write(path("1.json"), &log).unwrap();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(log.replace("\"a\"", "\"c\"").as_bytes())
            .unwrap();
        fs::create_dir(path("day")).unwrap();
        fs::write(path("day/2.json.gz"), gz.finish().unwrap()).unwrap();
        fs::write(path("3.jsonl"), format!("{}\n{}\n", event("d"), event("e"))).unwrap();
        let looked_up = json!({ "Events": [{ "CloudTrailEvent": event("f").to_string() }] });
        fs::write(path("4.json"), looked_up.to_string()).unwrap();
        fs::write(path("digest.txt"), "no log").unwrap();
        assert_eq!(ids(&path("1.json")), ["a", "b"]);
        assert_eq!(ids(place.path()), ["a", "b", "d", "e", "f", "c", "b"]);
    }

    #[test]
    fn what_is_no_log_is_said() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("x");
        for (text, says) in [
            ("{", "EOF"),
            ("7", "something other than events"),
            (r#"{"Records":7}"#, "no list"),
            ("\x1f\u{8b}", "is not a CloudTrail log"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read_events(&path, &mut |_| ()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let absent = place.path().join("absent");
        assert!(matches!(
            read_events(&absent, &mut |_| ()),
            Err(ReadError::Io { .. })
        ));
    }
}
