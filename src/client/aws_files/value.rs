//! Values that both readers read back as they were written.

use super::FileError;

/// Accepts a value for the credentials file: visible ASCII without spaces, as STS issues them,
/// not beginning with a comment mark.
pub(super) fn check_credential(key: &str, value: &str) -> Result<(), FileError> {
    if !value.chars().all(|c| c.is_ascii_graphic()) {
        return Err(refuse(
            key,
            "it has a space, a control character or one outside ASCII",
        ));
    }
    check_setting(key, value)
}

/// Accepts a value for the config file: one line of text that no reader trims or cuts.
pub(super) fn check_setting(key: &str, value: &str) -> Result<(), FileError> {
    if value.is_empty() {
        return Err(refuse(key, "it is empty"));
    }
    if value.chars().any(char::is_control) {
        return Err(refuse(
            key,
            "it has a line break or another control character",
        ));
    }
    if super::botocore::strip(value).len() != value.len() {
        return Err(refuse(key, "it begins or ends with a space"));
    }
    // The SDKs take ` #` and ` ;` for the beginning of a comment.
    let mut after_space = true;
    for c in value.chars() {
        if after_space && matches!(c, '#' | ';') {
            return Err(refuse(
                key,
                "the AWS SDKs would read a part of it as a comment",
            ));
        }
        after_space = c.is_whitespace();
    }
    Ok(())
}

/// Accepts the name of a setting: lower-case letters, digits and underscores.
pub(super) fn check_key(key: &str) -> Result<(), FileError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if key.is_empty() || !key.chars().all(plain) {
        return Err(refuse(
            key,
            "the setting's name has other characters than a-z, 0-9 and _",
        ));
    }
    Ok(())
}

fn refuse(key: &str, problem: &'static str) -> FileError {
    FileError::Value {
        key: key.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_visible_ascii() {
        check_credential("k", "FwoGZXIvYXdzE==/+").unwrap();
        for bad in ["", "a b", "a\nb", "a\r", "\0", "é", "#a", ";a", "a\t"] {
            let error = check_credential("k", bad).unwrap_err().to_string();
            assert!(
                bad.is_empty() || bad == "k" || !error.contains(bad),
                "{error}"
            );
        }
    }

    #[test]
    fn settings_are_one_line_that_no_reader_cuts() {
        check_setting("k", "idp aws credential-process --role-arn a#b").unwrap();
        for bad in [
            "", " a", "a ", "a #b", "a ;b", "#a", "a\nb", "a\u{a0}", "a\u{85}b",
        ] {
            assert!(check_setting("k", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_are_plain() {
        check_key("s3_use_2").unwrap();
        for bad in ["", "A", "a b", "a=", "a\n", "#a"] {
            assert!(check_key(bad).is_err(), "{bad:?}");
        }
    }
}
