use std::{fs, path::Path};

use proptest::prelude::*;

use super::{
    LogFindingKind, RequestLogSettings, VerifiedLog, chain::Link, file::LogFile, tests::record,
    verify_request_log,
};

/// A log of `records` in a directory, in files of so many bytes, of which so many older ones are kept.
fn written(directory: &Path, records: u64, rotate_at: u64, keep: u32) -> std::path::PathBuf {
    let path = directory.join("requests.jsonl");
    let mut settings = RequestLogSettings::new(path.clone());
    (settings.rotate_at, settings.keep) = (rotate_at, keep);
    // Two runs: the second goes on with the chain of the first.
    let first_run = records / 2;
    for run in [0..first_run, first_run..records] {
        let (mut file, mut end) = LogFile::open(settings.clone()).unwrap();
        for number in run {
            let mut line = Vec::new();
            end = end
                .append(&mut line, &record(&format!("/{number}")))
                .unwrap();
            file.write(&line, false).unwrap();
        }
    }
    path
}

/// What is found in a log of ten records in one file, once its lines were given to `change`.
fn found(change: impl FnOnce(&mut Vec<String>)) -> Vec<(u64, Option<u64>, LogFindingKind)> {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), 10, u64::MAX, 10);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let log = verify_request_log(&path, false).unwrap();
    assert_eq!(log.torn, 0);
    log.findings
        .iter()
        .map(|finding| (finding.line, finding.seq, finding.kind))
        .collect()
}

fn verified(path: &Path) -> VerifiedLog {
    verify_request_log(path, false).unwrap()
}

#[test]
fn what_was_written_is_sound_over_runs_and_files() {
    use LogFindingKind::Missing;

    assert_eq!(found(|_| ()), []);
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), 12, 1000, 10);
    let log = verified(&path);
    assert!(log.files.len() > 2 && log.findings.is_empty(), "{log:?}");
    assert_eq!(log.files.iter().map(|file| file.records).sum::<u64>(), 12);
    assert_eq!(log.end.unwrap().0, 12);
    assert!(!log.begins_later);

    // The oldest file is gone, and no rotation explains it.
    let oldest = &log.files[0];
    let lost = oldest.records;
    fs::remove_file(&oldest.path).unwrap();
    let log = verified(&path);
    assert_eq!(log.findings.len(), 1, "{log:?}");
    assert_eq!(log.findings[0].kind, Missing);
    assert_eq!(log.findings[0].seq, Some(lost + 1));
    assert!(verify_request_log(&path, true).unwrap().findings.is_empty());

    // So is the newest.
    fs::remove_file(&path).unwrap();
    let log = verified(&path);
    let newest = log.findings.last().unwrap();
    assert_eq!((newest.kind, newest.line), (Missing, 0), "{log:?}");
}

#[test]
fn older_files_make_room_for_newer_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), 60, 1000, 10);
    let log = verified(&path);
    assert_eq!(log.files.len(), 11);
    assert!(log.begins_later && log.findings.is_empty(), "{log:?}");
    assert_eq!(log.end.unwrap().0, 60);
    // One of the older files by itself.
    let single = &log.files[3];
    let alone = verify_request_log(&single.path, true).unwrap();
    assert!(alone.findings.is_empty(), "{alone:?}");
    assert_eq!(alone.files[0].places, single.places);
    assert_eq!(verified(&single.path).findings.len(), 1);
    // One in the middle is gone.
    fs::remove_file(&log.files[5].path).unwrap();
    let (first, last) = log.files[5].places.unwrap();
    let problem = verified(&path).findings[0].problem.clone();
    let says = if first == last {
        format!("record {first} is missing")
    } else {
        format!("records {first} to {last} are missing")
    };
    assert!(problem.contains(&says), "{problem}");
}

