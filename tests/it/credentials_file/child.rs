//! This test binary as a process of its own that writes.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use idp::client::aws_files::{CredentialsFile, ProfileName};

use super::credentials;

const TEST: &str = "credentials_file::child::writes_when_told_to";
/// `path profile writer turns`, separated by tabs; without end where turns is 0.
const TASK: &str = "IDP_TEST_CHILD_WRITER";
const MARK: &str = "child: ";

/// Not a test by itself: the body of the children that the other tests start.
#[test]
fn writes_when_told_to() {
    let Ok(task) = env::var(TASK) else { return };
    let [path, profile, writer, turns] = task.split('\t').collect::<Vec<_>>()[..] else {
        panic!("{task}")
    };
    let file = CredentialsFile::at(path.into());
    let profile: ProfileName = profile.parse().unwrap();
    let writer = writer.parse().unwrap();
    let turns = turns.parse::<u32>().unwrap();
    println!("{MARK}started");
    for turn in (1..=u32::MAX).take_while(|turn| turns == 0 || *turn <= turns) {
        match file.write_credentials(&profile, &credentials(writer, turn)) {
            Ok(_) if turns == 0 => {}
            Ok(_) => println!("{MARK}written"),
            Err(error) => println!("{MARK}{error}"),
        }
    }
}

/// The command that writes `turns` times; run it with [`run`] or [`start`].
pub(super) fn command(path: &Path, profile: &str, writer: u32, turns: u32) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    prepare(&mut command, path, profile, writer, turns);
    command.args(arguments());
    command
}

/// The same under a shell that runs `setup` first.
pub(super) fn command_after(setup: &str, path: &Path, profile: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{setup}; exec \"$@\""), "sh"]);
    command.arg(env::current_exe().unwrap()).args(arguments());
    prepare(&mut command, path, profile, 1, 1);
    command
}

fn arguments() -> [&'static str; 3] {
    [TEST, "--exact", "--nocapture"]
}

fn prepare(command: &mut Command, path: &Path, profile: &str, writer: u32, turns: u32) {
    command
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env(
            TASK,
            format!("{}\t{profile}\t{writer}\t{turns}", path.display()),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
}

/// Starts it and waits until it is about to write.
pub(super) fn start(mut command: Command) -> Child {
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    assert!(
        output
            .lines()
            .any(|line| line.unwrap().contains("child: started"))
    );
    child
}

/// Runs it to its end; what it reported, one line for each turn.
pub(super) fn run(mut command: Command) -> Vec<String> {
    let output = command.output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(MARK))
        .map(|(_, report)| report.to_owned())
        .filter(|report| report != "started")
        .collect()
}
