//! JSON as a policy's author wrote it: every member of an object, repeated ones too, and where in the
//! text each element begins.
//!
//! A map would keep one of two `StringEquals` blocks and drop the other's conditions unseen.

use super::error::{Position, Problem};

/// How deep a document may nest. A policy needs six levels, and two more where it is wrapped in the
/// output of `aws iam get-role`.
const MAX_DEPTH: usize = 8;

/// A JSON value and where it begins, in bytes from the start of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: Kind,
}

/// What a value is; an object is its members in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// As JSON writes it.
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    /// Where its name begins.
    pub(super) at: usize,
    pub(super) value: Node,
}

impl Node {
    /// What kind of JSON it is, for messages.
    pub(super) const fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::String(_) => "a string",
            Kind::Array(_) => "an array",
            Kind::Object(_) => "an object",
        }
    }

    /// A member of an object; of repeated ones the first.
    pub(super) fn member(&self, name: &str) -> Option<&Member> {
        match &self.kind {
            Kind::Object(members) => members.iter().find(|member| member.name == name),
            _ => None,
        }
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Line and column of a byte of `text`.
pub(super) fn position(text: &str, at: usize) -> Position {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// Reads a JSON document (RFC 8259).
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader = Reader { text, at: 0 };
    // Editors of other systems leave a byte order mark, which is no part of the document.
    reader.eat("\u{FEFF}");
    let node = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.wrong("something follows the end of the document"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn wrong(&self, problem: impl Into<String>) -> Problem {
        Problem::syntax(self.at, problem)
    }

    /// What stands here, for messages.
    fn found(&self) -> String {
        match self.rest().chars().next() {
            None => "the text ends here".to_owned(),
            Some(c) => format!("{c:?} stands here"),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        self.space();
        let at = self.at;
        let kind = match self.peek() {
            Some(b'{' | b'[') if depth == MAX_DEPTH => {
                return Err(self.wrong(format!(
                    "it nests deeper than {MAX_DEPTH} levels, which no policy needs"
                )));
            }
            Some(b'{') => Kind::Object(self.object(depth + 1)?),
            Some(b'[') => Kind::Array(self.array(depth + 1)?),
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Kind::Number(self.number()?),
            _ if self.eat("true") => Kind::Bool(true),
            _ if self.eat("false") => Kind::Bool(false),
            _ if self.eat("null") => Kind::Null,
            _ => return Err(self.wrong(format!("a value is missing: {}", self.found()))),
        };
        Ok(Node { at, kind })
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Member>, Problem> {
        let mut members = Vec::new();
        self.at += 1;
        self.space();
        if self.eat("}") {
            return Ok(members);
        }
        loop {
            self.space();
            let at = self.at;
            if self.peek() == Some(b'}') {
                return Err(self.wrong("a comma before } is one too many"));
            }
            if self.peek() != Some(b'"') {
                return Err(self.wrong(format!("a name in \"\" is missing: {}", self.found())));
            }
            let name = self.string()?;
            self.space();
            if !self.eat(":") {
                return Err(self.wrong(format!("a colon is missing: {}", self.found())));
            }
            let value = self.value(depth)?;
            members.push(Member { name, at, value });
            self.space();
            if self.eat("}") {
                return Ok(members);
            }
            if !self.eat(",") {
                return Err(self.wrong(format!("a comma or }} is missing: {}", self.found())));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.eat("]") {
            return Ok(items);
        }
        loop {
            self.space();
            if self.peek() == Some(b']') {
                return Err(self.wrong("a comma before ] is one too many"));
            }
            items.push(self.value(depth)?);
            self.space();
            if self.eat("]") {
                return Ok(items);
            }
            if !self.eat(",") {
                return Err(self.wrong(format!("a comma or ] is missing: {}", self.found())));
            }
        }
    }

    fn number(&mut self) -> Result<String, Problem> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        // Shape only; whether it fits a machine's number is the operator's affair.
        if serde_json::from_str::<&serde_json::value::RawValue>(text).is_err() {
            self.at = start;
            return Err(self.wrong(format!("{text:?} is not a number")));
        }
        Ok(text.to_owned())
    }

    fn string(&mut self) -> Result<String, Problem> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let plain = self
                .rest()
                .find(|c: char| matches!(c, '"' | '\\') || c < ' ')
                .unwrap_or(self.rest().len());
            out.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => {
                    return Err(self.wrong(
                        "a line break or control character is inside a string; write it as \\n or \
                         \\u00XX",
                    ));
                }
                None => {
                    self.at = start;
                    return Err(self.wrong("the string that begins here has no end"));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Problem> {
        let start = self.at;
        self.at += 1;
        let escaped = self.rest().chars().next();
        self.at += escaped.map_or(0, char::len_utf8);
        let read = match escaped {
            Some(c @ ('"' | '\\' | '/')) => Some(c),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => self.unicode(),
            _ => None,
        };
        read.ok_or_else(|| {
            self.at = start;
            self.wrong("this is not an escape; write \\\\ for a backslash")
        })
    }

    /// The rest of `\uXXXX`, and of `\uXXXX\uXXXX` where it is a surrogate pair.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first);
        }
        if !self.eat("\\u") {
            return None;
        }
        let second = self
            .hex()
            .filter(|second| (0xDC00..0xE000).contains(second))?;
        char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00))
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let code = u32::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(code)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(node: &Node) -> serde_json::Value {
        match &node.kind {
            Kind::Null => serde_json::Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Number(text) => serde_json::from_str(text).unwrap(),
            Kind::String(text) => text.as_str().into(),
            Kind::Array(items) => items.iter().map(value).collect(),
            Kind::Object(members) => members
                .iter()
                .map(|member| (member.name.clone(), value(&member.value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    #[test]
    fn keeps_repeated_members_and_places() {
        let text = "{\"a\":1,\n \"b\":[true],\"a\":\"x\"}";
        let node = parse(text).unwrap();
        let Kind::Object(members) = &node.kind else {
            panic!("an object")
        };
        let shown: Vec<_> = members
            .iter()
            .map(|member| {
                let position = position(text, member.at);
                (member.name.as_str(), position.line, position.column)
            })
            .collect();
        assert_eq!(shown, [("a", 1, 2), ("b", 2, 2), ("a", 2, 13)]);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(8)).is_ok());
        for levels in [9, 10, 1_000_000] {
            assert!(parse(&nested(levels)).is_err(), "{levels}");
        }
    }

    #[test]
    fn surrogates_come_in_pairs() {
        assert_eq!(parse(r#""\ud83d\ude00""#).unwrap().text(), Some("😀"));
        for bad in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ude00""#,
            r#""\ud83d\u0041""#,
            r#""\u12""#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Another reader of JSON has to agree on everything but depth and repeated members.
        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{}",:0-9.eE+\-\\ untrfalse\n]{0,16}"#) {
            match (parse(&text), serde_json::from_str::<&serde_json::value::RawValue>(&text)) {
                (Ok(node), Ok(other)) => {
                    // Numbers that no machine number holds are left to whoever compares them.
                    if let Ok(other) = serde_json::from_str::<serde_json::Value>(other.get()) {
                        prop_assert_eq!(value(&node), other);
                    }
                }
                (Ok(node), Err(_)) => prop_assert!(false, "{:?}", node),
                (Err(problem), Ok(_)) => prop_assert!(false, "{:?}", problem),
                (Err(_), Err(_)) => {}
            }
        }

        #[test]
        fn reads_what_serde_json_writes(text in ".{0,20}", number in any::<f64>()) {
            let value_in = serde_json::json!({ "a": [text, number, null], "b": { text.clone(): true } });
            let read = parse(&value_in.to_string()).unwrap();
            prop_assert_eq!(value(&read), serde_json::from_str::<serde_json::Value>(&value_in.to_string()).unwrap());
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            drop(parse(&text));
        }
    }
}
