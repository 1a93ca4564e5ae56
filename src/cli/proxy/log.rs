//! `idp proxy log`.

use std::{io, path::PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
    },
    proxy::request_log::{
        LogFinding, VerifiedFile, VerifiedLog, request_logs_in, verify_request_log,
    },
};

/// Look at the record of every request
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp proxy log verify")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(Verify),
}

/// Check that no record was changed, removed or moved
///
/// Each record holds the hash of the one before it. Checks every log of this environment's proxies, with
/// the older files beside it; names the file, the line and what is wrong, and ends with 7 where anything
/// is. A record that was never finished, because the proxy was killed or is writing it just now, is told
/// of and is not wrong. A proxy may be running.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  idp proxy log verify\n  idp proxy log verify --file /var/lib/agent/idp/proxy/requests.jsonl --json"
)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
struct Verify {
    /// A log's newest file, to check that log alone [default: all in $IDP_HOME/proxy]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The file may begin with any record, as one of the older files does
    #[arg(long, requires = "file")]
    partial: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let Command::Verify(args) = &args.command;
    // A file that an argument names is the argument's mistake.
    let code = match args.file {
        Some(_) => ExitCode::Usage,
        None => ExitCode::Other,
    };
    let mut logs = Vec::new();
    for path in paths(args, context)? {
        let log = verify_request_log(&path, args.partial)
            .map_err(|error| unreadable(&path, error, code))?;
        logs.push((path, log));
    }
    let printer = context.printer;
    if printer.json {
        let json = json!({
            "findings": logs.iter().map(|(_, log)| findings(log)).sum::<u64>(),
            "logs": logs.iter().map(as_json).collect::<Vec<_>>(),
        });
        printer.line(&json.to_string())?;
    } else {
        for (path, log) in &logs {
            for line in lines(path, log) {
                printer.text(&format!("{line}\n"))?;
            }
        }
    }
    match logs.iter().map(|(_, log)| findings(log)).sum() {
        0 => Ok(()),
        1 => Err(found("the request log has a finding")),
        n => Err(found(&format!("the request log has {n} findings"))),
    }
}

fn found(message: &str) -> Failure {
    Failure::new(ExitCode::Findings, anyhow::Error::msg(message.to_owned())).help(
        "compare the log with a copy, and what it lacks with CloudTrail: the role session's name and \
         AWS's request ids are in both",
    )
}

fn paths(args: &Verify, context: &Context) -> Outcome<Vec<PathBuf>> {
    if let Some(file) = &args.file {
        return Ok(vec![file.clone()]);
    }
    let directory = context.env.identity_path()?.with_file_name("proxy");
    let logs = match request_logs_in(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(unreadable(&directory, error, ExitCode::Other));
        }
        logs => logs.unwrap_or_default(),
    };
    if logs.is_empty() {
        let message = format!("there is no request log in {}", directory.display());
        return Err(Failure::new(ExitCode::Other, anyhow::Error::msg(message)).help(
            "a proxy makes it when it starts; set IDP_HOME to that proxy's, or name a log with --file",
        ));
    }
    Ok(logs)
}

fn unreadable(path: &std::path::Path, error: io::Error, code: ExitCode) -> Failure {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "name a file that is there with --file",
        io::ErrorKind::PermissionDenied => {
            "run this as the user who runs the proxy: its log is for nobody else"
        }
        _ => "name a request log's file with --file",
    };
    let what = format!("cannot read the request log {}", path.display());
    Failure::new(code, anyhow::Error::new(error).context(what)).help(help)
}

const fn findings(log: &VerifiedLog) -> u64 {
    log.findings.len() as u64 + log.left_out
}

fn lines(path: &std::path::Path, log: &VerifiedLog) -> Vec<String> {
    let mut lines = Vec::new();
    for file in &log.files {
        let found: Vec<&LogFinding> = of_file(log, file).collect();
        let records = match file.places {
            None => "no records".to_owned(),
            Some((seq, _)) if file.records == 1 => format!("1 record ({seq})"),
            Some((first, last)) => format!("{} records ({first} to {last})", file.records),
        };
        let verdict = match found.len() {
            0 => "sound".to_owned(),
            1 => "1 finding".to_owned(),
            n => format!("{n} findings"),
        };
        lines.push(format!("{}: {records}, {verdict}", file.path.display()));
        lines.extend(
            found
                .iter()
                .map(|finding| format!("  line {}: {}", finding.line, finding.problem)),
        );
    }
    for finding in log.findings.iter().filter(|finding| finding.line == 0) {
        lines.push(format!("{}: {}", finding.file.display(), finding.problem));
    }
    if log.left_out > 0 {
        lines.push(format!("and {} more findings", log.left_out));
    }
    let name = path.display();
    if log.torn > 0 {
        lines.push(format!(
            "{name}: {} bytes at its end are a record that was never finished; a proxy that starts takes \
             them away",
            log.torn
        ));
    }
    if let Some((seq, hash)) = &log.end {
        lines.push(format!(
            "{name}: ends with record {seq}, hash {}",
            hex::encode(hash)
        ));
    }
    lines
}

fn of_file<'l>(
    log: &'l VerifiedLog,
    file: &'l VerifiedFile,
) -> impl Iterator<Item = &'l LogFinding> {
    log.findings
        .iter()
        .filter(|finding| finding.line > 0 && finding.file == file.path)
}

fn as_json((path, log): &(PathBuf, VerifiedLog)) -> Value {
    json!({
        "file": path,
        "files": log.files.iter().map(|file| json!({
            "file": file.path,
            "records": file.records,
            "first": file.places.map(|(first, _)| first),
            "last": file.places.map(|(_, last)| last),
        })).collect::<Vec<_>>(),
        "begins_later": log.begins_later,
        "last": log.end.map(|(seq, _)| seq),
        "last_hash": log.end.map(|(_, hash)| hex::encode(hash)),
        "unfinished_bytes": log.torn,
        "findings": log.findings.iter().map(|finding| json!({
            "file": finding.file,
            "line": (finding.line > 0).then_some(finding.line),
            "record": finding.seq,
            "kind": finding.kind.as_str(),
            "problem": finding.problem,
        })).collect::<Vec<_>>(),
        "findings_left_out": log.left_out,
    })
}
