//! Reads settings one by one and collects what is wrong with them.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Lookup;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: `FILE:LINE`, `environment variable NAME`, or `configuration`.
    pub place: String,
    /// What is wrong, beginning with the setting's name.
    pub problem: String,
    /// What to do.
    pub cure: String,
}

/// Every mistake of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", error.place, error.problem)?;
            if !error.cure.is_empty() {
                write!(f, "; {}", error.cure)?;
            }
        }
        Ok(())
    }
}

/// A setting as it was found.
struct Entry {
    place: String,
    value: Value,
}

enum Value {
    Text(String),
    /// An array of texts.
    List(Vec<String>),
    /// The name of a type that no setting has.
    Other(&'static str),
}

/// Where a setting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Environment,
    File,
}

pub(super) struct Reader<'a> {
    file: Option<&'a Path>,
    entries: BTreeMap<String, Entry>,
    env: Lookup<'a>,
    known: Vec<&'static str>,
    errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: Option<(&'a Path, &str)>, env: Lookup<'a>) -> Self {
        let mut reader = Self {
            file: file.map(|(path, _)| path),
            entries: BTreeMap::new(),
            env,
            known: Vec::new(),
            errors: Vec::new(),
        };
        if let Some((path, text)) = file {
            let (table, errors) = DeTable::parse_recoverable(text);
            for error in errors {
                let at = error.span().map_or(0, |span| span.start);
                reader.errors.push(ConfigError {
                    place: format!("{}:{}", path.display(), line(text, at)),
                    problem: error.message().to_owned(),
                    cure: "see https://toml.io for the syntax".to_owned(),
                });
            }
            reader.collect(path, text, "", table.get_ref());
        }
        reader
    }

    fn collect(&mut self, path: &Path, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let name = format!("{prefix}{}", name.get_ref());
            let place = format!("{}:{}", path.display(), line(text, value.span().start));
            let value = match value.get_ref() {
                DeValue::Table(table) if prefix.is_empty() => {
                    self.collect(path, text, &format!("{name}."), table);
                    continue;
                }
                DeValue::String(text) => Value::Text(text.to_string()),
                DeValue::Integer(number) if number.radix() == 10 => {
                    Value::Text(number.as_str().to_owned())
                }
                DeValue::Boolean(value) => Value::Text(value.to_string()),
                DeValue::Array(items) => texts(items).map_or(Value::Other("an array"), Value::List),
                DeValue::Table(_) => Value::Other("a table"),
                _ => Value::Other("of a type that no setting has"),
            };
            self.entries.insert(name, Entry { place, value });
        }
    }

    /// Notes a mistake about `name`, at the place where it was set, if it was.
    pub(super) fn note(&mut self, name: &'static str, problem: &str, cure: &str) {
        let place = match (self.is_set(name), self.entries.get(name)) {
            (Some(Source::Environment), _) => format!("environment variable {}", variable(name)),
            (_, Some(entry)) => entry.place.clone(),
            (_, None) => self.whole(),
        };
        self.errors.push(ConfigError {
            place,
            problem: format!("{name} {problem}"),
            cure: cure.to_owned(),
        });
    }

    /// How many mistakes there are so far.
    pub(super) const fn mistakes(&self) -> usize {
        self.errors.len()
    }

    fn whole(&self) -> String {
        self.file.map_or_else(
            || "configuration".to_owned(),
            |path| path.display().to_string(),
        )
    }

    /// The setting's text and where it stands; the environment wins.
    fn find(&mut self, name: &'static str) -> Option<(String, String)> {
        self.known.push(name);
        let variable = variable(name);
        if let Some(text) = (self.env)(&variable).filter(|text| !text.is_empty()) {
            return Some((text, format!("environment variable {variable}")));
        }
        let entry = self.entries.get(name)?;
        let kind = match &entry.value {
            Value::Text(text) => return Some((text.clone(), entry.place.clone())),
            Value::List(_) => "an array",
            Value::Other(kind) => kind,
        };
        let problem = format!("is {kind}");
        self.note(name, &problem, "write it as a quoted text or a number");
        None
    }

    /// The items of an array of texts, or of one text with commas between them; each one that is
    /// wrong is an error of its own.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let of_file = match self.entries.get(name) {
            Some(Entry {
                place,
                value: Value::List(items),
            }) if (self.env)(&variable(name)).is_none_or(|text| text.is_empty()) => {
                Some((items.clone(), place.clone()))
            }
            _ => None,
        };
        let (items, place) = if let Some(found) = of_file {
            self.known.push(name);
            found
        } else if let Some((text, place)) = self.find(name) {
            let items = text.split(',').map(|item| item.trim().to_owned());
            (items.filter(|item| !item.is_empty()).collect(), place)
        } else {
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            match parse(&item) {
                Ok(value) => values.push(value),
                Err(problem) => {
                    let shown: String = item.chars().take(80).collect();
                    self.errors.push(ConfigError {
                        place: place.clone(),
                        problem: format!("{name} has {shown:?}: {problem}"),
                        cure: String::new(),
                    });
                }
            }
        }
        values
    }

    /// Every setting that was asked for so far.
    pub(super) fn names(&self) -> &[&'static str] {
        &self.known
    }

    /// The setting as it is written.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.find(name).map(|(text, _)| text)
    }

    pub(super) fn optional_with<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, place) = self.find(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(problem) => {
                let shown: String = text.chars().take(80).collect();
                self.errors.push(ConfigError {
                    place,
                    problem: format!("{name} = {shown:?}: {problem}"),
                    cure: String::new(),
                });
                None
            }
        }
    }

    /// A setting that may hold a secret: no report shows its value. With it, the directory that
    /// relative paths in it count from.
    pub(super) fn secret<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
    ) -> Option<(T, &'a Path)> {
        let (text, place) = self.find(name)?;
        match text.parse() {
            Ok(value) => Some((value, self.base(&place))),
            Err(error) => {
                self.errors.push(ConfigError {
                    place,
                    problem: format!("{name} {error}"),
                    cure: String::new(),
                });
                None
            }
        }
    }

    /// The directory that a relative path counts from that was set at `place`: the file's, or for a
    /// variable the working directory.
    fn base(&self, place: &str) -> &'a Path {
        self.file
            .filter(|_| !place.starts_with("environment"))
            .and_then(Path::parent)
            .unwrap_or(Path::new(""))
    }

    pub(super) fn optional<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
    ) -> Option<T> {
        self.optional_with(name, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    pub(super) fn or<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
        default: T,
    ) -> T {
        self.optional(name).unwrap_or(default)
    }

    /// A path; a relative one from the file counts from the file's directory.
    pub(super) fn optional_path(&mut self, name: &'static str) -> Option<PathBuf> {
        let (text, place) = self.find(name)?;
        if text.is_empty() {
            self.note(name, "is empty", "name a file");
            return None;
        }
        Some(self.base(&place).join(&text))
    }

    pub(super) fn required_with<T>(
        &mut self,
        name: &'static str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let before = self.errors.len();
        let value = self.optional_with(name, parse);
        if value.is_none() && self.errors.len() == before {
            self.missing(name, example);
        }
        value
    }

    /// Notes that a setting is missing that has to be there.
    pub(super) fn missing(&mut self, name: &'static str, example: &str) {
        let cure = format!("set it ({example}), here or as {}", variable(name));
        self.note(name, "is missing", &cure);
    }

    /// Whether the setting is there, and whether the environment has it.
    pub(super) fn is_set(&self, name: &'static str) -> Option<Source> {
        if (self.env)(&variable(name)).is_some_and(|text| !text.is_empty()) {
            Some(Source::Environment)
        } else {
            self.entries.get(name).map(|_| Source::File)
        }
    }

    pub(super) fn required<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &'static str,
        example: &str,
    ) -> Option<T> {
        self.required_with(name, example, |text| {
            text.parse().map_err(|error: T::Err| error.to_string())
        })
    }

    /// The settings, or everything that is wrong, unknown names included.
    pub(super) fn finish<T>(mut self, settings: Option<T>) -> Result<T, ConfigErrors> {
        for (name, entry) in &self.entries {
            if !self.known.contains(&name.as_str()) {
                let cure = closest(name, &self.known)
                    .map(|known| format!("did you mean {known}?"))
                    .unwrap_or_default();
                self.errors.push(ConfigError {
                    place: entry.place.clone(),
                    problem: format!("{name} is not a setting"),
                    cure,
                });
            }
        }
        match settings {
            Some(settings) if self.errors.is_empty() => Ok(settings),
            _ => Err(ConfigErrors(self.errors)),
        }
    }
}

/// The items of an array, where all of them are texts.
fn texts(items: &[Spanned<DeValue<'_>>]) -> Option<Vec<String>> {
    items
        .iter()
        .map(|item| match item.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => None,
        })
        .collect()
}

/// The environment variable of a setting: `tokens.max_ttl` is `IDP_TOKENS_MAX_TTL`.
#[must_use]
pub fn variable(name: &str) -> String {
    format!("IDP_{}", name.replace('.', "_").to_ascii_uppercase())
}

/// The line, from 1, that a byte of `text` is in.
fn line(text: &str, at: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// The known name that is at most three edits away and the nearest.
#[must_use]
pub fn closest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .min()
        .filter(|(edits, _)| *edits <= 3)
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
    fn distances() {
        assert_eq!(distance("listen", "listne"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(closest("xyzzy", &["listen", "issuer"]), None);
    }
}
