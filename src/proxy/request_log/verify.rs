//! Checking a log that was written, as anybody can who can read it.
//!
//! The chain has no secret. It shows what was changed, removed or moved within the log; whoever can write
//! the files can shorten the log, or make all of it anew.

use std::{
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use serde::de::IgnoredAny;

use super::{
    RequestLogSettings,
    chain::{Broken, Link, follows},
    file::LONGEST_LINE,
    series::{Member, members},
};

/// What every record begins with.
const BEGINNING: &[u8] = b"{\"time\":\"";

/// The most findings that are kept of one log; the rest is counted.
const MOST_FINDINGS: usize = 100;

/// A log, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedLog {
    /// Its files, the oldest first.
    pub files: Vec<VerifiedFile>,
    /// The number and the SHA-256 of the last record.
    pub end: Option<(u64, [u8; 32])>,
    /// Whether it begins after record 1, as it may: older files made room for newer ones. What its first
    /// record hangs on is gone, so that one itself is not checked.
    pub begins_later: bool,
    /// How many bytes at its end are the beginning of a record that was never finished.
    pub torn: u64,
    /// What is wrong, in the order of the log.
    pub findings: Vec<LogFinding>,
    /// How many findings there are beside those.
    pub left_out: u64,
}

/// One file of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedFile {
    /// Its path.
    pub path: PathBuf,
    /// How many records it has.
    pub records: u64,
    /// The numbers of the first and the last of them.
    pub places: Option<(u64, u64)>,
}

/// Something that is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFinding {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1; 0 where it is the whole file.
    pub line: u64,
    /// The record's own number, where the line has one.
    pub seq: Option<u64>,
    /// What kind of thing it is.
    pub kind: LogFindingKind,
    /// What is wrong, as a sentence.
    pub problem: String,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFindingKind {
    /// A line is no record.
    Foreign,
    /// A record, or the one before it, is not as it was written.
    Changed,
    /// Records are missing.
    Missing,
    /// A record stands where another belongs.
    Misplaced,
}

impl LogFindingKind {
    /// The name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Misplaced => "misplaced",
        }
    }
}

/// Checks the log whose newest file is `path`, together with the older ones beside it. A `partial` one may
/// begin with any record, as a single older file does.
///
/// A proxy may be writing it meanwhile.
///
/// # Errors
/// The files cannot be read, or there are none.
pub fn verify_request_log(path: &Path, partial: bool) -> io::Result<VerifiedLog> {
    let members = members(path)?;
    if members.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "there is no such log",
        ));
    }
    let keep = RequestLogSettings::new(path.to_owned()).keep;
    let mut verifier = Verifier {
        place: Place::Start {
            any: partial || members[0].number >= keep,
        },
        log: VerifiedLog {
            files: Vec::with_capacity(members.len()),
            end: None,
            begins_later: false,
            torn: 0,
            findings: Vec::new(),
            left_out: 0,
        },
        file: path.to_owned(),
        line: 0,
    };
    let newest = members.len() - 1;
    let newest_is_there = members[newest].number == 0;
    for (index, member) in members.into_iter().enumerate() {
        verifier.check_file(member, index == newest)?;
    }
    if !newest_is_there {
        path.clone_into(&mut verifier.file);
        verifier.line = 0;
        let problem = "this file is missing, though older ones are there".to_owned();
        verifier.find(None, LogFindingKind::Missing, problem);
    }
    Ok(verifier.log)
}

/// What is known of the line that comes next.
#[derive(Clone, Copy)]
enum Place {
    /// It is the first one: record 1, or `any`.
    Start { any: bool },
    /// It follows this one.
    After(Link),
    /// It follows lines that are no records, of which this many came after record `seq`. What it hangs on is
    /// not known.
    Gap { seq: u64, lines: u64 },
}

struct Verifier {
    place: Place,
    log: VerifiedLog,
    file: PathBuf,
    line: u64,
}

impl Verifier {
    fn check_file(&mut self, member: Member, newest: bool) -> io::Result<()> {
        self.file.clone_from(&member.path);
        self.line = 0;
        self.log.files.push(VerifiedFile {
            path: member.path,
            records: 0,
            places: None,
        });
        let mut reader = BufReader::with_capacity(256 * 1024, member.file);
        let mut line = Vec::new();
        loop {
            self.line += 1;
            match next_line(&mut reader, &mut line)? {
                Line::None => return Ok(()),
                Line::Whole => self.check(&line),
                Line::Cut(length) => self.check_cut(&line, length, newest),
            }
        }
    }

