//! `[audit]`

use std::time::Duration;

use super::reader::Reader;

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Where checkpoints are written: a directory, or `s3://bucket/prefix`; nowhere if `None`.
    pub checkpoints: Option<String>,
    /// How often.
    pub checkpoint_every: Duration,
    /// How long records are kept; for ever if `None`.
    pub retain: Option<Duration>,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            checkpoints: None,
            checkpoint_every: Duration::from_hours(1),
            retain: None,
        }
    }
}

/// Longer than any token lives, and than it takes to see that something is wrong.
const LEAST_RETAINED: Duration = Duration::from_hours(24);

pub(super) fn read(reader: &mut Reader<'_>) -> AuditSettings {
    let default = AuditSettings::default();
    let checkpoints = match reader.text("audit.checkpoints") {
        Some(text) if text.starts_with("s3://") => Some(text),
        Some(_) => reader
            .optional_path("audit.checkpoints")
            .map(|path| path.display().to_string()),
        None => None,
    };
    let settings = AuditSettings {
        checkpoints,
        checkpoint_every: reader
            .optional_with("audit.checkpoint_every", |text| {
                between(text, Duration::from_mins(1), Duration::from_hours(24))
            })
            .unwrap_or(default.checkpoint_every),
        retain: reader.optional_with("audit.retain", |text| {
            between(text, LEAST_RETAINED, Duration::from_hours(24 * 36_500))
        }),
    };
    if settings.retain.is_some() && settings.checkpoints.is_none() {
        reader.note(
            "audit.retain",
            "removes records only behind a checkpoint, and none are written",
            "set audit.checkpoints to a directory or to s3://bucket/prefix, or leave retain out",
        );
    }
    settings
}

fn between(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = duration(text)
        .ok_or_else(|| "is not a duration; write one like 90s, 30m, 12h or 400d".to_owned())?;
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("is not from {} to {}", shown(least), shown(most)))
    }
}

/// A whole number and `s`, `m`, `h` or `d`.
fn duration(text: &str) -> Option<Duration> {
    let number: u64 = text.get(..text.len().checked_sub(1)?)?.parse().ok()?;
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(unit).map(Duration::from_secs)
}

fn shown(duration: Duration) -> String {
    match duration.as_secs() {
        secs if secs.is_multiple_of(86_400) => format!("{}d", secs / 86_400),
        secs if secs.is_multiple_of(3_600) => format!("{}h", secs / 3_600),
        secs if secs.is_multiple_of(60) => format!("{}m", secs / 60),
        secs => format!("{secs}s"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::Settings, *};

    fn load(audit: &str) -> Result<AuditSettings, String> {
        let text = format!(
            "issuer = \"https://idp.example.com\"\ndatabase.url = \"sqlite:/idp.db\"\n[audit]\n{audit}"
        );
        Settings::load(Some((Path::new("/etc/idp.toml"), &text)), &|_| None)
            .map(|settings| settings.audit)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_directory_counts_from_the_file_and_a_bucket_does_not() {
        assert_eq!(load("").unwrap(), AuditSettings::default());
        let settings = load("checkpoints = \"a\"\nretain = \"400d\"").unwrap();
        assert_eq!(settings.checkpoints.as_deref(), Some("/etc/a"));
        assert_eq!(settings.retain, Some(Duration::from_hours(9_600)));
        let settings = load("checkpoints = \"s3://b/c\"\ncheckpoint_every = \"5m\"").unwrap();
        assert_eq!(settings.checkpoints.as_deref(), Some("s3://b/c"));
        assert_eq!(settings.checkpoint_every, Duration::from_mins(5));
    }

    #[test]
    fn nothing_is_removed_without_checkpoints() {
        for (text, says) in [
            ("retain = \"400d\"", "set audit.checkpoints to a directory"),
            (
                "checkpoints = \"a\"\nretain = \"1h\"",
                "is not from 1d to 36500d",
            ),
            (
                "checkpoints = \"a\"\nretain = \"400\"",
                "write one like 90s, 30m, 12h or 400d",
            ),
            ("checkpoint_every = \"1s\"", "is not from 1m to 1d"),
        ] {
            let errors = load(text).unwrap_err();
            assert!(errors.contains(says), "{text}: {errors}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("400d"), Some(Duration::from_hours(9_600)));
        assert_eq!(duration("90s"), Some(Duration::from_secs(90)));
        for bad in [
            "",
            "d",
            "400",
            "1.5h",
            "-1d",
            "1é",
            "99999999999999999d",
            "1 d",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(shown(Duration::from_hours(36)), "36h");
    }
}
