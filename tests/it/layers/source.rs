//! Rust source as tokens: enough to find paths in it, blind to comments, strings and test code.

use std::iter::Peekable;
use std::str::Chars;

/// A token that matters to a path; everything else in a file is one of these too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword; raw ones without their `r#`.
    Word(String),
    /// What stands between plain quotes, escapes as they were written. Other literals are left out.
    Text(String),
    /// Any other character that is neither space, comment, literal nor lifetime.
    Mark(char),
}

/// A token and the line it is on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub(crate) fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Text(_) | Kind::Mark(_) => None,
        }
    }
}

/// Splits source into tokens. Text that is not Rust gives tokens too, only meaningless ones.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader {
        chars: text.chars().peekable(),
        line: 1,
    };
    let mut found = Vec::new();
    while let Some(&first) = reader.chars.peek() {
        let line = reader.line;
        if first.is_alphabetic() || first == '_' {
            let word = reader.word();
            if let Some(word) = reader.literal_or_word(word) {
                found.push(Token {
                    kind: Kind::Word(word),
                    line,
                });
            }
            continue;
        }
        reader.next();
        match first {
            '/' if reader.chars.peek() == Some(&'/') => reader.skip_line(),
            '/' if reader.chars.peek() == Some(&'*') => reader.skip_block_comment(),
            '"' => found.push(Token {
                kind: Kind::Text(reader.string()),
                line,
            }),
            '\'' => reader.skip_quote(),
            digit if digit.is_ascii_digit() => {
                reader.word();
            }
            space if space.is_whitespace() => {}
            mark => found.push(Token {
                kind: Kind::Mark(mark),
                line,
            }),
        }
    }
    found
}

struct Reader<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self
            .chars
            .next_if(|next| next.is_alphanumeric() || *next == '_')
        {
            word.push(next);
        }
        word
    }

    /// `r"…"`, `br#"…"#`, `c"…"` and `b'…'` begin like words; `r#type` is one.
    fn literal_or_word(&mut self, word: String) -> Option<String> {
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        match self.chars.peek() {
            Some('"') if raw => {
                self.next();
                self.skip_raw_string(0);
                None
            }
            Some('"') if matches!(word.as_str(), "b" | "c") => {
                self.next();
                self.string();
                None
            }
            Some('\'') if word == "b" => {
                self.next();
                self.skip_quote();
                None
            }
            Some('#') if raw => {
                let mut hashes = 0;
                while self.chars.next_if_eq(&'#').is_some() {
                    hashes += 1;
                }
                if self.chars.next_if_eq(&'"').is_some() {
                    self.skip_raw_string(hashes);
                    None
                } else {
                    Some(self.word())
                }
            }
            _ => Some(word),
        }
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|next| next != '\n') {}
    }

    fn skip_block_comment(&mut self) {
        self.next();
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some('*') if self.chars.next_if_eq(&'/').is_some() => depth -= 1,
                Some('/') if self.chars.next_if_eq(&'*').is_some() => depth += 1,
                Some(_) => {}
                None => return,
            }
        }
    }

    /// After a `"`: the rest of a string.
    fn string(&mut self) -> String {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '"' => break,
                '\\' => {
                    text.push(next);
                    text.extend(self.next());
                }
                _ => text.push(next),
            }
        }
        text
    }

    fn skip_raw_string(&mut self, hashes: usize) {
        while let Some(next) = self.next() {
            if next == '"'
                && (0..hashes)
                    .take_while(|_| self.chars.next_if_eq(&'#').is_some())
                    .count()
                    == hashes
            {
                return;
            }
        }
    }

    /// After a `'`: the rest of a character literal, or of a lifetime.
    fn skip_quote(&mut self) {
        match self.next() {
            Some('\\') => {
                self.next();
                while self.next().is_some_and(|next| next != '\'') {}
            }
            Some(first) if first.is_alphanumeric() || first == '_' => {
                self.word();
                self.chars.next_if_eq(&'\'');
            }
            Some(_) => {
                self.chars.next_if_eq(&'\'');
            }
            None => {}
        }
    }
}

/// A file without its test code.
#[derive(Debug)]
pub(crate) struct Production {
    /// The tokens outside of items under `#[cfg(test)]` or `#[cfg(all(test, …))]`.
    pub(crate) tokens: Vec<Token>,
    /// How many lines the items left out take, their attributes included.
    pub(crate) test_lines: usize,
    /// The modules in files of their own that are declared under such an attribute.
    pub(crate) test_modules: Vec<TestModule>,
}

/// `#[cfg(test)] mod name;`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestModule {
    pub(crate) name: String,
    /// Its `#[path = "…"]`, from the directory of the file that declares it.
    pub(crate) path: Option<String>,
}

/// Takes the test code out of a file.
pub(crate) fn production(all: &[Token]) -> Production {
    let mut kept = Production {
        tokens: Vec::new(),
        test_lines: 0,
        test_modules: Vec::new(),
    };
    let mut at = 0;
    while at < all.len() {
        if !is_test_attribute(&all[at..]) {
            kept.tokens.push(all[at].clone());
            at += 1;
            continue;
        }
        let start = at;
        let mut path = None;
        while at < all.len() && all[at].is('#') {
            path = path.or_else(|| path_attribute(&all[at..]));
            at = after_group(all, at + 1);
        }
        if let [module, name, end, ..] = &all[at..]
            && module.word() == Some("mod")
            && end.is(';')
            && let Some(name) = name.word()
        {
            kept.test_modules.push(TestModule {
                name: name.to_owned(),
                path,
            });
        }
        at = after_item(all, at);
        kept.test_lines += all[at - 1].line - all[start].line + 1;
    }
    kept
}

