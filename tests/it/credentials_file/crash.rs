//! Many writers at once, and writers that are killed.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use super::{assert_unmixed, child, generate::Kind, oracle};

fn leftovers(dir: &Path) -> usize {
    fs::read_dir(dir)
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains(".idp-")
        })
        .count()
}

/// How often each of the ten writes.
const TURNS: u32 = 20;

#[test]
fn ten_processes_write_and_readers_never_see_a_mixed_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    fs::write(&path, "").unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::SeqCst) {
                assert_unmixed(&fs::read_to_string(&path).unwrap());
                reads += 1;
                thread::yield_now();
            }
            reads
        });
        let writers: Vec<_> = (0..10)
            .map(|writer| {
                // Five share a profile, five have one of their own.
                let profile = format!("p{}", writer.min(5));
                let command = child::command(&path, &profile, writer, TURNS);
                scope.spawn(move || child::run(command))
            })
            .collect();
        let reports: Vec<_> = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect();
        done.store(true, Ordering::SeqCst);
        for report in reports {
            assert_eq!(report, vec!["written"; TURNS as usize]);
        }
        assert!(reader.join().unwrap() > 0);
    });
    let text = fs::read_to_string(&path).unwrap();
    assert_unmixed(&text);
    assert_eq!(
        oracle::sdk(&text, Kind::Credentials)
            .unwrap()
            .profiles()
            .count(),
        6
    );
    assert_eq!(leftovers(dir.path()), 0);
}

#[test]
fn a_writer_killed_at_any_instant_leaves_a_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials");
    // A neighbour, which must never be lost.
    assert_eq!(
        child::run(child::command(&path, "neighbour", 7, 1)),
        ["written"]
    );
    let mut instant = 12_345_u64;
    for _ in 0..50 {
        // A linear congruential generator: instants that are spread, and the same on every run.
        instant = instant
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut writer = child::start(child::command(&path, "p", 1, 0));
        thread::sleep(Duration::from_micros((instant >> 33) % 20_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_unmixed(&text);
        assert!(text.contains("[neighbour]"), "{text}");
        assert!(leftovers(dir.path()) <= 1);
    }
    assert_eq!(child::run(child::command(&path, "p", 2, 1)), ["written"]);
    let text = fs::read_to_string(&path).unwrap();
    assert_unmixed(&text);
    assert!(
        text.contains("ASIA002x000001"),
        "the writers never came to write"
    );
    assert_eq!(leftovers(dir.path()), 0);
}
