//! The file: its end at start, its end when the disk is full, its rotation.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{RequestLogSettings, chain::Link};
use crate::ports::LogError;

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file.
    #[error("the request log {} cannot be opened: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Another process writes it.
    #[error(
        "another proxy writes the request log {}; end it, or give this one a state directory of its own",
        .0.display()
    )]
    InUse(PathBuf),
    /// Its last line is no record.
    #[error(
        "the last line of the request log {} is not a record of this program; move the file away",
        .0.display()
    )]
    Foreign(PathBuf),
    /// No thread could be started.
    #[error("the request log's writer cannot be started: {0}")]
    Thread(io::Error),
}

/// How much of a file's end is read at first to find its last line. Records are shorter as a rule.
const USUAL_END: u64 = 64 * 1024;
/// The longest line that is looked for; no record is as long.
pub(super) const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// The file.
pub(super) struct LogFile {
    settings: RequestLogSettings,
    file: File,
    /// Up to where whole lines were written.
    length: u64,
    /// The length at which a new file is begun.
    rotate_next: u64,
    /// Whether the disk is to be full.
    #[cfg(test)]
    full: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

#[cfg(test)]
impl LogFile {
    /// Writes half of what it is given, and fails, while `full` says so.
    pub(super) fn failing(mut self, full: std::sync::Arc<std::sync::atomic::AtomicBool>) -> Self {
        self.full = full;
        self
    }

