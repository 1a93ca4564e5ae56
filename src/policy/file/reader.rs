//! Reads TOML piece by piece and collects what is wrong with it.

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::policy::{Finding, Severity};

/// A text of the file and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) at: usize,
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Findings<'t> {
    text: &'t str,
    /// Where each line but the first begins.
    lines: Vec<usize>,
    found: Vec<(usize, Finding)>,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            lines: text.match_indices('\n').map(|(at, _)| at + 1).collect(),
            found: Vec::new(),
        }
    }

    /// Notes something about the byte `at`.
    pub(super) fn add(
        &mut self,
        severity: Severity,
        at: usize,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let (line, column) = self.position(at);
        let finding = Finding {
            severity,
            line,
            column,
            problem: problem.into(),
            cure: cure.into(),
        };
        self.found.push((at, finding));
    }

    pub(super) fn error(&mut self, at: usize, problem: impl Into<String>, cure: impl Into<String>) {
        self.add(Severity::Error, at, problem, cure);
    }

    /// Notes something about a whole line.
    pub(super) fn add_in_line(
        &mut self,
        severity: Severity,
        line: usize,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) {
        let starts = self
            .text
            .match_indices('\n')
            .map(|(newline, _)| newline + 1);
        let at = std::iter::once(0).chain(starts).nth(line - 1).unwrap_or(0);
        self.add(severity, at, problem, cure);
    }

    pub(super) fn line(&self, at: usize) -> usize {
        self.position(at).0
    }

    /// Line and column of a byte, both from 1; columns count characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let mut end = at.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let line = self.lines.partition_point(|start| *start <= end);
        let start = line.checked_sub(1).map_or(0, |last| self.lines[last]);
        (line + 1, self.text[start..end].chars().count() + 1)
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|(_, finding)| finding.severity == Severity::Error)
    }

    /// All of it, in the order of the text.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|(at, _)| *at);
        self.found.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// A table whose members are taken one by one.
#[derive(Debug)]
pub(super) struct Section<'d, 't> {
    /// How the table is called in messages: `[[rule]]`, or nothing for the file itself.
    name: &'static str,
    pub(super) at: usize,
    table: &'d DeTable<'t>,
    known: Vec<&'static str>,
}

type Item<'d, 't> = &'d Spanned<DeValue<'t>>;

impl<'d, 't> Section<'d, 't> {
    pub(super) const fn new(name: &'static str, at: usize, table: &'d DeTable<'t>) -> Self {
        Self {
            name,
            at,
            table,
            known: Vec::new(),
        }
    }

    fn find(&mut self, name: &'static str) -> Option<Item<'d, 't>> {
        self.known.push(name);
        self.table
            .iter()
            .find(|(key, _)| *key.get_ref() == *name)
            .map(|(_, value)| value)
    }

    pub(super) fn text(&mut self, name: &'static str, findings: &mut Findings<'_>) -> Option<Text> {
        let value = self.find(name)?;
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) => Some(text_at(text, at)),
            other => {
                findings.error(
                    at,
                    format!("{name} is {}", kind(other)),
                    "write a quoted text",
                );
                None
            }
        }
    }

    /// A text that has to be there.
    pub(super) fn required(
        &mut self,
        name: &'static str,
        example: &str,
        findings: &mut Findings<'_>,
    ) -> Option<Text> {
        if self.find(name).is_none() {
            findings.error(
                self.at,
                format!("{} has no {name}", self.name),
                format!("write {name} = {example}"),
            );
            return None;
        }
        self.text(name, findings)
    }

    pub(super) fn flag(
        &mut self,
        name: &'static str,
        default: bool,
        findings: &mut Findings<'_>,
    ) -> bool {
        match self.find(name) {
            None => default,
            Some(value) => match value.get_ref() {
                DeValue::Boolean(flag) => *flag,
                other => {
                    let problem = format!("{name} is {}", kind(other));
                    findings.error(value.span().start, problem, "write true or false");
                    default
                }
            },
        }
    }

    /// A list of texts, or one text alone. A list that is there and empty is a mistake: it would mean
    /// "none", and be read as "all".
    pub(super) fn list(&mut self, name: &'static str, findings: &mut Findings<'_>) -> Vec<Text> {
        let Some(value) = self.find(name) else {
            return Vec::new();
        };
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) => vec![text_at(text, at)],
            DeValue::Array(items) if items.is_empty() => {
                findings.error(
                    at,
                    format!("{name} is an empty list"),
                    "write what it is about, or take the line out if that does not matter",
                );
                Vec::new()
            }
            DeValue::Array(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    let at = item.span().start;
                    match item.get_ref() {
                        DeValue::String(text) => texts.push(text_at(text, at)),
                        other => findings.error(
                            at,
                            format!("{name} has {}", kind(other)),
                            "write quoted texts",
                        ),
                    }
                }
                texts
            }
            other => {
                findings.error(
                    at,
                    format!("{name} is {}", kind(other)),
                    "write a list of quoted texts",
                );
                Vec::new()
            }
        }
    }

    /// The tables of `[[name]]`.
    pub(super) fn tables(
        &mut self,
        name: &'static str,
        shown: &'static str,
        findings: &mut Findings<'_>,
    ) -> Vec<Section<'d, 't>> {
        let Some(value) = self.find(name) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            findings.error(
                value.span().start,
                format!("{name} is {}", kind(value.get_ref())),
                format!("write {shown}, in two brackets, above each of them"),
            );
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(items.len());
        for item in items {
            let at = item.span().start;
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Section::new(shown, at, table)),
                other => findings.error(
                    at,
                    format!("{name} has {}", kind(other)),
                    format!("write {shown} above each of them"),
                ),
            }
        }
        sections
    }

    /// Notes every member that nobody asked for.
    pub(super) fn finish(self, findings: &mut Findings<'_>) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let cure = nearest(name, self.known.iter().copied()).map_or_else(
                || format!("there are {}", self.known.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            let of = if self.name.is_empty() {
                "a rules file".to_owned()
            } else {
                self.name.to_owned()
            };
            let problem = format!("{} is no member of {of}", shown(name));
            findings.error(key.span().start, problem, cure);
        }
    }
}

fn text_at(text: &DeString<'_>, at: usize) -> Text {
    Text {
        text: text.to_string(),
        at,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A text as TOML writes it, in double quotes. ([TOML: String](https://toml.io/en/v1.0.0#string))
pub(in crate::policy) fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A text of the file as messages quote it.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

/// The known name that is the fewest edits away, where it is near at all. Case does not count.
pub(in crate::policy) fn nearest<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let lower = name.to_lowercase();
    if lower.len() > 100 {
        return None;
    }
    let most = (lower.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|known| (distance(&lower, &known.to_lowercase()), known))
        .filter(|(edits, _)| *edits <= most)
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in b.chars().enumerate() {
            let substitute = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_characters() {
        assert_eq!(Findings::new("a\néb").position(0), (1, 1));
        assert_eq!(Findings::new("a\néb").position(4), (2, 2));
        assert_eq!(Findings::new("a\néb").position(3), (2, 1));
        assert_eq!(Findings::new("a\néb").position(99), (2, 3));
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        assert_eq!(nearest("efect", ["effect", "name"]), Some("effect"));
        assert_eq!(
            nearest("GETOBJECT", ["GetObject", "PutObject"]),
            Some("GetObject")
        );
        assert_eq!(nearest("xyzzy", ["effect", "name"]), None);
    }
}
