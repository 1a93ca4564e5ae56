//! Where the AWS files are.

use std::{
    ffi::{OsStr, OsString},
    path::{Component, Path, PathBuf},
};

use super::FileError;

/// One of the two files: its name in messages, the variable that moves it, its place under the
/// home directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    pub(super) file: &'static str,
    pub(super) variable: &'static str,
    pub(super) default: &'static str,
}

impl Location {
    /// The file's path, given the environment.
    ///
    /// `~/…` is expanded as the tools do it. Where they disagree on a path (botocore also expands
    /// `$NAME` and `~user`, the SDKs do not), it is refused: they would read different files.
    pub(super) fn find(self, env: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, FileError> {
        let Some(given) = env(self.variable) else {
            return Ok(self.home(env)?.join(self.default));
        };
        let bytes = given.as_encoded_bytes();
        if bytes.is_empty() {
            return Err(self.refuse("is empty", "unset it, or set it to a path"));
        }
        if bytes.contains(&b'$') {
            return Err(self.refuse(
                "contains `$`, which the AWS CLI expands and the AWS SDKs do not",
                "write the path out",
            ));
        }
        let path = Path::new(&given);
        let mut parts = path.components();
        match parts.next().map(Component::as_os_str) {
            Some(first) if first == OsStr::new("~") => Ok(self.home(env)?.join(parts)),
            Some(first) if first.as_encoded_bytes().starts_with(b"~") => Err(self.refuse(
                "begins with `~` and a user's name, which the AWS CLI expands and the AWS SDKs do not",
                "write the path out",
            )),
            _ => Ok(path.to_owned()),
        }
    }

    fn home(self, env: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, FileError> {
        match env("HOME") {
            Some(home) if !home.is_empty() => Ok(home.into()),
            _ => Err(FileError::Location {
                file: self.file,
                problem: format!("neither HOME nor {} is set to a full path", self.variable),
                cure: "set one of them",
            }),
        }
    }

    fn refuse(self, problem: &str, cure: &'static str) -> FileError {
        FileError::Location {
            file: self.file,
            problem: format!("{} {problem}", self.variable),
            cure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCATION: Location = Location {
        file: "AWS credentials file",
        variable: "VAR",
        default: ".aws/credentials",
    };

    fn find(pairs: &[(&str, &str)]) -> Result<PathBuf, String> {
        LOCATION
            .find(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| OsString::from(value))
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_variable_goes_before_the_home_directory() {
        assert_eq!(find(&[("HOME", "/h")]), Ok("/h/.aws/credentials".into()));
        assert_eq!(find(&[("HOME", "/h"), ("VAR", "/x/y")]), Ok("/x/y".into()));
        assert_eq!(find(&[("VAR", "y")]), Ok("y".into()));
    }

    #[test]
    fn a_tilde_is_the_home_directory() {
        assert_eq!(
            find(&[("HOME", "/h"), ("VAR", "~/a/b")]),
            Ok("/h/a/b".into())
        );
        assert_eq!(
            find(&[("HOME", "/h"), ("VAR", "/a/~/b")]),
            Ok("/a/~/b".into())
        );
    }

    #[test]
    fn what_the_tools_would_not_agree_on_is_refused() {
        for path in ["", "~root/x", "$HOME/x", "/a/${B}"] {
            let error = find(&[("HOME", "/h"), ("VAR", path)]).unwrap_err();
            assert!(error.contains("VAR"), "{error}");
        }
    }

    #[test]
    fn without_a_home_the_message_names_both_variables() {
        for env in [&[][..], &[("HOME", "")], &[("VAR", "~/x")]] {
            let error = find(env).unwrap_err();
            assert!(error.contains("HOME") && error.contains("VAR"), "{error}");
        }
    }
}
