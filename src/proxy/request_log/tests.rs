use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use super::{chain::Link, *};
use crate::{domain::Timestamp, ports::RequestPhase};

pub(super) fn record(path: &str) -> RequestRecord {
    RequestRecord {
        time: Timestamp::from_ms(1_740_514_245_001),
        request_id: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
        phase: RequestPhase::Sending,
        environment: "e".into(),
        subject: None,
        peer: "127.0.0.1:1".to_owned(),
        way: "plain",
        service: Some("s3"),
        operation: Some("PutObject"),
        actions: vec!["s3:PutObject".into()],
        resources: vec!["arn:aws:s3:::b/k".to_owned()],
        decision: "allow",
        rule: Some("r".into()),
        reason: None,
        unrecorded: None,
        role: None,
        session: None,
        region: None,
        host: "s3.amazonaws.com".to_owned(),
        method: "PUT".to_owned(),
        path: path.to_owned(),
        aws_request_id: None,
        status: None,
        bytes_in: None,
        bytes_out: None,
        duration_ms: None,
    }
}

fn settings(directory: &Path) -> RequestLogSettings {
    RequestLogSettings::new(directory.join("requests.jsonl"))
}

/// The chain from `link` through all lines of a file.
fn verified(path: &Path, mut link: Link) -> Link {
    for line in fs::read(path).unwrap().split(|byte| *byte == b'\n') {
        if !line.is_empty() {
            link = chain::follows(link, line).expect("a line that follows");
        }
    }
    link
}

#[tokio::test]
async fn a_durable_record_is_in_the_file_when_it_returns() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let path = settings.path.clone();
    let log = RequestLogFile::open(settings).unwrap();
    log.durable(&record("/b/k\n\"")).await.unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(line["path"], "/b/k\n\"");
    assert_eq!(line["time"], "2025-02-25T20:10:45.001Z");
    assert_eq!(line["seq"], 1);
    assert_eq!(line["phase"], "sending");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_nobody_waits_for_is_written_soon_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let path = settings.path.clone();
    let log = RequestLogFile::open(settings).unwrap();
    log.later(&record("/1"));
    for _ in 0..100 {
        if fs::metadata(&path).unwrap().len() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(verified(&path, Link::START).seq, 1);
    log.later(&record("/2"));
    drop(log);
    assert_eq!(verified(&path, Link::START).seq, 2);
}

#[tokio::test]
async fn the_chain_goes_on_after_a_restart_and_half_a_line_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let path = settings.path.clone();
    let log = RequestLogFile::open(settings.clone()).unwrap();
    log.durable(&record("/1")).await.unwrap();
    assert!(matches!(
        RequestLogFile::open(settings.clone()),
        Err(OpenError::InUse(_))
    ));
    drop(log);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], &whole[..100]].concat()).unwrap();
    let log = RequestLogFile::open(settings.clone()).unwrap();
    log.durable(&record("/2")).await.unwrap();
    drop(log);
    assert_eq!(verified(&path, Link::START).seq, 2);

    // An edited line does not follow.
    let text = fs::read_to_string(&path).unwrap().replacen("/1", "/7", 1);
    let line = text.lines().next().unwrap();
    assert!(matches!(
        chain::follows(Link::START, line.as_bytes()),
        Err(chain::Broken::Hash(_))
    ));

    fs::write(&path, "something else\n").unwrap();
    assert!(matches!(
        RequestLogFile::open(settings),
        Err(OpenError::Foreign(_))
    ));
    assert_eq!(fs::read_to_string(&path).unwrap(), "something else\n");
}

#[tokio::test]
async fn full_files_are_kept_up_to_a_number_and_hang_together() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_at = 1000;
    settings.keep = 2;
    let path = settings.path.clone();
    let log = RequestLogFile::open(settings.clone()).unwrap();
    for number in 0..20 {
        log.durable(&record(&format!("/{number}"))).await.unwrap();
    }
    drop(log);
    let older = |number: u32| path.with_extension(format!("jsonl.{number}"));
    assert!(!older(3).exists());
    let oldest = fs::read(older(2)).unwrap();
    let first = oldest.split(|byte| *byte == b'\n').next().unwrap();
    let mut link = Link::of_line(first).unwrap();
    for (number, path) in [(2, older(2)), (1, older(1)), (0, path.clone())] {
        let text = fs::read(&path).unwrap();
        for line in text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            if number != 2 || line != first {
                link = chain::follows(link, line).expect("a line that follows");
            }
        }
    }
    assert_eq!(link.seq, 20);

    // A start just after a rotation: the new file is empty.
    fs::rename(&path, path.with_extension("jsonl.1")).unwrap();
    let log = RequestLogFile::open(settings).unwrap();
    log.durable(&record("/20")).await.unwrap();
    drop(log);
    assert_eq!(verified(&path, link).seq, 21);
}

