//! An AWS file as both readers see it, line by line.

use std::collections::HashMap;

use super::{botocore, sdk};

/// Why a file is refused, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: String,
    pub(super) cure: String,
}

impl Problem {
    /// `index` counts lines from 0.
    pub(super) fn at(index: usize, what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            line: index + 1,
            what: what.into(),
            cure: cure.into(),
        }
    }
}

/// A line and how it ends: `"\n"`, `"\r\n"`, or `""` at the end of a file without a final newline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) ending: &'a str,
}

/// A setting of a section. Indices are those of [`Document::lines`].
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) line: usize,
    /// Its name to botocore.
    pub(super) botocore: String,
    /// Its name to the SDKs.
    pub(super) sdk: String,
    /// Indented lines below that continue its value for both readers.
    pub(super) rest: Vec<usize>,
    /// The first indented comment below, which the SDKs read as part of the value.
    pub(super) indented_comment: Option<usize>,
    /// The line is the beginning of a nested block for the SDKs.
    nested_for_sdk: bool,
    /// The same for botocore.
    nested_for_botocore: bool,
}

/// A section and its settings.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) line: usize,
    /// The name between its brackets, to botocore.
    pub(super) botocore: &'a str,
    /// The same to the SDKs.
    pub(super) sdk: &'a str,
    pub(super) settings: Vec<Setting>,
    /// Its last line that either reader makes something of; the header's where it has no settings.
    pub(super) last: usize,
}

/// A file that both readers take.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub(super) lines: Vec<Line<'a>>,
    pub(super) sections: Vec<Section<'a>>,
}

/// The text of a file.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(bytes).map_err(|e| {
        let before = &bytes[..e.valid_up_to()];
        let line = before.split(|b| *b == b'\n').count() - 1;
        Problem::at(line, "it is not UTF-8 text", "save the file as UTF-8")
    })
}

impl<'a> Document<'a> {
    /// Reads `text` as both readers do.
    ///
    /// # Errors
    /// Either reader would refuse the file, or they would not divide it into the same lines.
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        if text.starts_with('\u{feff}') {
            return Err(Problem::at(
                0,
                "the file begins with a byte-order mark, which the AWS tools refuse",
                "save it as UTF-8 without a byte-order mark",
            ));
        }
        let mut reader = Reader::default();
        for (index, line) in text.split_inclusive('\n').enumerate() {
            reader.read(index, split_ending(line))?;
        }
        Ok(reader.document)
    }
}

fn split_ending(line: &str) -> Line<'_> {
    let text = line
        .strip_suffix("\r\n")
        .or_else(|| line.strip_suffix('\n'))
        .unwrap_or(line);
    Line {
        text,
        ending: &line[text.len()..],
    }
}

#[derive(Default)]
struct Reader<'a> {
    document: Document<'a>,
    /// Where each section was first seen. botocore alone minds a second one.
    headers: HashMap<&'a str, usize>,
    /// The same of settings, by section.
    settings: HashMap<(&'a str, String), usize>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, index: usize, line: Line<'a>) -> Result<(), Problem> {
        self.document.lines.push(line);
        let text = line.text;
        if text.contains('\r') {
            return Err(Problem::at(
                index,
                "a carriage return without a line feed, which only some AWS tools take for the end of the line",
                "end lines with LF or with CR LF",
            ));
        }
        let begins = text.chars().next();
        let indent = text.chars().take_while(|c| botocore::is_space(*c));
        if indent.into_iter().any(|c| !matches!(c, ' ' | '\t')) {
            return Err(Problem::at(
                index,
                "the line begins with a white-space character other than space and tab, which the AWS tools read differently",
                "remove it",
            ));
        }
        if sdk::is_blank(text) || sdk::is_comment(text) {
            Ok(())
        } else if sdk::is_indented(text) {
            self.continuation(index, text)
        } else if begins == Some('[') {
            self.header(index, text)
        } else {
            self.setting(index, text)
        }
    }

    fn header(&mut self, index: usize, text: &'a str) -> Result<(), Problem> {
        let (Some(botocore), Some(sdk)) = (botocore::header(text), sdk::header(text)) else {
            return Err(Problem::at(
                index,
                "a section header that is not `[name]`",
                "write the name between brackets and nothing but a comment behind them",
            ));
        };
        let inherited = botocore == botocore::DEFAULT_SECTION;
        if let Some(first) = self.headers.insert(botocore, index)
            && !inherited
        {
            return Err(Problem::at(
                index,
                format!("the section that began on line {} begins again", first + 1),
                "move its settings into one section",
            ));
        }
        self.document.sections.push(Section {
            line: index,
            botocore,
            sdk,
            settings: Vec::new(),
            last: index,
        });
        Ok(())
    }

    fn setting(&mut self, index: usize, text: &'a str) -> Result<(), Problem> {
        let Some(section) = self.document.sections.last_mut() else {
            return Err(before_any_section(index));
        };
        let botocore = botocore::setting(text).filter(|(name, _)| !name.is_empty());
        let (Some((botocore, botocore_value)), Ok((sdk, sdk_value))) =
            (botocore, sdk::setting(text))
        else {
            return Err(Problem::at(
                index,
                "neither a comment, a [section] nor `name = value`",
                "write it as `name = value`, or begin the line with #",
            ));
        };
        let key = (section.botocore, botocore.clone());
        if let Some(first) = self.settings.insert(key, index) {
            return Err(Problem::at(
                index,
                format!(
                    "the setting of line {} is set again in the same section",
                    first + 1
                ),
                "remove one of the two lines",
            ));
        }
        section.last = index;
        section.settings.push(Setting {
            line: index,
            botocore,
            sdk,
            rest: Vec::new(),
            indented_comment: None,
            nested_for_sdk: sdk_value.is_empty(),
            nested_for_botocore: botocore_value.is_empty(),
        });
        Ok(())
    }

    fn continuation(&mut self, index: usize, text: &str) -> Result<(), Problem> {
        let Some(section) = self.document.sections.last_mut() else {
            return Err(before_any_section(index));
        };
        let Some(setting) = section.settings.last_mut() else {
            return Err(Problem::at(
                index,
                "an indented line below a section header, for which the AWS SDKs refuse the file",
                "remove the indentation",
            ));
        };
        let is_comment = botocore::is_comment(text);
        let refused_by_botocore =
            setting.nested_for_botocore && !is_comment && !botocore::is_nested_setting(text);
        if refused_by_botocore || (setting.nested_for_sdk && sdk::setting(text).is_err()) {
            let cure = if is_comment {
                "move the comment mark to the beginning of the line"
            } else {
                "write it as `name = value`"
            };
            return Err(Problem::at(
                index,
                "an indented line that is not `name = value` below a setting without a value",
                cure,
            ));
        }
        section.last = index;
        if is_comment {
            setting.indented_comment.get_or_insert(index);
        } else {
            setting.rest.push(index);
        }
        Ok(())
    }
}

