//! What the operators that do not compare texts compare: numbers, times, bytes, addresses.

use std::{cmp::Ordering, net::IpAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ipnet::IpNet;

/// A decimal number, with or without fraction and exponent.
pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse()
        .ok()
        .filter(|number: &f64| plain && number.is_finite())
}

/// A time as the W3C's profile of ISO 8601 writes it (`2026`, `2026-11`, `2026-11-22`,
/// `2026-11-22T08:00Z`, `2026-11-22T08:00:00.5+01:00`) or as seconds since the epoch; in
/// milliseconds since the epoch.
pub(super) fn date(text: &str) -> Option<i64> {
    // Four digits are a year.
    if (text.len() > 4 || text.starts_with('-'))
        && let Ok(seconds) = text.parse::<i64>()
    {
        return seconds.checked_mul(1000);
    }
    let whole = match text.len() {
        4 => format!("{text}-01-01T00:00:00Z"),
        7 => format!("{text}-01T00:00:00Z"),
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    // A form of minutes only is written out for the parser.
    let (day, time) = whole.split_once(['T', 't'])?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone);
    let seconds = if clock.matches(':').count() == 1 {
        ":00"
    } else {
        ""
    };
    format!("{day}T{clock}{seconds}{zone}")
        .parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_millisecond)
}

/// Compares two numbers.
pub(super) fn compare_numbers(got: &str, wanted: &str) -> Option<Ordering> {
    number(got)?.partial_cmp(&number(wanted)?)
}

/// Compares two times.
pub(super) fn compare_dates(got: &str, wanted: &str) -> Option<Ordering> {
    Some(date(got)?.cmp(&date(wanted)?))
}

/// A network, or a single address as the network that holds nothing else.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Whether an address lies in a network. An IPv4 address written as IPv6 is an IPv4 address.
pub(super) fn is_within(got: &str, wanted: &str) -> bool {
    match (got.parse::<IpAddr>(), network(wanted)) {
        (Ok(address), Some(network)) => network.contains(&address.to_canonical()),
        _ => false,
    }
}

/// Bytes in base64.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_have_several_forms() {
        let at = Some(1_795_305_600_000);
        for text in [
            "2026-11-22T00:00:00Z",
            "2026-11-22",
            "2026-11-22T01:00+01:00",
            "1795305600",
        ] {
            assert_eq!(date(text), at, "{text}");
        }
        assert_eq!(date("2026"), date("2026-01-01T00:00:00.000Z"));
        assert_eq!(date("2026-11"), date("2026-11-01"));
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-11-22T00:00:00",
            "22.11.2026",
        ] {
            assert_eq!(date(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_decimal_and_finite() {
        for (text, wanted) in [
            ("3", Some(3.0)),
            ("-0.5", Some(-0.5)),
            ("1e3", Some(1000.0)),
        ] {
            assert_eq!(number(text), wanted);
        }
        for text in ["", "NaN", "inf", "0x1", "1 ", "1e999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_see_through_mapping() {
        for (got, wanted, within) in [
            ("203.0.113.9", "203.0.113.0/24", true),
            ("::ffff:203.0.113.9", "203.0.113.0/24", true),
            ("203.0.114.9", "203.0.113.0/24", false),
            ("203.0.113.9", "203.0.113.9", true),
            ("2001:db8::1", "2001:db8::/32", true),
            ("2001:db8::1", "0.0.0.0/0", false),
            ("here", "0.0.0.0/0", false),
        ] {
            assert_eq!(is_within(got, wanted), within, "{got} {wanted}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,30}") {
            drop((number(&text), date(&text), network(&text), bytes(&text)));
        }
    }
}
