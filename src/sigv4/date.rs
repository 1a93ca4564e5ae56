//! `X-Amz-Date`.

use jiff::{
    civil::DateTime,
    tz::{Offset, TimeZone},
};

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

/// Writes the same form; `None` for a year that has not four digits.
pub(super) fn stamp(at: Timestamp) -> Option<[u8; 16]> {
    let at = jiff::Timestamp::from_second(at.secs()).ok()?;
    let at = Offset::UTC.to_datetime(at);
    let mut text = *b"00000000T000000Z";
    let year = u16::try_from(at.year()).ok()?;
    for (place, two) in [
        (0, year / 100),
        (2, year % 100),
        (4, u16::try_from(at.month()).ok()?),
        (6, u16::try_from(at.day()).ok()?),
        (9, u16::try_from(at.hour()).ok()?),
        (11, u16::try_from(at.minute()).ok()?),
        (13, u16::try_from(at.second()).ok()?),
    ] {
        let [tens, ones] = [two / 10, two % 10].map(|digit| u8::try_from(digit).ok());
        text[place] += tens?;
        text[place + 1] += ones?;
    }
    Some(text)
}

/// The same as text, for messages.
pub(super) fn show(at: Timestamp) -> String {
    stamp(at)
        .map(|text| String::from_utf8_lossy(&text).into_owned())
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