fn before_any_section(index: usize) -> Problem {
    Problem::at(
        index,
        "it stands before the first [section]",
        "put a header such as [default] above it, or begin the line with #",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> (usize, String) {
        let problem = Document::parse(text).unwrap_err();
        (problem.line, problem.what)
    }

    fn refused(text: &str, line: usize, part: &str) {
        let (at, problem) = problem(text);
        assert!(
            at == line && problem.contains(part),
            "{text:?}: line {at}: {problem}"
        );
    }

    #[test]
    fn reads_sections_settings_and_continuations() {
        let document = Document::parse(
            "# c\r\n[a] # x\nK = v\n\n# c\n  w\n[b]\ns3 =\n  a = b\n  # c = d\n[c]",
        )
        .unwrap();
        let [a, b, c] = document.sections.as_slice() else {
            panic!("{document:?}")
        };
        assert_eq!((a.line, a.botocore, a.sdk, a.last), (1, "a", "a", 5));
        assert_eq!(a.settings[0].botocore, "k");
        assert_eq!(a.settings[0].rest, [5]);
        assert_eq!(b.settings[0].rest, [8]);
        assert_eq!(b.settings[0].indented_comment, Some(9));
        assert_eq!((c.line, c.last), (10, 10));
        assert_eq!(document.lines[0].ending, "\r\n");
        assert_eq!(document.lines[10].ending, "");
    }

    #[test]
    fn refuses_what_botocore_refuses() {
        refused("[a]\n[b]\n[a]\n", 3, "line 1 begins again");
        refused("[a]\nk = 1\nK: 2=\n", 3, "line 2 is set again");
        refused("\u{feff}[a]\n", 1, "byte-order mark");
        refused("# c\nk = v\n", 2, "before the first");
        refused("[a]\nk\n", 2, "neither");
        refused("[a]\n= v\n", 2, "neither");
        refused("[]\n", 1, "header");
        refused("[a\n", 1, "header");
        refused("[a]\ns3 =\n  b\n", 3, "indented line");
    }

    #[test]
    fn refuses_what_the_sdks_refuse() {
        refused("[a] b\n", 1, "header");
        refused("[a]\nk: v\n", 2, "neither");
        refused("[a]\nk # = v\n", 2, "neither");
        refused("[a]\n  k = v\n", 2, "indented line below a section header");
        refused("  # c\n[a]\n", 1, "before the first");
        refused("[a]\ns3 =\n  # c\n", 3, "indented line");
    }

    #[test]
    fn refuses_where_the_lines_would_be_divided_differently() {
        refused("[a]\nk = v\rj = w\n", 2, "carriage return");
        refused("[a]\nk = v\r\r\n", 2, "carriage return");
        refused("[a]\nk = v\r", 2, "carriage return");
        refused("[a]\nk = v\n\u{a0}j = w\n", 3, "white-space");
        refused("[a]\n \u{0c}\n", 2, "white-space");
    }

    #[test]
    fn the_inherited_section_may_come_twice_but_not_its_settings() {
        assert!(Document::parse("[DEFAULT]\na=1\n[DEFAULT]\nb=1\n").is_ok());
        refused("[DEFAULT]\na=1\n[DEFAULT]\na=1\n", 4, "set again");
    }

    #[test]
    fn what_is_not_utf_8_is_named_with_its_line() {
        assert_eq!(decode(b"[a]\nk = v\n# \xff\n").unwrap_err().line, 3);
    }

    #[test]
    fn nothing_of_a_refused_line_is_quoted() {
        for text in [
            "[a]\nSECRET\n",
            "SECRET=1\n",
            "[a]\nSECRET=1\nSECRET=2\n",
            "[SECRET\n",
        ] {
            let problem = Document::parse(text).unwrap_err();
            assert!(!format!("{problem:?}").contains("SECRET"));
        }
    }
}
