//! W3C Trace Context: the `traceparent` that a caller sends, so that its trace and our log lines find
//! each other (<https://www.w3.org/TR/trace-context/#traceparent-header>).

use axum::http::HeaderMap;

/// The caller's trace and the span in it that called us: lower-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceParent<'a> {
    /// 32 digits, not all zeros.
    pub(super) trace_id: &'a str,
    /// 16 digits, not all zeros.
    pub(super) parent_id: &'a str,
    /// Whether the caller records its trace.
    pub(super) sampled: bool,
}

impl<'a> TraceParent<'a> {
    /// The one `traceparent` of a request; `None` where there is none, or none that is valid: the
    /// specification has such a header ignored.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("traceparent").iter();
        let value = values.next()?.to_str().ok()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value)
    }

    fn parse(value: &'a str) -> Option<Self> {
        let (version, rest) = value.split_once('-')?;
        let (trace_id, rest) = rest.split_once('-')?;
        let (parent_id, rest) = rest.split_once('-')?;
        // A later version may append fields; this one has none.
        let (flags, more) = match rest.split_once('-') {
            Some((flags, _)) => (flags, true),
            None => (rest, false),
        };
        let valid = is_hex(version, 2)
            && version != "ff"
            && !(version == "00" && more)
            && is_hex(trace_id, 32)
            && is_hex(parent_id, 16)
            && is_hex(flags, 2)
            && has_digit(trace_id)
            && has_digit(parent_id);
        valid.then(|| Self {
            trace_id,
            parent_id,
            sampled: u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1),
        })
    }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Anything but zeros.
fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification() {
        let parsed = TraceParent::parse(VALID).unwrap();
        assert_eq!(parsed.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parsed.parent_id, "00f067aa0ba902b7");
        assert!(parsed.sampled);
    }

    #[test]
    fn what_is_not_valid_is_ignored() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-has";
        assert!(TraceParent::parse(later).is_some());
        let mut headers = HeaderMap::new();
        headers.append("traceparent", VALID.parse().unwrap());
        assert!(TraceParent::of(&headers).is_some());
        headers.append("traceparent", VALID.parse().unwrap());
        assert_eq!(TraceParent::of(&headers), None, "two say nothing");
    }

    proptest! {
        /// Whatever comes, nothing but hex of the right length reaches a log line.
        #[test]
        fn nothing_else_gets_through(text in "[0-9a-fg\\-\u{e9}]{0,70}|\\PC*") {
            if let Some(parsed) = TraceParent::parse(&text) {
                prop_assert!(is_hex(parsed.trace_id, 32) && is_hex(parsed.parent_id, 16));
            }
        }
    }
}
