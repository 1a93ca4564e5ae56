//! Places that cannot be written: the file stays, nothing is left beside it, the message names it.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
};

use idp::client::aws_files::{CredentialsFile, ProfileName};

use super::{child, credentials};

const BEFORE: &str = "[default]\naws_access_key_id = old\n";
/// Some user who is not root.
const NOBODY: u32 = 65_534;

fn fixture() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("credentials");
    fs::write(&path, BEFORE).unwrap();
    (dir, path)
}

fn refusal(path: &Path) -> String {
    CredentialsFile::at(path.to_owned())
        .write_credentials(&ProfileName::default(), &credentials(1, 1))
        .unwrap_err()
        .to_string()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_full_disk() {
    let (dir, path) = fixture();
    // A limit of no bytes, with its signal ignored: write(2) fails as on a full disk.
    let command = child::command_after("trap '' XFSZ; ulimit -f 0", &path, "default");
    let report = child::run(command).join("\n");
    assert!(
        report.contains(&*path.to_string_lossy()) && report.contains("ulimit -f"),
        "{report}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), BEFORE);
    assert_eq!(names(dir.path()), ["credentials", "credentials.lock"]);
}

#[test]
fn a_signal_in_the_midst_of_writing() {
    let (dir, path) = fixture();
    let report = child::run(child::command_after(
        "ulimit -c 0; ulimit -f 0",
        &path,
        "default",
    ));
    assert_eq!(report, [""; 0]);
    assert_eq!(fs::read_to_string(&path).unwrap(), BEFORE);
    // What the dead writer left goes with the next write.
    assert_eq!(
        child::run(child::command(&path, "default", 1, 1)),
        ["written"]
    );
    assert_eq!(names(dir.path()), ["credentials", "credentials.lock"]);
}

#[test]
fn a_read_only_directory() {
    let (dir, path) = fixture();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = child::command(&path, "default", 1, 1);
    // Root may write everywhere.
    if fs::metadata(dir.path()).unwrap().uid() == 0 {
        command.uid(NOBODY);
    }
    let Ok(mut probe) = command.spawn() else {
        eprintln!("skipped: another user cannot run this test's binary");
        return;
    };
    probe.wait().unwrap();
    let report = child::run(command).join("\n");
    assert!(
        report.contains(&*path.to_string_lossy()) && report.contains("ls -ld"),
        "{report}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), BEFORE);
    assert_eq!(names(dir.path()), ["credentials"]);
}

#[test]
fn a_directory_in_the_files_place() {
    let (dir, _) = fixture();
    fs::create_dir(dir.path().join("d")).unwrap();
    let message = refusal(&dir.path().join("d"));
    assert!(
        message.contains("it is a directory; name a regular file"),
        "{message}"
    );
    assert!(names(&dir.path().join("d")).is_empty());
}

#[test]
fn a_file_in_the_directorys_place() {
    let (_dir, path) = fixture();
    let message = refusal(&path.join("credentials"));
    assert!(message.contains(&*path.to_string_lossy()), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), BEFORE);
}

#[test]
fn a_circle_of_links() {
    let (dir, _) = fixture();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    let message = refusal(&dir.path().join("a"));
    assert!(message.contains("circle"), "{message}");
}

#[test]
fn bytes_that_are_no_text_and_a_byte_order_mark() {
    let (_dir, path) = fixture();
    for (bytes, line) in [
        (&b"[a]\nk = \xff\n"[..], "line 2"),
        (b"\xef\xbb\xbf[a]\n", "line 1"),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = refusal(&path);
        assert!(message.contains(line), "{message}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_link_that_is_turned_keeps_pointing_where_it_was_turned_to() {
    let (dir, path) = fixture();
    let link = dir.path().join("link");
    for target in ["credentials", "elsewhere/later"] {
        let _ = fs::remove_file(&link);
        symlink(target, &link).unwrap();
        assert_eq!(child::run(child::command(&link, "p", 1, 1)), ["written"]);
        assert_eq!(fs::read_link(&link).unwrap(), Path::new(target));
        assert!(
            fs::read_to_string(dir.path().join(target))
                .unwrap()
                .contains("[p]")
        );
    }
    assert!(fs::read_to_string(&path).unwrap().starts_with(BEFORE));
}

#[test]
fn the_file_stays_its_owners_when_root_writes() {
    let (_dir, path) = fixture();
    if chown(&path, Some(NOBODY), Some(NOBODY)).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    assert_eq!(child::run(child::command(&path, "p", 1, 1)), ["written"]);
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (NOBODY, 0o600));
}
