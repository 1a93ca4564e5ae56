//! One line a figure: `name value bound ok|short`. Lines that begin with `#` are for people.

use std::{
    fs,
    io::{Write as _, stdout},
    thread::available_parallelism,
};

/// What a figure has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// It is there to be read.
    None,
}

/// Prints a figure.
pub(crate) fn figure(name: &str, value: f64, bound: Bound) {
    let decimals = match value.abs() {
        0.0..10.0 => 3,
        10.0..1000.0 => 1,
        _ => 0,
    };
    let (bound, reached) = match bound {
        Bound::AtMost(most) => (format!("<={most}"), Some(value <= most)),
        Bound::AtLeast(least) => (format!(">={least}"), Some(value >= least)),
        Bound::None => ("-".to_owned(), None),
    };
    let verdict = match reached {
        Some(true) => "ok",
        Some(false) => "short",
        None => "-",
    };
    line(&format!("{name} {value:.decimals$} {bound} {verdict}"));
}

/// Prints something that is no figure.
pub(crate) fn note(text: &str) {
    line(&format!("# {text}"));
}

/// Prints the machine and the versions of what was compared.
pub(crate) fn finish(compared: &[String]) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |rest| {
            rest.trim_start_matches(['\t', ' ', ':'])
        });
    let cores = available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    note(&format!(
        "machine: {model}, {cores} cores, Linux {}",
        kernel.trim()
    ));
    let mut versions = vec![concat!("idp ", env!("CARGO_PKG_VERSION")).to_owned()];
    versions.extend_from_slice(compared);
    note(&format!("versions: {}", versions.join(", ")));
}

fn line(text: &str) {
    // Whoever has closed standard output does not want to know.
    let _ = writeln!(stdout().lock(), "{text}");
}

/// The version of a dependency, as `Cargo.lock` has it.
pub(crate) fn dependency(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let version = lock
        .split("[[package]]")
        .find(|package| package.contains(&format!("name = \"{name}\"\n")))
        .and_then(|package| package.split("version = \"").nth(1))
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown");
    format!("{name} {version}")
}
