//! The house has the shape that `docs/ARCHITECTURE.md` draws: arrows point only where its table of
//! rooms allows, restricted crates stay in their rooms, and files stay small.
//!
//! Test code (`#[cfg(test)]`) is not looked at: a test may build whatever it needs. Neither are
//! comments, so documentation may link anywhere.

mod paths;
mod source;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use self::table::Tables;

/// The most lines of a file, its test code apart.
const MOST_LINES: usize = 600;
/// The most lines of `src/main.rs`.
const MOST_LINES_OF_MAIN: usize = 40;

/// A file of `src`, read.
struct File {
    /// From the package's root, with `/`: what a failure names.
    path: String,
    /// Where it stands in the crate.
    module: Vec<String>,
    lines: usize,
    code: source::Production,
}

impl File {
    fn read(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            module: module(path),
            lines: text.lines().count(),
            code: source::production(&source::tokens(text)),
        }
    }

    /// Whether `other` is, or is below, a file that this one declares as test code.
    fn has_as_test(&self, other: &Self) -> bool {
        self.code.test_modules.iter().any(|test| {
            if let Some(path) = &test.path {
                let directory = self.path.rsplit_once('/').map_or("", |(before, _)| before);
                return other.path == format!("{directory}/{path}");
            }
            let mut module = self.module.clone();
            module.push(test.name.clone());
            other.module.starts_with(&module)
        })
    }

    /// The row that it is under: its room, or `lib.rs` or `main.rs`.
    fn room(&self) -> &str {
        match self.path.as_str() {
            "src/lib.rs" => "lib.rs",
            "src/main.rs" => "main.rs",
            _ => &self.module[0],
        }
    }
}

/// `["store", "sqlite"]` for `src/store/sqlite.rs` and for `src/store/sqlite/mod.rs`; nothing for the
/// roots.
fn module(path: &str) -> Vec<String> {
    path.trim_start_matches("src/")
        .trim_end_matches(".rs")
        .split('/')
        .filter(|name| !matches!(*name, "mod" | "lib" | "main"))
        .map(str::to_owned)
        .collect()
}

/// Everything that the tables forbid, one line each.
fn violations(files: &[File], tables: &Tables) -> Vec<String> {
    let mut found = Vec::new();
    for file in files
        .iter()
        .filter(|file| !files.iter().any(|parent| parent.has_as_test(file)))
    {
        match tables.rooms.get(file.room()) {
            Some(allowed) => found.extend(arrows(file, allowed)),
            None => found.push(format!(
                "{}: there is no row for the room `{}`",
                file.path,
                file.room()
            )),
        }
        found.extend(strangers(file, &tables.crates));
        found.extend(size(file));
    }
    found
}

fn arrows(file: &File, allowed: &BTreeSet<String>) -> Vec<String> {
    let room = file.room();
    let references = if room == "main.rs" {
        paths::rooms_of_library(&file.code.tokens, env!("CARGO_PKG_NAME"))
    } else {
        paths::rooms(&file.code.tokens, &file.module)
    };
    references
        .into_iter()
        .filter(|reference| reference.name != room && !allowed.contains(&reference.name))
        .map(|reference| {
            let allowed = allowed.iter().map(String::as_str).collect::<Vec<_>>();
            format!(
                "{}:{}: {room} → {}: `{room}` may import {}",
                file.path,
                reference.line,
                reference.name,
                if allowed.is_empty() {
                    "nothing".to_owned()
                } else {
                    allowed.join(", ")
                }
            )
        })
        .collect()
}

