//! Changing settings of one profile; every other byte stays.

use std::collections::{HashMap, HashSet};

use zeroize::Zeroizing;

use super::{
    ProfileName, botocore,
    document::{Document, Problem, Section, Setting},
    sdk,
};

/// Which of the two files; they name their sections differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `[name]`.
    Credentials,
    /// `[profile name]` and `[default]`.
    Config,
}

impl Kind {
    /// The header that both readers understand.
    fn header(self, profile: &ProfileName) -> String {
        match self {
            Self::Config if *profile != ProfileName::default() => format!("[profile {profile}]"),
            Self::Credentials | Self::Config => format!("[{profile}]"),
        }
    }

    fn is_to_botocore(self, section: &Section<'_>, profile: &str) -> bool {
        match self {
            Self::Credentials => section.botocore == profile,
            Self::Config => botocore::config_profile(section.botocore).as_deref() == Some(profile),
        }
    }

    fn is_to_sdk(self, section: &Section<'_>, profile: &str) -> bool {
        let name = match self {
            Self::Credentials => sdk::credentials_profile(section.sdk),
            Self::Config => sdk::config_profile(section.sdk),
        };
        name == Some(profile)
    }
}

/// The section of `profile`, or `None` where there is none.
///
/// # Errors
/// Only one of the readers takes a section for the profile's, or two sections are.
pub(super) fn find<'d, 'a>(
    document: &'d Document<'a>,
    kind: Kind,
    profile: &ProfileName,
) -> Result<Option<&'d Section<'a>>, Problem> {
    let mut found: Option<&Section<'_>> = None;
    for section in &document.sections {
        let to_botocore = kind.is_to_botocore(section, profile.as_str());
        let to_sdk = kind.is_to_sdk(section, profile.as_str());
        if to_botocore != to_sdk {
            return Err(Problem::at(
                section.line,
                format!("only some AWS tools take this section for profile {profile}"),
                format!("write its header as {}", kind.header(profile)),
            ));
        }
        if to_botocore && let Some(first) = found.replace(section) {
            return Err(Problem::at(
                section.line,
                format!(
                    "a second section of profile {profile}; the first is on line {}",
                    first.line + 1
                ),
                format!(
                    "move its settings into one section {}",
                    kind.header(profile)
                ),
            ));
        }
    }
    Ok(found)
}

/// The line, from 1, at which the profile names a command that gets its credentials.
///
/// # Errors
/// As [`find`] and [`settings`].
pub(super) fn credential_process(
    document: &Document<'_>,
    kind: Kind,
    profile: &ProfileName,
) -> Result<Option<usize>, Problem> {
    let Some(section) = find(document, kind, profile)? else {
        return Ok(None);
    };
    let found = settings(section, &["credential_process"])?;
    Ok(found.first().map(|setting| setting.line + 1))
}

/// The text of `document` with `entries` (names in lower case) set in the profile's section, made
/// at the end where there is none, and the settings `dropped` removed from it.
///
/// # Errors
/// See [`find`]; a line below or beside one of these settings, that the readers disagree on; one
/// of `dropped` inherited from botocore's `[DEFAULT]`.
pub(super) fn set(
    document: &Document<'_>,
    kind: Kind,
    profile: &ProfileName,
    entries: &[(&str, &str)],
    dropped: &[&str],
) -> Result<Zeroizing<String>, Problem> {
    refuse_inherited(document, dropped)?;
    let mut draft = Draft::new(document);
    let line = |(key, value): &(&str, &str)| Zeroizing::new(format!("{key} = {value}"));
    let Some(section) = find(document, kind, profile)? else {
        if !document.lines.is_empty() {
            draft.inserted.push(Zeroizing::default());
        }
        draft.inserted.push(Zeroizing::new(kind.header(profile)));
        draft.inserted.extend(entries.iter().map(line));
        return Ok(draft.render());
    };

    let names: Vec<_> = entries
        .iter()
        .map(|(key, _)| *key)
        .chain(dropped.iter().copied())
        .collect();
    let present = settings(section, &names)?;
    // New settings go below their kin where there are any.
    draft.insert_after = Some(present.last().map_or(section.last, |setting| setting.line));
    draft.line_ending_of(section.line);
    for setting in &present {
        draft.remove(setting);
    }
    for entry in entries {
        match present.iter().find(|setting| setting.botocore == entry.0) {
            Some(setting) => {
                draft.replaced.insert(setting.line, line(entry));
            }
            None => draft.inserted.push(line(entry)),
        }
    }
    Ok(draft.render())
}