    fn write_half(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            self.file.write_all(&lines[..lines.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl LogFile {
    /// Opens or makes the file, and finds the end of its chain.
    pub(super) fn open(settings: RequestLogSettings) -> Result<(Self, Link), OpenError> {
        let path = settings.path.clone();
        let failed = |error| OpenError::File {
            path: path.clone(),
            error,
        };
        let mut file = match lock(&path) {
            Ok(file) => file,
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        sync_directory(&path).map_err(failed)?;
        let tail = Tail::read(&mut file).map_err(failed)?;
        if tail.torn > 0 {
            tracing::warn!(
                bytes = tail.torn,
                "cut half a record off the request log, which was being written when the proxy ended"
            );
            file.set_len(tail.length).map_err(failed)?;
            file.sync_data().map_err(failed)?;
        }
        let link = match &tail.last {
            Some(line) => Link::of_line(line).ok_or(OpenError::Foreign(path))?,
            None => older_end(&settings).map_err(failed)?,
        };
        file.seek(SeekFrom::Start(tail.length))
            .map_err(|error| OpenError::File {
                path: settings.path.clone(),
                error,
            })?;
        let length = tail.length;
        Ok((
            Self {
                rotate_next: settings.rotate_at,
                settings,
                file,
                length,
                #[cfg(test)]
                full: std::sync::Arc::default(),
            },
            link,
        ))
    }

    /// Writes whole lines. Either all of them are there in the end, or none.
    pub(super) fn write(&mut self, lines: &[u8], sync: bool) -> Result<(), LogError> {
        #[cfg(test)]
        let ready = self.write_half(lines).and_then(|()| self.rotate_if_full());
        #[cfg(not(test))]
        let ready = self.rotate_if_full();
        let written = ready
            .and_then(|()| self.file.write_all(lines))
            .and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        match written {
            Ok(()) => {
                self.length += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.take_back();
                let path = self.settings.path.display();
                Err(LogError(format!("{path}: {error}")))
            }
        }
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// After a failure: what was written of the lines must not stand before those that follow. Where
    /// even that fails, the next try writes over it, because it begins at the same place.
    fn take_back(&mut self) {
        let back = self
            .file
            .set_len(self.length)
            .and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
        if let Err(error) = back {
            tracing::error!(%error, "half a record may stand at the end of the request log");
        }
    }

    /// Begins a new file where this one is long enough. Where that fails, this one grows on: a record in a
    /// file that is too long is better than a request that is refused, or a record that is lost.
    fn rotate_if_full(&mut self) -> io::Result<()> {
        if self.length < self.rotate_next {
            return Ok(());
        }
        self.file.sync_data()?;
        match self.begin_anew() {
            Ok(file) => {
                self.file = file;
                self.length = 0;
                self.rotate_next = self.settings.rotate_at;
            }
            Err(error) => {
                self.rotate_next = self.length.saturating_add(self.settings.rotate_at);
                tracing::error!(%error, "the request log was not rotated; it grows on");
            }
        }
        Ok(())
    }

    /// Makes the new file before anything is renamed, so that no older one moves for nothing.
    fn begin_anew(&self) -> io::Result<File> {
        let path = &self.settings.path;
        let next = beside(path, "next");
        let file = create(&next)?;
        // What a rotation left behind that was cut off.
        file.set_len(0)?;
        // Nobody else can hold a file that was made just now.
        file.try_lock().map_err(io::Error::other)?;
        if self.settings.keep == 0 {
            fs::rename(&next, path)?;
        } else {
            let first = older(path, 1);
            // A rotation that was cut off may have linked it already.
            if identity(fs::metadata(&first)).ok() != Some(identity(fs::metadata(path))?) {
                self.make_room()?;
                fs::hard_link(path, &first)?;
            }
            // There is a file of this name at every moment: another proxy that found none would make one,
            // and this one would replace it.
            if let Err(error) = fs::rename(&next, path) {
                fs::remove_file(first)?;
                return Err(error);
            }
        }
        sync_directory(path)?;
        Ok(file)
    }

    /// Moves older files up by one, as far as the first number that no file has.
    fn make_room(&self) -> io::Result<()> {
        let path = &self.settings.path;
        let mut free = 1;
        while free < self.settings.keep && older(path, free).try_exists()? {
            free += 1;
        }
        for number in (1..free).rev() {
            fs::rename(older(path, number), older(path, number + 1))?;
        }
        // Of the only one that is kept nothing was moved.
        match fs::remove_file(older(path, 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Opens or makes the file and locks it. Its owner may have begun a new one in between: what is locked has to
/// be what the name leads to.
fn lock(path: &Path) -> Result<File, TryLockError> {
    loop {
        let file = create(path).map_err(TryLockError::Error)?;
        file.try_lock()?;
        let own = identity(file.metadata()).map_err(TryLockError::Error)?;
        match identity(fs::metadata(path)) {
            Ok(named) if own == named => return Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(TryLockError::Error(error));
            }
            _ => {}
        }
    }
}

/// Which file it is, whatever its names.
fn identity(metadata: io::Result<fs::Metadata>) -> io::Result<(u64, u64)> {
    metadata.map(|metadata| (metadata.dev(), metadata.ino()))
}

/// `PATH.NUMBER`.
pub(super) fn older(path: &Path, number: u32) -> PathBuf {
    beside(path, &number.to_string())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

/// The end of the chain in the newest of the older files: the proxy ended within a rotation.
fn older_end(settings: &RequestLogSettings) -> io::Result<Link> {
    for number in 1..=settings.keep {
        let mut file = match File::open(older(&settings.path, number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let last = Tail::read(&mut file)?.last;
        return Ok(last
            .and_then(|line| Link::of_line(&line))
            .unwrap_or(Link::START));
    }
    Ok(Link::START)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

/// A file's name is on the disk only once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// The end of a file.
struct Tail {
    /// The length up to the last line break.
    length: u64,
    /// How many bytes stand behind it.
    torn: u64,
    /// The last whole line, without its line break.
    last: Option<Vec<u8>>,
}

impl Tail {
    fn read(file: &mut File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let mut reach = USUAL_END;
        loop {
            let from = size.saturating_sub(reach);
            file.seek(SeekFrom::Start(from))?;
            let mut end = Vec::new();
            file.take(reach).read_to_end(&mut end)?;
            if let Some(tail) = Self::find(&end, from) {
                return Ok(tail);
            }
            if reach >= LONGEST_LINE {
                // A long file without line breaks was not written here: it is left as it is.
                return Ok(Self {
                    length: size,
                    torn: 0,
                    last: Some(end),
                });
            }
            reach *= 4;
        }
    }

    /// The last line, where `end`, the end of a file from `from` on, holds all of it.
    fn find(end: &[u8], from: u64) -> Option<Self> {
        let Some(last_break) = memchr::memrchr(b'\n', end) else {
            return (from == 0).then_some(Self {
                length: 0,
                torn: end.len() as u64,
                last: None,
            });
        };
        let line_start = match memchr::memrchr(b'\n', &end[..last_break]) {
            Some(before) => before + 1,
            None if from == 0 => 0,
            None => return None,
        };
        Some(Self {
            length: from + last_break as u64 + 1,
            torn: (end.len() - last_break - 1) as u64,
            last: Some(end[line_start..last_break].to_vec()),
        })
    }
}
