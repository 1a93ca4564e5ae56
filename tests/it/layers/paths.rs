//! What a file refers to: rooms of ours, and crates of others.

use super::source::{Kind, Token};

/// A name that a file refers to, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// From 1.
    pub(crate) line: usize,
    /// A room, or a crate. `*` for all rooms at once: a glob of the crate's root, or the root under
    /// another name, behind which anything can be reached.
    pub(crate) name: String,
}

/// The rooms that a file's paths lead to: `crate::room`, `super::…::room` up to the root, and
/// `$crate::room` in macros, each alone or in a `use` group.
///
/// `module` is where the file stands: `["store", "sqlite"]` for `src/store/sqlite.rs` and
/// `src/store/sqlite/mod.rs`, nothing for `src/lib.rs`. Paths that stay inside the room lead nowhere.
pub(crate) fn rooms(tokens: &[Token], module: &[String]) -> Vec<Reference> {
    let mut walk = Walk {
        tokens,
        found: Vec::new(),
    };
    let mut stack: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match &token.kind {
            Kind::Mark('{') => {
                depth += 1;
                if let Some(name) = inline_module(tokens, at) {
                    stack.push((name, depth));
                }
            }
            Kind::Mark('}') => {
                if stack.last().is_some_and(|(_, opened)| *opened == depth) {
                    stack.pop();
                }
                depth = depth.saturating_sub(1);
            }
            Kind::Word(word) if matches!(word.as_str(), "crate" | "super" | "self") => {
                if walk.begins_path(at) {
                    let here = module
                        .iter()
                        .chain(stack.iter().map(|(name, _)| name))
                        .map(String::as_str)
                        .collect();
                    walk.path(at, here);
                }
            }
            Kind::Word(_) | Kind::Text(_) | Kind::Mark(_) => {}
        }
    }
    walk.found.sort();
    walk.found.dedup();
    walk.found
}

/// The rooms that the binary names as `idp::room`.
pub(crate) fn rooms_of_library(tokens: &[Token], library: &str) -> Vec<Reference> {
    let mut walk = Walk {
        tokens,
        found: Vec::new(),
    };
    for at in 0..tokens.len() {
        if tokens[at].word() == Some(library) && !walk.follows_path(at) {
            if walk.leads_on(at) {
                walk.path(at + 3, Vec::new());
            } else if at > 0 && matches!(tokens[at - 1].word(), Some("use" | "crate")) {
                walk.all(at);
            }
        }
    }
    walk.found.sort();
    walk.found.dedup();
    walk.found
}

