//! Writing XML: elements and text, which is all that the query protocol has.

/// An XML document being written.
#[derive(Default)]
pub(super) struct Xml(String);

impl Xml {
    /// An empty document with room for a usual answer.
    pub(super) fn new() -> Self {
        Self(String::with_capacity(2048))
    }

    /// An element with elements in it.
    pub(super) fn element(&mut self, name: &str, children: impl FnOnce(&mut Self)) -> &mut Self {
        self.tag("<", name);
        children(self);
        self.tag("</", name)
    }

    /// The outermost element, in the STS namespace.
    pub(super) fn root(&mut self, name: &str, children: impl FnOnce(&mut Self)) -> &mut Self {
        self.0.push('<');
        self.0.push_str(name);
        self.0
            .push_str(" xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">");
        children(self);
        self.tag("</", name)
    }

    /// An element with text in it.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.tag("<", name);
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // A reader would turn a bare one into a line feed.
                '\r' => self.0.push_str("&#xD;"),
                c if is_xml(c) => self.0.push(c),
                _ => self.0.push(char::REPLACEMENT_CHARACTER),
            }
        }
        self.tag("</", name)
    }

    fn tag(&mut self, open: &str, name: &str) -> &mut Self {
        self.0.push_str(open);
        self.0.push_str(name);
        self.0.push('>');
        self
    }

    /// The document.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Whether XML 1.0 (§2.2) allows the character at all, escaped or not.
const fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quick_xml::{Reader, events::Event};

    use super::*;

    fn read_back(xml: &str) -> String {
        let mut reader = Reader::from_str(xml);
        let mut text = String::new();
        loop {
            match reader.read_event().unwrap() {
                Event::Eof => return text,
                Event::Text(part) => text.push_str(&part),
                Event::GeneralRef(name) => match name.resolve_char_ref().unwrap() {
                    Some(c) => text.push(c),
                    None => text.push_str(match &*name {
                        "amp" => "&",
                        "lt" => "<",
                        "gt" => ">",
                        "quot" => "\"",
                        "apos" => "'",
                        other => panic!("{other}"),
                    }),
                },
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(text in any::<String>()) {
            let mut xml = Xml::new();
            xml.root("A", |xml| {
                xml.element("B", |xml| {
                    xml.text("C", &text);
                });
            });
            let wanted: String = text
                .chars()
                .map(|c| if is_xml(c) { c } else { '\u{FFFD}' })
                .collect();
            prop_assert_eq!(read_back(&xml.finish()), wanted);
        }
    }
}
