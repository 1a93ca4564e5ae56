//! `idp proxy log verify`, on the log of a proxy that ran.

use std::fs;

use super::commands::Place;
use crate::e2e::ran::Ran;

const SCRIPT: &str = "for name in a b c; do \
                      curl -sS -X DELETE https://reports.s3.eu-central-1.amazonaws.com/$name; done";

fn verify(place: &Place, options: &[&str]) -> Ran {
    Ran::of(&mut place.idp(&[&["proxy", "log", "verify"], options].concat()))
}

/// A place where a proxy ran twice.
fn ran() -> Place {
    let place = Place::new();
    for _ in 0..2 {
        let output = place.exec(&[], &["sh", "-c", SCRIPT]);
        assert!(output.status.success(), "{output:?}");
    }
    place
}

#[test]
fn a_log_of_two_runs_is_sound_until_it_is_touched() {
    let place = ran();
    let log = place.state("requests.jsonl");
    let sound = verify(&place, &[]).ok();
    let name = log.display();
    assert!(
        sound
            .stdout
            .contains(&format!("{name}: 6 records (1 to 6), sound\n")),
        "{sound:?}"
    );
    assert!(
        sound.stdout.contains("ends with record 6, hash "),
        "{sound:?}"
    );
    let json = verify(&place, &["--json"]).ok().json();
    assert_eq!(json["findings"], 0);
    let text = fs::read_to_string(&log).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(json["logs"][0]["last_hash"], last["chain"]);

    // Half a record, as after a crash.
    fs::write(&log, format!("{text}{}", &text[..50])).unwrap();
    let torn = verify(&place, &[]).ok();
    assert!(torn.stdout.contains("50 bytes at its end"), "{torn:?}");
    assert_eq!(
        verify(&place, &["--json"]).ok().json()["logs"][0]["unfinished_bytes"],
        50
    );

    // Another hand.
    fs::write(&log, text.replacen("/b", "/x", 1)).unwrap();
    let edited = verify(&place, &[]).exits(7);
    assert!(
        edited
            .stdout
            .contains("  line 2: record 2 is not as it was written"),
        "{edited:?}"
    );
    edited.says(&["the request log has a finding", "help: compare"]);
    let json = verify(&place, &["--json"]).exits(7).json();
    assert_eq!(json["logs"][0]["findings"][0]["kind"], "changed");
    assert_eq!(json["logs"][0]["findings"][0]["line"], 2);
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(&log, rest).unwrap();
    let cut = verify(&place, &[]).exits(7);
    assert!(
        cut.stdout.contains("record 1 is missing before record 2"),
        "{cut:?}"
    );
    let file = log.to_str().unwrap();
    verify(&place, &["--file", file]).exits(7);
    verify(&place, &["--file", file, "--partial"]).ok();
}

#[test]
fn every_log_of_the_directory_is_checked() {
    let place = ran();
    let (first, second) = (
        place.state("requests.jsonl"),
        place.state("requests-2.jsonl"),
    );
    fs::copy(&first, &second).unwrap();
    assert_eq!(
        verify(&place, &["--json"]).ok().json()["logs"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    // Put away, as a rotation does, and gone after that.
    fs::rename(&first, place.state("requests.jsonl.1")).unwrap();
    let gone = verify(&place, &[]).exits(7);
    assert!(gone.stdout.contains("this file is missing"), "{gone:?}");
    fs::write(&first, "").unwrap();
    verify(&place, &[]).ok();
}

#[test]
fn a_log_that_is_not_there_is_no_sound_one() {
    let place = Place::new();
    verify(&place, &[])
        .exits(1)
        .says(&["there is no request log in", "IDP_HOME", "--file"]);
    verify(&place, &["--file", "/nonexistent/requests.jsonl"])
        .exits(2)
        .says(&["/nonexistent", "name a file that is there"]);
    verify(&place, &["--partial"]).exits(2);
    assert!(!place.home().join("proxy").exists(), "nothing is made");
}