/// The text of `document` without the settings `names` of `section`. The header goes with them
/// where it is `[name]` and nothing but blank lines is left before the last of them, and the blank
/// line above it that [`set`] puts there.
///
/// # Errors
/// A line below or beside one of these settings that the readers disagree on.
pub(super) fn unset(
    document: &Document<'_>,
    kind: Kind,
    profile: &ProfileName,
    section: &Section<'_>,
    names: &[&str],
) -> Result<Zeroizing<String>, Problem> {
    let mut draft = Draft::new(document);
    let present = settings(section, names)?;
    for setting in &present {
        draft.remove(setting);
    }
    let is_plain = document.lines[section.line].text == kind.header(profile);
    let mut below = section.line + 1..=section.last;
    let is_bare = below.all(|i| draft.removed.contains(&i) || document.lines[i].text.is_empty());
    if is_plain && is_bare {
        draft.removed.extend(section.line..=section.last);
        // The line that separates the section from its neighbour, if it has one.
        let separator = match section.line.checked_sub(1) {
            Some(above) => above,
            None => section.last + 1,
        };
        if document
            .lines
            .get(separator)
            .is_some_and(|line| line.text.is_empty())
        {
            draft.removed.insert(separator);
        }
    }
    Ok(draft.render())
}

/// The settings of `section` that have one of `names`, in the file's order.
pub(super) fn settings<'s>(
    section: &'s Section<'_>,
    names: &[&str],
) -> Result<Vec<&'s Setting>, Problem> {
    let mut found = Vec::new();
    for setting in &section.settings {
        let to_botocore = names.iter().find(|name| setting.botocore == **name);
        let to_sdk = names.iter().find(|name| setting.sdk == **name);
        let Some(name) = to_botocore.or(to_sdk) else {
            continue;
        };
        if to_botocore != to_sdk {
            return Err(Problem::at(
                setting.line,
                format!("only some AWS tools read this line as {name}"),
                format!("write it as `{name} = value`"),
            ));
        }
        if let Some(comment) = setting.indented_comment {
            return Err(Problem::at(
                comment,
                format!(
                    "an indented comment below {name}, which the AWS SDKs read as a part of its value"
                ),
                "move the comment mark to the beginning of the line",
            ));
        }
        found.push(setting);
    }
    Ok(found)
}

fn refuse_inherited(document: &Document<'_>, names: &[&str]) -> Result<(), Problem> {
    let inherited = document
        .sections
        .iter()
        .filter(|section| section.botocore == botocore::DEFAULT_SECTION)
        .flat_map(|section| &section.settings);
    for setting in inherited {
        if let Some(name) = names.iter().find(|name| setting.botocore == **name) {
            return Err(Problem::at(
                setting.line,
                format!(
                    "{name} in [DEFAULT], which the AWS CLI and boto3 give to every profile, would shadow the new credentials"
                ),
                "remove it",
            ));
        }
    }
    Ok(())
}

/// A document and what is to change in it.
struct Draft<'d, 'a> {
    document: &'d Document<'a>,
    ending: &'a str,
    removed: HashSet<usize>,
    replaced: HashMap<usize, Zeroizing<String>>,
    inserted: Vec<Zeroizing<String>>,
    /// The line below which `inserted` goes; the last one where there is none.
    insert_after: Option<usize>,
}

impl<'d, 'a> Draft<'d, 'a> {
    fn new(document: &'d Document<'a>) -> Self {
        let ending = document.lines.first().map_or("", |line| line.ending);
        Self {
            document,
            ending: if ending.is_empty() { "\n" } else { ending },
            removed: HashSet::new(),
            replaced: HashMap::new(),
            inserted: Vec::new(),
            insert_after: document.lines.len().checked_sub(1),
        }
    }