fn strangers(file: &File, restricted: &[(String, BTreeSet<String>)]) -> Vec<String> {
    let mut found = Vec::new();
    for reference in paths::crates(&file.code.tokens) {
        let name = reference.name.as_str();
        let matching = restricted
            .iter()
            .filter(|(pattern, _)| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
            // The most exact rule counts: `aws_sigv4` before `aws_*`.
            .max_by_key(|(pattern, _)| pattern.trim_end_matches('*').len());
        if let Some((pattern, rooms)) = matching
            && !rooms.contains(file.room())
        {
            found.push(format!(
                "{}:{}: {} → {name}: `{pattern}` is only for {}",
                file.path,
                reference.line,
                file.room(),
                rooms
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        }
    }
    found
}

fn size(file: &File) -> Option<String> {
    let most = if file.room() == "main.rs" {
        MOST_LINES_OF_MAIN
    } else {
        MOST_LINES
    };
    let lines = file.lines - file.code.test_lines;
    (lines > most).then(|| {
        format!(
            "{}: {lines} lines without tests; at most {most}, so split it by subject",
            file.path
        )
    })
}

fn read_tree(root: &Path, directory: &Path, files: &mut Vec<File>) {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read_tree(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            files.push(File::read(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_house_stands_as_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let tables =
        Tables::parse(&document).unwrap_or_else(|error| panic!("docs/ARCHITECTURE.md: {error}"));
    let mut files = Vec::new();
    read_tree(root, &root.join("src"), &mut files);
    assert!(files.len() > 10, "src was not read");
    let found = violations(&files, &tables);
    assert!(
        found.is_empty(),
        "docs/ARCHITECTURE.md does not allow:\n{}",
        found.join("\n")
    );
}

mod on_samples {
    use super::*;

    fn tables() -> Tables {
        Tables::parse(
            "| room | holds | may import |\n|---|---|---|\n\
             | `low` | | nothing |\n| `mid` | | `low` |\n| `top` | | all |\n\
             | `lib.rs` | | nothing |\n| `main.rs` | | `top` |\n\n\
             | crate | only in |\n|---|---|\n| `axum` | `top` |\n| `aws_*` | `mid` |\n| `aws_sigv4` | `low` |\n",
        )
        .unwrap()
    }

    fn judge(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| File::read(path, text))
            .collect();
        violations(&files, &tables())
    }

    #[test]
    fn an_arrow_up_is_named_with_its_place() {
        assert_eq!(
            judge(&[("src/mid/a.rs", "use crate::low::A;\n\nuse crate::top::B;\n")]),
            ["src/mid/a.rs:3: mid → top: `mid` may import low"]
        );
        assert_eq!(
            judge(&[("src/low/mod.rs", "use super::mid;")]),
            ["src/low/mod.rs:1: low → mid: `low` may import nothing"]
        );
        assert_eq!(
            judge(&[("src/low.rs", "use crate::*;")]),
            ["src/low.rs:1: low → *: `low` may import nothing"]
        );
        assert_eq!(
            judge(&[("src/main.rs", "use idp::low;")]),
            ["src/main.rs:1: main.rs → low: `main.rs` may import top"]
        );
    }

    #[test]
    fn arrows_down_and_within_are_fine() {
        assert!(
            judge(&[
                (
                    "src/mid/a/b.rs",
                    "use super::c; use crate::mid::D; use crate::low;"
                ),
                ("src/top.rs", "use crate::{low, mid};"),
                ("src/lib.rs", "pub mod low; pub mod mid;"),
                ("src/main.rs", "use idp::top;"),
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_room_needs_a_row() {
        assert_eq!(
            judge(&[("src/new/mod.rs", "")]),
            ["src/new/mod.rs: there is no row for the room `new`"]
        );
    }

    #[test]
    fn crates_stay_in_their_rooms() {
        assert_eq!(
            judge(&[(
                "src/low.rs",
                "use axum::Router;\nuse aws_sigv4::http_request;"
            )]),
            ["src/low.rs:1: low → axum: `axum` is only for top"]
        );
        assert_eq!(
            judge(&[("src/mid.rs", "use aws_config::x; fn f() { aws_sigv4::y() }")]),
            ["src/mid.rs:1: mid → aws_sigv4: `aws_sigv4` is only for low"]
        );
    }

    #[test]
    fn test_code_is_free() {
        assert!(
            judge(&[
                (
                    "src/low/mod.rs",
                    "#[cfg(test)] mod tests;\n#[cfg(test)] mod t { use crate::top; }"
                ),
                ("src/low/tests/deep.rs", "use crate::top; use axum::Router;"),
                (
                    "src/low/a.rs",
                    "#[cfg(test)]\n#[path = \"a_test.rs\"]\nmod tests;"
                ),
                ("src/low/a_test.rs", "use crate::top;"),
            ])
            .is_empty()
        );
    }

    #[test]
    fn long_files_are_named() {
        let long = "fn a() {}\n".repeat(MOST_LINES + 1);
        assert_eq!(judge(&[("src/low.rs", &long)]).len(), 1);
        let tested = format!("fn a() {{}}\n#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(judge(&[("src/low.rs", &tested)]).is_empty());
        let main = "fn a() {}\n".repeat(MOST_LINES_OF_MAIN + 1);
        assert_eq!(judge(&[("src/main.rs", &main)]).len(), 1);
    }
}