/// The crates that paths begin with: `axum::…`, `use axum;`, `extern crate axum;`. Local names that
/// begin a path are among them; whoever asks looks for names of crates.
pub(crate) fn crates(tokens: &[Token]) -> Vec<Reference> {
    let walk = Walk {
        tokens,
        found: Vec::new(),
    };
    let mut found: Vec<Reference> = tokens
        .iter()
        .enumerate()
        .filter(|(at, token)| {
            token.word().is_some()
                && !walk.follows_path(*at)
                && (walk.leads_on(*at)
                    || (*at > 0 && matches!(tokens[*at - 1].word(), Some("use" | "crate"))))
        })
        .filter_map(|(_, token)| {
            Some(Reference {
                line: token.line,
                name: token.word()?.to_owned(),
            })
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The name of the inline module whose body opens at `open`.
fn inline_module(tokens: &[Token], open: usize) -> Option<String> {
    let [.., keyword, name] = &tokens[..open] else {
        return None;
    };
    (keyword.word()? == "mod").then(|| name.word().map(str::to_owned))?
}

struct Walk<'a> {
    tokens: &'a [Token],
    found: Vec<Reference>,
}

impl Walk<'_> {
    fn mark(&self, at: usize, mark: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(mark))
    }

    fn word(&self, at: usize) -> Option<&str> {
        self.tokens.get(at).and_then(Token::word)
    }

    /// Whether the word at `at` is followed by `::`.
    fn leads_on(&self, at: usize) -> bool {
        self.mark(at + 1, ':') && self.mark(at + 2, ':')
    }

    /// Whether the word at `at` comes after a `::` that something stands before. (`::axum` is a path's
    /// beginning.)
    fn follows_path(&self, at: usize) -> bool {
        if at < 3 || !self.mark(at - 1, ':') || !self.mark(at - 2, ':') {
            return false;
        }
        // `>` closes a type before `::`, unless it is the end of an arrow.
        let closes = self.mark(at - 3, '>')
            && !(at > 3 && (self.mark(at - 4, '-') || self.mark(at - 4, '=')));
        closes || self.word(at - 3).is_some_and(|word| !is_before_path(word))
    }

    /// Whether the keyword at `at` begins a path, rather than a visibility, a receiver, or a segment
    /// of a path that was walked from its beginning.
    fn begins_path(&self, at: usize) -> bool {
        if self.follows_path(at) {
            return false;
        }
        let word = self.word(at);
        let bare_visibility =
            at > 0 && self.mark(at - 1, '(') && self.mark(at + 1, ')') && word != Some("self");
        !bare_visibility && (word == Some("crate") || self.leads_on(at))
    }

    fn all(&mut self, at: usize) {
        self.found.push(Reference {
            line: self.tokens[at].line,
            name: "*".to_owned(),
        });
    }

    /// Follows one path, or one element of a group, from `at` where it stands in module `base`, until
    /// it has left the root or cannot any more.
    fn path(&mut self, mut at: usize, mut base: Vec<&str>) {
        loop {
            let Some(token) = self.tokens.get(at) else {
                return;
            };
            match &token.kind {
                Kind::Mark('{') => return self.group(at, &base),
                Kind::Mark('*') if base.is_empty() => return self.all(at),
                Kind::Text(_) | Kind::Mark(_) => return,
                Kind::Word(word) => match word.as_str() {
                    "crate" => base.clear(),
                    "super" => {
                        base.pop();
                    }
                    "self" => {}
                    room => {
                        if base.is_empty() {
                            self.found.push(Reference {
                                line: token.line,
                                name: room.to_owned(),
                            });
                        }
                        return;
                    }
                },
            }
            if !self.leads_on(at) {
                // `use crate as all`, `extern crate self as all`, `use super as all`, `use crate::{self}`
                if base.is_empty() {
                    self.all(at);
                }
                return;
            }
            at += 3;
        }
    }

    /// Each element of the group that opens at `open`.
    fn group(&mut self, open: usize, base: &[&str]) {
        let mut depth = 0_usize;
        let mut at = open;
        while let Some(token) = self.tokens.get(at) {
            let begins = match token.kind {
                Kind::Mark('{') => {
                    depth += 1;
                    depth == 1
                }
                Kind::Mark('}') => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                    false
                }
                Kind::Mark(',') => depth == 1,
                _ => false,
            };
            at += 1;
            if begins {
                self.path(at, base.to_vec());
            }
        }
    }
}

/// Words that can stand before a path that begins with `::`.
fn is_before_path(word: &str) -> bool {
    matches!(
        word,
        "use"
            | "return"
            | "in"
            | "as"
            | "mut"
            | "const"
            | "dyn"
            | "impl"
            | "for"
            | "else"
            | "match"
            | "if"
            | "while"
            | "let"
            | "move"
            | "break"
            | "where"
            | "await"
            | "pub"
            | "box"
            | "ref"
    )
}

#[cfg(test)]
mod tests {
    use super::super::source::tokens;
    use super::*;

    fn from(module: &str, text: &str) -> Vec<String> {
        let module: Vec<String> = module
            .split("::")
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        rooms(&tokens(text), &module)
            .into_iter()
            .map(|reference| format!("{}:{}", reference.line, reference.name))
            .collect()
    }

    #[test]
    fn paths_from_the_root() {
        assert_eq!(
            from("a", "use crate::b::C;\nfn f() -> crate::d::E {}"),
            ["1:b", "2:d"]
        );
        assert_eq!(from("a", "use crate::b;"), ["1:b"]);
        assert_eq!(
            from("a", "macro_rules! m { () => { $crate::b::c() } }"),
            ["1:b"]
        );
        assert_eq!(
            from("a", "fn f() { <crate::b::C as crate::d::E>::g() }"),
            ["1:b", "1:d"]
        );
    }

