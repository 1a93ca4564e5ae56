//! The rules file that a command names.

use std::{fs, path::Path};

use crate::{
    cli::{
        exit::ExitCode,
        failure::{Failure, Outcome},
        input,
    },
    domain::RoleArn,
    policy::{Rules, RulesError},
};

/// The most bytes of a file that a rules file names.
const MOST_BYTES: u64 = 1024 * 1024;

/// Reads a rules file, or standard input where `path` is `-`. Files that it names count from its
/// directory. `Ok(Err(…))` where it is no rules file.
pub(super) fn read(path: &Path) -> Outcome<Result<Rules, RulesError>> {
    let text = input::read(path, "rules")?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let read_file = |name: &str| {
        let path = directory.join(name);
        let size = fs::metadata(&path)
            .map_err(|error| error.to_string())?
            .len();
        if size > MOST_BYTES {
            return Err("it has more than 1 MiB".to_owned());
        }
        fs::read_to_string(&path).map_err(|error| error.to_string())
    };
    Ok(Rules::parse(&text, &path.display().to_string(), &read_file))
}

/// The same with the role that signs what no role of the file is for; a file that is no rules file is
/// a failure.
pub(super) fn load(path: &Path, default_role: Option<&RoleArn>) -> Outcome<Rules> {
    let rules = read(path)?.map_err(|error| {
        Failure::new(ExitCode::Findings, error).help("docs/PROXY-RULES.md describes the file")
    })?;
    Ok(match default_role {
        Some(role) => rules.with_default_role(role.clone()),
        None => rules,
    })
}
