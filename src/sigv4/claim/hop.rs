//! Headers for one connection only, and headers that say who forwarded a request.

use http::{HeaderMap, HeaderName, header};

use super::PresentedError;

/// `Connection` may name these by mistake or in malice; without them, nobody knows where the body ends
/// or for whom the request is.
const FRAMING: [&str; 3] = ["content-length", "host", "transfer-encoding"];

const FOR_ONE_CONNECTION: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-real-ip"),
];

/// Takes them out.
pub(super) fn strip(headers: &mut HeaderMap) -> Result<(), PresentedError> {
    for name in named(headers)? {
        headers.remove(name);
    }
    for name in FOR_ONE_CONNECTION {
        headers.remove(name);
    }
    let prefixed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name.starts_with("proxy-") || name.starts_with("x-forwarded-")
        })
        .cloned()
        .collect();
    for name in prefixed {
        headers.remove(name);
    }
    Ok(())
}

/// What `Connection` names.
fn named(headers: &HeaderMap) -> Result<Vec<HeaderName>, PresentedError> {
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for option in value.as_bytes().split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            let framing = FRAMING
                .into_iter()
                .find(|name| option.eq_ignore_ascii_case(name.as_bytes()));
            if let Some(name) = framing {
                return Err(PresentedError::Connection(name));
            }
            // What is no name of a header, no header has.
            names.extend(HeaderName::from_bytes(option).ok());
        }
    }
    Ok(names)
}