    #[test]
    fn groups() {
        assert_eq!(
            from("a", "use crate::{b::{C, D, e::F}, g, self::h,\n i as j};"),
            ["1:b", "1:g", "1:h", "2:i"]
        );
        assert_eq!(
            from("a::b", "use super::{c, super::{d, e::F}};"),
            ["1:d", "1:e"]
        );
    }

    #[test]
    fn climbing_to_the_root() {
        assert_eq!(from("a", "use super::b::C;"), ["1:b"]);
        assert_eq!(from("a::b", "use super::c;"), Vec::<String>::new());
        assert_eq!(from("a::b", "use super::super::c::D;"), ["1:c"]);
        assert_eq!(
            from("a", "mod inner { use super::b; use super::super::c; }"),
            ["1:c"]
        );
        assert_eq!(from("a", "mod inner { fn f() {} } use super::c;"), ["1:c"]);
        assert_eq!(from("a::b", "use self::super::super::c;"), ["1:c"]);
        assert_eq!(from("", "pub use self::b::C;"), ["1:b"]);
    }

    #[test]
    fn what_reaches_every_room_is_named_so() {
        for text in [
            "use crate::*;",
            "use super::*;",
            "use crate as all;",
            "extern crate self as all;",
            "use crate::{self as all};",
        ] {
            assert_eq!(from("a", text), ["1:*"], "{text}");
        }
        assert_eq!(from("a::b", "use super::*;"), Vec::<String>::new());
    }

    #[test]
    fn visibilities_and_receivers_are_no_paths() {
        let text =
            "pub(crate) fn f(&self, x: Self) { self.g(self) } pub(super) struct X; fn h(self) {}";
        assert_eq!(from("a", text), Vec::<String>::new());
        assert_eq!(from("a::b", "pub(in crate::a) fn f() {}"), ["1:a"]);
    }

    #[test]
    fn comments_and_strings_say_nothing() {
        let text = "//! [`crate::b`]\n// crate::c\nconst D: &str = \"crate::e::F\";";
        assert_eq!(from("a", text), Vec::<String>::new());
    }

    #[test]
    fn the_binary_names_the_library() {
        let named = |text: &str| -> Vec<String> {
            rooms_of_library(&tokens(text), "idp")
                .into_iter()
                .map(|reference| reference.name)
                .collect()
        };
        assert_eq!(
            named("use idp::cli; fn main() { idp::store::open() }"),
            ["cli", "store"]
        );
        assert_eq!(named("use idp::{cli, domain::{A, B}};"), ["cli", "domain"]);
        assert_eq!(named("use idp as library;"), ["*"]);
        assert_eq!(named("use idp::*;"), ["*"]);
        assert_eq!(named("let idp = 1; x.idp; y::idp::z"), Vec::<String>::new());
    }

    #[test]
    fn crates_begin_paths() {
        let begin = |text: &str| -> Vec<String> {
            crates(&tokens(text))
                .into_iter()
                .map(|reference| reference.name)
                .collect()
        };
        assert!(begin("use axum::Router;").contains(&"axum".to_owned()));
        assert!(begin("use axum;").contains(&"axum".to_owned()));
        assert!(begin("extern crate axum;").contains(&"axum".to_owned()));
        assert!(begin("fn f() -> ::axum::Router {}").contains(&"axum".to_owned()));
        assert!(begin("use ::axum::Router;").contains(&"axum".to_owned()));
        assert!(begin("#[derive(sqlx::FromRow)] struct A;").contains(&"sqlx".to_owned()));
        assert!(begin("use {std::io, axum::Router};").contains(&"axum".to_owned()));
        assert!(!begin("use tower::axum::Router;").contains(&"axum".to_owned()));
        assert!(!begin("let axum = 1; // axum::Router").contains(&"axum".to_owned()));
    }
}