#[tokio::test]
async fn a_rotation_that_fails_loses_nothing_and_refuses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.rotate_at = 1000;
    settings.keep = 3;
    let path = settings.path.clone();
    let beside = |end: &str| path.with_extension(format!("jsonl.{end}"));
    let log = RequestLogFile::open(settings.clone()).unwrap();
    for number in 0..6 {
        log.durable(&record(&format!("/{number}"))).await.unwrap();
    }
    let kept = fs::read(beside("1")).unwrap();
    // Nothing can be made where the next file would be.
    fs::remove_file(beside("next")).ok();
    fs::create_dir(beside("next")).unwrap();
    for number in 6..20 {
        log.durable(&record(&format!("/{number}"))).await.unwrap();
    }
    assert_eq!(fs::read(beside("1")).unwrap(), kept);
    assert!(!beside("2").exists());
    let last = fs::read_to_string(&path).unwrap();
    assert!(last.lines().last().unwrap().contains("\"seq\":20,"));
    fs::remove_dir(beside("next")).unwrap();
    for number in 20..40 {
        log.durable(&record(&format!("/{number}"))).await.unwrap();
    }
    assert!(beside("2").exists(), "it is tried again");
    drop(log);
    // Where an end was cut off within a rotation, the newest file that is there has the chain's end.
    let end = fs::read(&path).unwrap();
    let end = end.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
    let end = Link::of_line(end.unwrap()).unwrap();
    fs::rename(&path, beside("3")).unwrap();
    fs::remove_file(beside("1")).unwrap();
    fs::remove_file(beside("2")).unwrap();
    drop(RequestLogFile::open(settings.clone()).unwrap());
    let log = RequestLogFile::open(settings).unwrap();
    log.durable(&record("/40")).await.unwrap();
    drop(log);
    assert_eq!(verified(&path, end).seq, 41);
}

/// `idp proxy exec` starts whenever it likes.
#[test]
fn a_log_that_is_rotated_is_in_use_at_every_moment() {
    use std::sync::atomic::{AtomicBool, Ordering};

    let first = |path: &Path| path.with_extension("jsonl.1");
    for keep in [1, 3] {
        let directory = tempfile::tempdir().unwrap();
        let settings = RequestLogSettings {
            path: directory.path().join("requests.jsonl"),
            rotate_at: 1,
            keep,
        };
        let (mut file, _) = LogFile::open(settings.clone()).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (done, settings) = (Arc::clone(&done), settings.clone());
                std::thread::spawn(move || {
                    while !done.load(Ordering::SeqCst) {
                        let opened = LogFile::open(settings.clone()).map(|_| ());
                        assert!(matches!(opened, Err(OpenError::InUse(_))), "{opened:?}");
                    }
                })
            })
            .collect();
        for number in 0..200 {
            file.write(format!("{number}\n").as_bytes(), false).unwrap();
        }
        done.store(true, Ordering::SeqCst);
        for other in others {
            other.join().unwrap();
        }
        let kept = fs::read_to_string(first(&settings.path)).unwrap();
        assert_eq!(kept, "198\n");
        assert_eq!(fs::read_to_string(&settings.path).unwrap(), "199\n");
    }
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_is_finished() {
    let directory = tempfile::tempdir().unwrap();
    let settings = RequestLogSettings {
        rotate_at: 1,
        ..settings(directory.path())
    };
    let path = settings.path.clone();
    let log = RequestLogFile::open(settings.clone()).unwrap();
    log.durable(&record("/1")).await.unwrap();
    drop(log);
    fs::hard_link(&path, path.with_extension("jsonl.1")).unwrap();
    let log = RequestLogFile::open(settings).unwrap();
    log.durable(&record("/2")).await.unwrap();
    drop(log);
    let end = verified(&path.with_extension("jsonl.1"), Link::START);
    assert_eq!(verified(&path, end).seq, 2);
    assert!(!path.with_extension("jsonl.2").exists());
}

#[tokio::test]
async fn a_long_last_line_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let path = settings.path.clone();
    for (number, length) in [(1, 10), (2, 70_000), (3, 3 << 20), (4, 10)] {
        let log = RequestLogFile::open(settings.clone()).unwrap();
        log.durable(&record(&"x".repeat(length))).await.unwrap();
        drop(log);
        assert_eq!(verified(&path, Link::START).seq, number);
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_takes_records_again_when_it_has_room() {
    let shared = Shared::new(State::after(Link::START));
    let shared = Arc::new(shared);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("requests.jsonl");
    let (file, _) = LogFile::open(RequestLogSettings::new(path.clone())).unwrap();
    let full = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let log = RequestLogFile {
        writer: Some(std::thread::spawn({
            let (shared, full) = (Arc::clone(&shared), Arc::clone(&full));
            move || shared.write(file.failing(full))
        })),
        shared,
    };
    log.later(&record("/read"));
    let error = log.durable(&record("/1")).await.unwrap_err();
    assert!(error.to_string().contains("no storage space"), "{error}");
    full.store(false, std::sync::atomic::Ordering::SeqCst);
    log.durable(&record("/2")).await.unwrap();
    drop(log);
    // What was refused is there as well: it was about to be sent, and was not.
    assert_eq!(verified(&path, Link::START).seq, 3);
}

#[tokio::test]
async fn when_the_disk_stays_full_there_is_no_room_for_reads_either() {
    let state = State::after(Link::START);
    let log = RequestLogFile {
        shared: Arc::new(Shared::new(state)),
        writer: None,
    };
    log.room().unwrap();
    while log.room().is_ok() {
        log.later(&record(&"/long".repeat(1000)));
    }
    assert!(log.shared.lock().buffer.len() < MOST_WAITING + 8192);
    log.later(&record("/lost"));
    assert_eq!(log.shared.lock().lost, 1);
    assert!(log.durable(&record("/refused")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_the_disk_and_none_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let path = settings.path.clone();
    let log = Arc::new(RequestLogFile::open(settings).unwrap());
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for _ in 0..8 {
                    log.durable(&record(&format!("/{number}"))).await.unwrap();
                    log.later(&record("/read"));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    drop(log);
    assert_eq!(verified(&path, Link::START).seq, 1024);
}
