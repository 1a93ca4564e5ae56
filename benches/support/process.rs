//! Child processes and what they use.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// `USER_HZ`, the unit of the times in `/proc/PID/stat`: 100 on every architecture that Linux runs on.
const TICK: Duration = Duration::from_millis(10);

/// A command that sees none of the machine's settings, at home in `home`.
pub(crate) fn clean(program: impl AsRef<OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).stdin(Stdio::null());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A process that is killed when this is dropped.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{name} does not start: {error}")),
        )
    }

    /// The child itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The same as a value.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    /// CPU time that all its threads have used so far, in the kernel too; exact to 10 ms.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(self.id())
    }

    /// A line of `/proc/PID/status` that ends in kB, in MiB: `VmRSS`, `VmHWM`.
    pub(crate) fn memory(&self, name: &str) -> f64 {
        let status = self.proc("status");
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.trim().strip_suffix(" kB"))
            .and_then(|number| number.parse().ok())
            .unwrap_or_else(|| panic!("{name} is not in {status}"));
        kib / 1024.0
    }

    /// Asks it to end (`SIGTERM`) and waits for that.
    pub(crate) fn stop(mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::TERM).expect("a child that was not waited for is there");
        let start = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("it is a child") {
                return status;
            }
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "a process does not stop"
            );
            sleep(Duration::from_millis(5));
        }
    }

    fn proc(&self, file: &str) -> String {
        proc(self.id(), file)
    }
}

/// CPU time that all threads of a process have used so far, in the kernel too; exact to 10 ms.
pub(crate) fn cpu_of(id: u32) -> Duration {
    let stat = proc(id, "stat");
    // The second field is the program's name in parentheses, which may hold anything.
    let (_, rest) = stat.rsplit_once(')').expect("the name ends");
    let ticks: u32 = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().expect("utime and stime are numbers"))
        .sum();
    TICK * ticks
}

fn proc(id: u32, file: &str) -> String {
    let path = format!("/proc/{id}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