    fn check(&mut self, line: &[u8]) {
        let found = match self.place {
            Place::After(before) => follows(before, line),
            Place::Start { .. } => follows(Link::START, line),
            // Never the next of a line that is not known: only its own place is looked at.
            Place::Gap { .. } => {
                Link::of_line(line).map_or(Err(Broken::Foreign), |found| Err(Broken::Place(found)))
            }
        };
        match found {
            Ok(found) => self.take(found),
            Err(Broken::Foreign) => {
                let problem = "this is no record of a proxy, or more or less than one".to_owned();
                self.find(None, LogFindingKind::Foreign, problem);
                self.place = match self.place {
                    Place::Start { any: true } => self.place,
                    Place::Start { any: false } => Place::Gap { seq: 0, lines: 1 },
                    Place::After(before) => Place::Gap {
                        seq: before.seq,
                        lines: 1,
                    },
                    Place::Gap { seq, lines } => Place::Gap {
                        seq,
                        lines: lines + 1,
                    },
                };
            }
            Err(Broken::Hash(found)) => {
                let problem = match found.seq {
                    1 => "record 1 is not as it was written: its hash is not that of its content"
                        .to_owned(),
                    seq => format!(
                        "record {seq} is not as it was written: its hash is not that of its content and \
                         of the hash of record {}",
                        seq - 1
                    ),
                };
                self.find(Some(found.seq), LogFindingKind::Changed, problem);
                self.take(found);
            }
            Err(Broken::Place(found)) => self.check_place(found, line),
        }
    }

    /// A record that is not the next one.
    fn check_place(&mut self, found: Link, line: &[u8]) {
        let (last, next) = match self.place {
            Place::Start { any: true } => {
                self.log.begins_later = true;
                return self.take(found);
            }
            Place::Start { any: false } => (0, 1),
            Place::After(before) => (before.seq, before.seq.saturating_add(1)),
            Place::Gap { seq, lines } => (seq, seq.saturating_add(lines).saturating_add(1)),
        };
        if found.seq == next {
            return self.take(found);
        }
        if found.seq > next {
            let missing = match (last + 1, found.seq - 1) {
                (first, end) if first == end => format!("record {first} is missing"),
                (first, end) => format!("records {first} to {end} are missing"),
            };
            let problem = format!("{missing} before record {}", found.seq);
            self.find(Some(found.seq), LogFindingKind::Missing, problem);
            return self.take(found);
        }
        if follows(Link::START, line).is_ok() {
            let problem = format!(
                "a new log begins here with record 1, where record {next} belongs: the end of what stands \
                 before it could not be read when a proxy started, or the two were put together"
            );
            self.find(Some(found.seq), LogFindingKind::Misplaced, problem);
            return self.take(found);
        }
        // The place stays, so that what stands in order behind it is not told of.
        self.count(found.seq);
        let problem = format!("record {} stands where record {next} belongs", found.seq);
        self.find(Some(found.seq), LogFindingKind::Misplaced, problem);
    }

    /// A line without an end, of `length` bytes.
    fn check_cut(&mut self, line: &[u8], length: u64, newest: bool) {
        if newest && self.is_unfinished(line) {
            self.log.torn = length;
            return;
        }
        let problem = if newest {
            "what stands behind the last record is not the beginning of one".to_owned()
        } else {
            "the file ends in the midst of a line, and only whole ones are put away".to_owned()
        };
        self.find(None, LogFindingKind::Foreign, problem);
        if let Place::After(before) = self.place {
            self.place = Place::Gap {
                seq: before.seq,
                lines: 1,
            };
        }
    }

    /// Whether a crash can have left this behind: the beginning of a record, or a whole one without its line
    /// break. A file system may have kept zeros for what did not reach the disk.
    fn is_unfinished(&self, line: &[u8]) -> bool {
        let written = line
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        let written = &line[..written];
        let common = written.len().min(BEGINNING.len());
        if written[..common] != BEGINNING[..common] {
            return false;
        }
        match serde_json::from_slice::<IgnoredAny>(written) {
            Err(error) => error.is_eof(),
            Ok(_) => match self.place {
                Place::After(before) => follows(before, written).is_ok(),
                Place::Start { any: false } => follows(Link::START, written).is_ok(),
                Place::Start { any: true } | Place::Gap { .. } => Link::of_line(written).is_some(),
            },
        }
    }

    fn take(&mut self, found: Link) {
        self.count(found.seq);
        self.log.end = Some((found.seq, found.hash));
        self.place = Place::After(found);
    }

    fn count(&mut self, seq: u64) {
        if let Some(file) = self.log.files.last_mut() {
            file.records += 1;
            file.places = Some((file.places.map_or(seq, |(first, _)| first), seq));
        }
    }

    fn find(&mut self, seq: Option<u64>, kind: LogFindingKind, problem: String) {
        if self.log.findings.len() == MOST_FINDINGS {
            self.log.left_out += 1;
            return;
        }
        self.log.findings.push(LogFinding {
            file: self.file.clone(),
            line: self.line,
            seq,
            kind,
            problem,
        });
    }
}

/// What was read.
enum Line {
    /// The file has ended.
    None,
    /// A line that has an end; of one that is far too long, the beginning.
    Whole,
    /// The last one, without an end, and its length in bytes.
    Cut(u64),
}

/// Reads a line without its line break.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut length = read_part(reader, line)?;
    if length == 0 {
        return Ok(Line::None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Line::Whole);
    }
    let mut rest = Vec::new();
    loop {
        rest.clear();
        let more = read_part(reader, &mut rest)?;
        length += more;
        if more == 0 {
            return Ok(Line::Cut(length));
        }
        if rest.last() == Some(&b'\n') {
            return Ok(Line::Whole);
        }
    }
}

fn read_part(reader: &mut impl BufRead, part: &mut Vec<u8>) -> io::Result<u64> {
    let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', part)?;
    Ok(read as u64)
}
