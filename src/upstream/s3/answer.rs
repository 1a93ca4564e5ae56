//! What S3 answers in XML: errors and listings.

use percent_encoding::percent_decode_str;
use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

/// The texts of all elements of that name, whatever they are in. `None` where it is not XML.
fn texts(xml: &[u8], name: &str) -> Option<Vec<String>> {
    let mut reader = Reader::from_str(std::str::from_utf8(xml).ok()?);
    let mut found = Vec::new();
    let mut inside: Option<String> = None;
    loop {
        match (reader.read_event().ok()?, &mut inside) {
            (Event::Start(tag), _) => {
                inside = (tag.local_name().as_ref() == name).then(String::new);
            }
            (Event::Text(text), Some(inside)) => inside.push_str(&text),
            (Event::GeneralRef(name), Some(inside)) => match name.resolve_char_ref().ok()? {
                Some(character) => inside.push(character),
                None => inside.push_str(resolve_predefined_entity(&name)?),
            },
            (Event::End(_), _) => found.extend(inside.take()),
            (Event::Eof, _) => return Some(found),
            _ => {}
        }
    }
}

/// An error's code and message (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
pub(super) fn error(xml: &[u8]) -> Option<(String, String)> {
    let first = |name| texts(xml, name)?.into_iter().next();
    Some((first("Code")?, first("Message").unwrap_or_default()))
}

/// The keys of a listing. `None` where it is not one.
pub(super) fn keys(xml: &[u8]) -> Option<Vec<String>> {
    texts(xml, "IsTruncated").filter(|found| !found.is_empty())?;
    texts(xml, "Key")?
        .iter()
        .map(|key| {
            // `encoding-type=url` writes a space as a plus.
            let key = key.replace('+', " ");
            let decoded = percent_decode_str(&key).decode_utf8().ok()?;
            Some(decoded.into_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_errors_and_listings() {
        let xml = b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>\
            <Message>Access &amp; more &#x41;</Message></Error>";
        let (code, message) = error(xml).unwrap();
        assert_eq!((&*code, &*message), ("AccessDenied", "Access & more A"));
        let xml = b"<ListBucketResult xmlns=\"x\"><IsTruncated>false</IsTruncated>\
            <Contents><Key>a+b%2Fc</Key><Size>1</Size></Contents><Contents><Key>d</Key></Contents>\
            <CommonPrefixes><Prefix>e/</Prefix></CommonPrefixes></ListBucketResult>";
        assert_eq!(keys(xml).unwrap(), ["a b/c", "d"]);
    }

    #[test]
    fn other_answers_are_none() {
        for other in [
            &b""[..],
            b"<html><Key>x</Key></html>",
            b"<Error><Code",
            b"\xff",
        ] {
            assert_eq!(keys(other), None);
            assert_eq!(error(other), None);
        }
    }
}