#[test]
fn each_kind_of_damage_is_named_where_it_is() {
    use LogFindingKind::{Changed, Foreign, Misplaced, Missing};

    let edited = found(|lines| lines[3] = lines[3].replace("/3", "/x"));
    assert_eq!(edited, [(4, Some(4), Changed)]);
    let first = found(|lines| lines[0] = lines[0].replace("PutObject", "GetObject"));
    assert_eq!(first, [(1, Some(1), Changed)]);
    let removed = found(|lines| drop(lines.drain(3..5)));
    assert_eq!(removed, [(4, Some(6), Missing)]);
    let beginning = found(|lines| drop(lines.drain(..2)));
    assert_eq!(beginning, [(1, Some(3), Missing)]);
    let swapped = found(|lines| lines.swap(4, 5));
    assert_eq!(swapped, [(5, Some(6), Missing), (6, Some(5), Misplaced)]);
    let twice = found(|lines| lines.insert(4, lines[3].clone()));
    assert_eq!(twice, [(5, Some(4), Misplaced)]);
    let foreign = found(|lines| lines[3] = "{}".to_owned());
    assert_eq!(foreign, [(4, None, Foreign)]);
    let inserted = found(|lines| lines.insert(3, String::new()));
    assert_eq!(inserted, [(4, None, Foreign), (5, Some(4), Misplaced)]);
    let begun_anew = found(|lines| lines.extend(lines[..3].to_vec()));
    assert_eq!(begun_anew, [(11, Some(1), Misplaced)]);
    // Nothing stands behind the hash, which would be covered by none.
    let appended = found(|lines| lines[3] = lines[3].replace("\"}", "\",\"status\":200}"));
    assert_eq!(appended, [(4, None, Foreign)]);
    // A record of its own making needs the hash of all that follow it to be changed too.
    let forged = found(|lines| {
        let mut end = Link::of_line(lines[2].as_bytes()).unwrap();
        let mut line = Vec::new();
        end = end.append(&mut line, &record("/forged")).unwrap();
        assert_eq!(end.seq, 4);
        lines[3] = String::from_utf8(line).unwrap().trim_end().to_owned();
    });
    assert_eq!(forged, [(5, Some(5), Changed)]);
    let many = found(|lines| *lines = vec!["x".to_owned(); 300]);
    assert_eq!(many.len(), 100);
}

#[test]
fn an_unfinished_record_at_the_end_is_no_finding_and_anything_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = written(directory.path(), 3, u64::MAX, 10);
    let whole = fs::read(&path).unwrap();
    let mut next = Vec::new();
    let end = verified(&path).end.unwrap();
    let end = Link {
        seq: end.0,
        hash: end.1,
    };
    end.append(&mut next, &record("/é")).unwrap();
    for cut in 1..next.len() {
        fs::write(&path, [&whole[..], &next[..cut]].concat()).unwrap();
        let log = verified(&path);
        assert_eq!((log.torn, log.findings.len()), (cut as u64, 0), "{cut}");
        assert_eq!(log.end.unwrap().0, 3);
    }
    for unfinished in [&b"\0\0\0"[..], b"{\"time\":\"2025\0\0", b"{\"ti\0"] {
        fs::write(&path, [&whole[..], unfinished].concat()).unwrap();
        let log = verified(&path);
        assert_eq!(log.torn, unfinished.len() as u64);
        assert!(log.findings.is_empty(), "{log:?}");
    }
    // A record that was there whole, and is not the next one.
    let earlier = whole.split(|byte| *byte == b'\n').nth(1).unwrap();
    for foreign in [&b"hello"[..], b"{}", b"{\"time\":\"\"} x", earlier] {
        fs::write(&path, [&whole[..], foreign].concat()).unwrap();
        let log = verified(&path);
        assert_eq!((log.torn, log.findings.len()), (0, 1), "{log:?}");
        assert_eq!(log.findings[0].line, 4);
    }
    // Only whole lines are put away.
    fs::write(&path, [&whole[..], &next[..40]].concat()).unwrap();
    fs::rename(&path, path.with_extension("jsonl.1")).unwrap();
    fs::write(&path, "").unwrap();
    let log = verified(&path);
    assert_eq!((log.torn, log.findings.len()), (0, 1), "{log:?}");
}

#[test]
fn a_log_without_records_and_one_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("requests.jsonl");
    let error = verify_request_log(&path, false).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    fs::write(&path, "").unwrap();
    let log = verified(&path);
    assert_eq!((log.end, log.findings.len()), (None, 0));
    // Lines far longer than any record.
    fs::write(&path, vec![b'x'; 3 * 1024 * 1024]).unwrap();
    assert_eq!(verified(&path).findings.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No change of a byte stays unseen, but at the very end, where a cut leaves the log sound.
    #[test]
    fn no_byte_changes_unseen(at in 0.0..1.0_f64, byte: u8) {
        let directory = tempfile::tempdir().unwrap();
        let path = written(directory.path(), 6, 1500, 10);
        let target = &verified(&path).files[0].path;
        let mut bytes = fs::read(target).unwrap();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a small file"
        )]
        let at = (at * bytes.len() as f64) as usize;
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        fs::write(target, bytes).unwrap();
        prop_assert!(!verified(&path).findings.is_empty());
    }
}
