//! Data to standard output, everything else to standard error.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
};

use clap::builder::styling::{AnsiColor, Style};

use super::{
    exit::ExitCode,
    failure::{Failure, Outcome},
};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default().bold();

/// Where a command's output goes.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// Whether data is printed as one JSON value.
    pub json: bool,
    /// Whether notes are left out.
    pub quiet: bool,
}

impl Printer {
    /// Writes data as it is. A reader that went away is no error.
    pub fn data(&self, text: &str) -> Outcome {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
                ExitCode::NotWritten,
                anyhow::Error::new(error).context("standard output cannot be written"),
            )),
            _ => Ok(()),
        }
    }

    /// Writes data and a newline.
    pub fn line(&self, text: &str) -> Outcome {
        self.data(text)?;
        self.data("\n")
    }

    /// Writes text for people, which quotes what files and servers said.
    pub fn text(&self, text: &str) -> Outcome {
        self.data(&printable(text))
    }

    /// Tells what was done; `--quiet` leaves it out.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            say(&printable(text));
        }
    }

    /// Tells of something that the user should look at.
    pub fn warn(&self, text: &str) {
        say(&format!("{WARNING}warning:{WARNING:#} {}", printable(text)));
    }

    /// Tells why a command failed.
    pub fn failure(&self, failure: &Failure) {
        let mut text = format!(
            "{ERROR}error:{ERROR:#} {}",
            printable(&failure.error.to_string())
        );
        for cause in failure.error.chain().skip(1) {
            text.push_str("\n  caused by: ");
            text.push_str(&printable(&cause.to_string()));
        }
        for line in &failure.help {
            let _ = write!(text, "\n{HELP}help:{HELP:#} {}", printable(line));
        }
        say(&text);
    }
}

/// Standard error may be gone too; there is nobody left to tell then.
fn say(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Messages quote what servers and files said: without control characters they cannot rewrite what
/// the terminal shows.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control()
                || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}') =>
            {
                '\u{FFFD}'
            }
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(
            printable("a\x1b[2Jb\r\u{202E}c\n"),
            "a\u{FFFD}[2Jb\u{FFFD}\u{FFFD}c\n"
        );
    }
}