    /// Ends new lines as that line ends.
    fn line_ending_of(&mut self, line: usize) {
        let ending = self.document.lines[line].ending;
        if !ending.is_empty() {
            self.ending = ending;
        }
    }

    fn remove(&mut self, setting: &Setting) {
        self.removed.insert(setting.line);
        self.removed.extend(&setting.rest);
    }

    fn render(&self) -> Zeroizing<String> {
        let mut lines: Vec<(&str, &str)> = Vec::new();
        let inserted = || {
            self.inserted
                .iter()
                .map(|text| (text.as_str(), self.ending))
        };
        if self.insert_after.is_none() {
            lines.extend(inserted());
        }
        for (index, line) in self.document.lines.iter().enumerate() {
            if let Some(text) = self.replaced.get(&index) {
                lines.push((text, line.ending));
            } else if !self.removed.contains(&index) {
                lines.push((line.text, line.ending));
            }
            if self.insert_after == Some(index) {
                lines.extend(inserted());
            }
        }
        self.join(lines)
    }

    /// The file keeps or lacks its final newline, whichever line is the last now.
    fn join(&self, lines: Vec<(&str, &str)>) -> Zeroizing<String> {
        let unfinished = self
            .document
            .lines
            .last()
            .is_some_and(|line| line.ending.is_empty());
        let count = lines.len();
        let size = lines.iter().map(|(text, _)| text.len() + 2).sum();
        let mut out = Zeroizing::new(String::with_capacity(size));
        for (index, (text, ending)) in lines.into_iter().enumerate() {
            out.push_str(text);
            match (index + 1 == count && unfinished, ending) {
                (true, _) => {}
                (false, "") => out.push_str(self.ending),
                (false, ending) => out.push_str(ending),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_in(kind: Kind, text: &str, profile: &str) -> Result<String, Problem> {
        let document = Document::parse(text).unwrap();
        let entries = [("k", "1"), ("l", "2")];
        set(
            &document,
            kind,
            &profile.parse().unwrap(),
            &entries,
            &["old"],
        )
        .map(|text| text.to_string())
    }

    fn credentials(text: &str) -> String {
        set_in(Kind::Credentials, text, "p").unwrap()
    }

    fn refused(kind: Kind, text: &str, line: usize, part: &str) {
        let problem = set_in(kind, text, "p").unwrap_err();
        assert!(
            problem.line == line && problem.what.contains(part),
            "{text:?}: {problem:?}"
        );
    }

    fn removed(text: &str) -> String {
        let document = Document::parse(text).unwrap();
        let profile = "p".parse().unwrap();
        let section = find(&document, Kind::Credentials, &profile)
            .unwrap()
            .unwrap();
        unset(&document, Kind::Credentials, &profile, section, &["k", "l"])
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_new_section_goes_to_the_end_below_a_blank_line() {
        assert_eq!(credentials(""), "[p]\nk = 1\nl = 2\n");
        assert_eq!(credentials("[a]\nb=c\n"), "[a]\nb=c\n\n[p]\nk = 1\nl = 2\n");
        assert_eq!(
            credentials("[a]\r\n"),
            "[a]\r\n\r\n[p]\r\nk = 1\r\nl = 2\r\n"
        );
    }

    #[test]
    fn a_missing_final_newline_stays_missing() {
        assert_eq!(credentials("[a]\nb=c"), "[a]\nb=c\n\n[p]\nk = 1\nl = 2");
        assert_eq!(credentials("[p]\nk=0"), "[p]\nk = 1\nl = 2");
        assert_eq!(credentials("[p]\r\nk=0"), "[p]\r\nk = 1\r\nl = 2");
        assert_eq!(credentials("[p]"), "[p]\nk = 1\nl = 2");
    }

    #[test]
    fn settings_are_replaced_in_place_whatever_their_case() {
        assert_eq!(
            credentials("[p] # x\n# c\nL=0\nz = 9\nK = 0 # c\n\n# d\n[q]\nk=7\n"),
            "[p] # x\n# c\nl = 2\nz = 9\nk = 1\n\n# d\n[q]\nk=7\n"
        );
    }

    #[test]
    fn continuations_go_with_their_setting_and_comments_between_stay() {
        assert_eq!(
            credentials("[p]\nk =\n  a = b\n\n# c\n  d = e\nz=1\n"),
            "[p]\nk = 1\nl = 2\n\n# c\nz=1\n"
        );
    }

    #[test]
    fn stale_settings_are_dropped() {
        assert_eq!(
            credentials("[p]\nold=0\nz=1\n[q]\nold=1\n"),
            "[p]\nk = 1\nl = 2\nz=1\n[q]\nold=1\n"
        );
    }

    #[test]
    fn new_settings_go_below_nested_blocks_and_indented_comments() {
        assert_eq!(
            credentials("[p]\ns3 =\n  a = b\n  # c = d\n\n# about q\n[q]\n"),
            "[p]\ns3 =\n  a = b\n  # c = d\nk = 1\nl = 2\n\n# about q\n[q]\n"
        );
    }

    #[test]
    fn sections_that_only_one_reader_takes_for_the_profile_are_refused() {
        refused(Kind::Credentials, "[a]\n[ p ]\n", 2, "only some");
        refused(Kind::Credentials, "[p] # ]\n", 1, "only some");
        refused(Kind::Config, "[profile \"p\"]\n", 1, "only some");
        refused(Kind::Config, "[profiles p]\n", 1, "only some");
        refused(
            Kind::Config,
            "[profile p]\n[profile  p]\n",
            2,
            "second section",
        );
        assert!(set_in(Kind::Config, "[default]\n[profile default]\n", "default").is_err());
    }

    #[test]
    fn sections_of_the_other_kind_are_left_alone() {
        assert_eq!(
            credentials("[profile p]\nk=0\n[P]\n"),
            "[profile p]\nk=0\n[P]\n\n[p]\nk = 1\nl = 2\n"
        );
        assert_eq!(
            set_in(Kind::Config, "[p]\nk=0\n", "p").unwrap(),
            "[p]\nk=0\n\n[profile p]\nk = 1\nl = 2\n"
        );
        assert_eq!(
            set_in(Kind::Config, "", "default").unwrap(),
            "[default]\nk = 1\nl = 2\n"
        );
        assert_eq!(
            set_in(Kind::Config, "[profile default]\n", "default").unwrap(),
            "[profile default]\nk = 1\nl = 2\n"
        );
    }

    #[test]
    fn lines_that_only_one_reader_takes_for_the_setting_are_refused() {
        refused(Kind::Credentials, "[p]\nk: a=b\n", 2, "only some");
        refused(Kind::Credentials, "[p]\n\u{212A}=b\n", 2, "only some");
        refused(
            Kind::Credentials,
            "[p]\nk=b\n  # c\n",
            3,
            "indented comment",
        );
        refused(Kind::Credentials, "[p]\n[DEFAULT]\nold=1\n", 3, "[DEFAULT]");
        assert!(
            set_in(
                Kind::Credentials,
                "[q]\nk: a=b\n  # c\n[DEFAULT]\nk=1\n",
                "p"
            )
            .is_ok()
        );
    }

    #[test]
    fn removing_takes_a_bare_header_and_its_separator() {
        for before in [
            "",
            "\n",
            "[a]\nb=c\n",
            "[a]\nb=c",
            "# c\r\n",
            "[a]\n\n",
            "\n\n",
        ] {
            assert_eq!(removed(&credentials(before)), before, "{before:?}");
        }
        assert_eq!(removed("[p]\nk=1\n\n[q]\n"), "[q]\n");
        assert_eq!(removed("[a]\n\n[p]\nk=1\n\nl=2\n\n[q]\n"), "[a]\n\n[q]\n");
        assert_eq!(removed("[a]\n[p]\nk=1\n# c\n"), "[a]\n# c\n");
    }

    #[test]
    fn removing_keeps_a_header_with_anything_else() {
        assert_eq!(removed("[p]\nk=1\nz=2\n"), "[p]\nz=2\n");
        assert_eq!(removed("[p]\n# c\nk=1\n"), "[p]\n# c\n");
        assert_eq!(removed("[p] # c\nk=1\n"), "[p] # c\n");
        assert_eq!(removed("[p]\nz=2\nk=1"), "[p]\nz=2");
    }
}
