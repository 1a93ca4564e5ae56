//! `X-Amz-Date`.

use jiff::{civil::DateTime, tz::TimeZone};

use crate::domain::Timestamp;

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// Reads `YYYYMMDD'T'HHMMSS'Z'`, exactly.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let shape = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let at = shape.then(|| DateTime::strptime(FORMAT, text).ok())??;
    let zoned = at.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp::from_secs(zoned.timestamp().as_second()))
}

/// Writes the same form.
pub(super) fn show(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.secs())
        .map(|at| at.strftime(FORMAT).to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let at = Timestamp::from_secs(1_740_514_245);
        assert_eq!(show(at), "20250225T201045Z");
        assert_eq!(parse("20250225T201045Z"), Some(at));
        for bad in [
            "",
            "2025-02-25T20:10:45Z",
            "20250225T201045",
            "20251325T201045Z",
            "20250225T251045Z",
            "20250225T20104éZ",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
