//! The body of Amazon S3's `DeleteObjects`: a list of keys in XML.
//!
//! Nothing is taken from a document that has anything in it that this does not know, since another reader
//! might see other keys there.

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesStart, Event},
};

use super::body::Malformed;

/// An object to delete, or a version of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Deletion {
    pub(super) key: String,
    pub(super) version: Option<String>,
}

/// What an `Object` says beside its key and version.
/// ([ObjectIdentifier](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ObjectIdentifier.html))
const CONDITIONS: [&str; 3] = ["ETag", "LastModifiedTime", "Size"];

/// Where in the document something stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Outside of the root.
    Outside,
    /// In `Delete`.
    Root,
    /// In `Object`.
    Object,
    /// In an element of `Object` or in `Quiet`, whose text counts.
    Text,
}

/// Reads the body: `<Delete><Object><Key>…</Key><VersionId>…</VersionId></Object>…</Delete>`.
/// ([DeleteObjects](https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html))
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Deletion>, Malformed> {
    let odd =
        || Malformed("its body is no list of objects to delete in the XML of Amazon S3".to_owned());
    let text = std::str::from_utf8(bytes).map_err(|_| odd())?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut list = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut members: Vec<(String, String)> = Vec::new();
    let mut inside = String::new();
    let (mut at, mut is_done) = (At::Outside, false);
    loop {
        match (reader.read_event().map_err(|_| odd())?, at) {
            (Event::Decl(declaration), At::Outside) if open.is_empty() && !is_done => {
                let is_utf8 = declaration
                    .encoding()
                    .is_none_or(|name| name.is_ok_and(|name| name.eq_ignore_ascii_case("utf-8")));
                if !is_utf8 {
                    return Err(odd());
                }
            }
            (Event::Start(tag), _) => {
                let name: &str = tag.name().into_inner();
                at = match (at, name) {
                    (At::Outside, "Delete") if !is_done && is_plain(&tag, true) => At::Root,
                    (At::Root, "Object") if is_plain(&tag, false) => At::Object,
                    (At::Root, "Quiet") if is_plain(&tag, false) => At::Text,
                    (At::Object, name)
                        if is_plain(&tag, false)
                            && (["Key", "VersionId"].contains(&name)
                                || CONDITIONS.contains(&name))
                            && members.iter().all(|(other, _)| other != name) =>
                    {
                        At::Text
                    }
                    _ => return Err(odd()),
                };
                open.push(name.to_owned());
                inside.clear();
            }
            (Event::Text(part), At::Text) => inside.push_str(&part),
            // White space between elements.
            (Event::Text(part), _) if part.bytes().all(|b| b" \t\r\n".contains(&b)) => {}
            (Event::GeneralRef(name), At::Text) => {
                match name.resolve_char_ref().map_err(|_| odd())? {
                    Some(character) => inside.push(character),
                    None => inside.push_str(resolve_predefined_entity(&name).ok_or_else(odd)?),
                }
            }
            (Event::End(_), _) => {
                let name = open.pop().ok_or_else(odd)?;
                // A line's end has two spellings, which readers of XML make one.
                if inside.contains('\r') && at == At::Text {
                    return Err(odd());
                }
                at = match (at, open.len()) {
                    (At::Text, 2) => {
                        members.push((name, std::mem::take(&mut inside)));
                        At::Object
                    }
                    (At::Text, _) => At::Root,
                    (At::Object, _) => {
                        list.push(deletion(std::mem::take(&mut members)).ok_or_else(odd)?);
                        At::Root
                    }
                    _ => {
                        is_done = true;
                        At::Outside
                    }
                };
            }
            (Event::Eof, At::Outside) if is_done => return Ok(list),
            _ => return Err(odd()),
        }
    }
}

fn deletion(members: Vec<(String, String)>) -> Option<Deletion> {
    let mut found = Deletion::default();
    for (name, text) in members {
        match name.as_str() {
            "Key" => found.key = text,
            "VersionId" => found.version = Some(text),
            _ => {}
        }
    }
    (!found.key.is_empty()).then_some(found)
}

/// Whether a tag has no attributes; the root may have the namespace that all of it is in.
fn is_plain(tag: &BytesStart<'_>, is_root: bool) -> bool {
    tag.attributes()
        .all(|one| is_root && one.is_ok_and(|one| one.key.into_inner() == "xmlns"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(body: &str) -> Option<Vec<String>> {
        let list = read(body.as_bytes()).ok()?;
        Some(list.into_iter().map(|one| one.key).collect())
    }

    #[test]
    fn keys_are_read_as_they_are() {
        let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n<Quiet>true</Quiet>\
            <Object><Key> a &amp; b&#x41;</Key></Object>\
            <Object><VersionId>v</VersionId><Key>c/d</Key><ETag>x</ETag></Object></Delete>\n";
        let found = read(body.as_bytes()).unwrap();
        assert_eq!(
            found[0],
            Deletion {
                key: " a & bA".to_owned(),
                version: None
            }
        );
        assert_eq!(
            found[1],
            Deletion {
                key: "c/d".to_owned(),
                version: Some("v".to_owned())
            }
        );
        assert_eq!(keys("<Delete/>"), Some(Vec::new()));
        let versioned = "<Delete><Object><Key>k</Key><VersionId/></Object></Delete>";
        assert_eq!(
            read(versioned.as_bytes()).unwrap()[0].version.as_deref(),
            Some("")
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for body in [
            "",
            "x",
            "<Delete>",
            "<Delete></Delete><Delete/>",
            "<Delete/>x",
            "<Other/>",
            "<a:Delete xmlns:a=\"x\"/>",
            "<Delete><Object/></Delete>",
            "<Delete><Object><Key/></Object></Delete>",
            "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
            "<Delete><Object Key=\"b\"><Key>a</Key></Object></Delete>",
            "<Delete><Object><Key>a<!-- --></Key></Object></Delete>",
            "<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>",
            "<Delete><Object><Key>a<x/></Key></Object></Delete>",
            "<Delete><Object><Key>a&b;</Key></Object></Delete>",
            "<Delete><Object><Key>a\r\n</Key></Object></Delete>",
            "<Delete><Object><key>a</key></Object></Delete>",
            "<Delete><Object>x<Key>a</Key></Object></Delete>",
            "<Delete><Key>a</Key></Delete>",
            "<!DOCTYPE Delete [<!ENTITY b \"c\">]><Delete><Object><Key>a</Key></Object></Delete>",
            "<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete/>",
            "<?x y?><Delete/>",
        ] {
            assert_eq!(keys(body), None, "{body}");
        }
        assert!(read(b"<Delete><Object><Key>\xff</Key></Object></Delete>").is_err());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in "[<>/&;#x!\\[\\]A-CDeltObjcKy \\r]{0,60}") {
            let _ = read(body.as_bytes());
        }

        #[test]
        fn every_key_is_found(key in "[a-z<>&\"' /]{1,20}") {
            let written = key.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let body = format!("<Delete><Object><Key>{written}</Key></Object></Delete>");
            prop_assert_eq!(keys(&body), Some(vec![key]));
        }
    }
}