fn is_test_attribute(rest: &[Token]) -> bool {
    let mut words = rest.iter().filter_map(Token::word);
    rest.len() > 6
        && rest[0].is('#')
        && rest[1].is('[')
        && rest[3].is('(')
        && words.next() == Some("cfg")
        && match words.next() {
            Some("test") => rest[5].is(')'),
            Some("all") => words.next() == Some("test"),
            _ => false,
        }
}

fn path_attribute(rest: &[Token]) -> Option<String> {
    match rest {
        [_, _, path, equals, value, ..] if path.word() == Some("path") && equals.is('=') => {
            match &value.kind {
                Kind::Text(text) => Some(text.clone()),
                Kind::Word(_) | Kind::Mark(_) => None,
            }
        }
        _ => None,
    }
}

/// The place after the group that opens at `open`, or the next place where none opens there.
fn after_group(all: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in all.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    all.len()
}

/// The place after the item, field or statement that begins at `start`.
fn after_item(all: &[Token], start: usize) -> usize {
    let words: Vec<&str> = all[start..]
        .iter()
        .filter_map(Token::word)
        .filter(|word| !matches!(*word, "pub" | "crate" | "in" | "super" | "self"))
        .take(2)
        .collect();
    let braces_end = !matches!(
        words.as_slice(),
        ["use" | "static" | "type" | "let", ..] | ["extern", "crate"]
    ) && !matches!(words.as_slice(), ["const", second] if !matches!(*second, "fn" | "unsafe" | "async" | "extern"));
    let item = matches!(
        words.first(),
        Some(
            &("use"
                | "static"
                | "type"
                | "let"
                | "const"
                | "fn"
                | "mod"
                | "struct"
                | "enum"
                | "union"
                | "trait"
                | "impl"
                | "extern"
                | "unsafe"
                | "async"
                | "macro_rules")
        )
    );
    let mut at = start;
    while at < all.len() {
        match all[at].kind {
            Kind::Mark(';') => return at + 1,
            Kind::Mark(',') if !item => return at + 1,
            Kind::Mark(')' | ']' | '}') => return at.max(start + 1),
            Kind::Mark('{') if braces_end => return after_group(all, at),
            Kind::Mark('(' | '[' | '{') => at = after_group(all, at),
            _ => at += 1,
        }
    }
    all.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text)
            .iter()
            .filter_map(|token| token.word().map(str::to_owned))
            .collect()
    }

    #[test]
    fn comments_and_literals_are_not_source() {
        assert_eq!(
            words(
                r###"a // b
                /* c /* d */ e */ f "g \" h" r"i\" j r#"k " l"# br##"m "# n"## b"o" c"p" b'q' 'r' '\'' '\u{41}' s"###
            ),
            ["a", "f", "j", "s"]
        );
    }

    #[test]
    fn lifetimes_raw_words_and_numbers() {
        assert_eq!(
            words("fn r#type<'a>(x: &'a str, y: &'_ u8) { 'b: loop { 1_000u64; 0..2 } }"),
            ["fn", "type", "x", "str", "y", "u8", "loop"]
        );
        assert_eq!(words("'a' b 'c: d"), ["b", "d"]);
    }

    #[test]
    fn lines_are_counted_through_literals() {
        let found = tokens("\"one\ntwo\"\n/* three\n */ x");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].kind, Kind::Text("one\ntwo".to_owned()));
        assert_eq!(found[1].line, 4);
    }

    #[test]
    fn test_items_are_taken_out() {
        let text = "
            use a::b;
            #[cfg(test)] use c::d;
            #[cfg(test)]
            #[derive(Debug)]
            struct E { f: [u8; 2] }
            struct G { #[cfg(test)] h: u8, i: u8 }
            #[cfg(test)] const J: [K; 2] = [K { l: 1 }, K { l: 2 }];
            #[cfg(test)] const fn m<N, O>(p: N) { q; r }
            #[cfg(all(test, unix))] pub(crate) mod s { fn t() {} }
            #[cfg(unix)] fn u() {}
            #[cfg(not(test))] fn v() {}
        ";
        let kept = production(&tokens(text));
        let kept: Vec<_> = kept.tokens.iter().filter_map(Token::word).collect();
        assert_eq!(
            kept,
            [
                "use", "a", "b", "struct", "G", "i", "u8", "cfg", "unix", "fn", "u", "cfg", "not",
                "test", "fn", "v"
            ]
        );
    }

    #[test]
    fn test_lines_and_test_files_are_told() {
        let kept = production(&tokens(
            "fn a() {}\n#[cfg(test)]\nmod b {\n\n}\nfn c() {}\n",
        ));
        assert_eq!(kept.test_lines, 4);
        assert!(kept.test_modules.is_empty());

        let kept = production(&tokens("#[cfg(test)]\nmod tests;\nmod other;"));
        assert_eq!(
            kept.test_modules,
            [TestModule {
                name: "tests".to_owned(),
                path: None
            }]
        );
        assert_eq!(kept.test_lines, 2);

        let kept = production(&tokens("#[cfg(test)] #[path = \"a_test.rs\"] mod tests;"));
        assert_eq!(kept.test_modules[0].path.as_deref(), Some("a_test.rs"));
    }
}
