//! Whatever was in a file still reads the same after an edit, to botocore and to the Rust SDK, and
//! every other byte is where it was.

use std::{cell::RefCell, fs, path::Path};

use idp::client::aws_files::{ConfigFile, CredentialsFile, FileError, ProfileName, Removed};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    credentials, entries,
    generate::{self, Kind, NAMES},
    oracle::{self, Botocore, Reading},
};

const PROFILE: &str = "p";
const CONFIG: [(&str, &str); 2] = [
    (
        "credential_process",
        "idp aws credential-process --role-arn a",
    ),
    ("region", "eu-west-1"),
];
/// What only the comparison of the readers can refuse, with both of them content.
const DISAGREEMENTS: [&str; 6] = [
    "only some AWS tools",
    "a second section of profile",
    "indented comment below",
    "in [DEFAULT]",
    "carriage return",
    "white-space character",
];

#[test]
fn realistic_credentials_files() {
    run(
        Kind::Credentials,
        400,
        generate::realistic(Kind::Credentials),
    );
}

#[test]
fn odd_credentials_files() {
    run(Kind::Credentials, 1500, generate::odd(Kind::Credentials));
}

#[test]
fn realistic_config_files() {
    run(Kind::Config, 300, generate::realistic(Kind::Config));
}

#[test]
fn odd_config_files() {
    run(Kind::Config, 1000, generate::odd(Kind::Config));
}

/// A name is taken exactly where both readers find the profile under it.
#[test]
fn profile_names() {
    let Some(botocore) = Botocore::start() else {
        return;
    };
    let botocore = RefCell::new(botocore);
    let names = prop_oneof![
        "[A-Za-z0-9_./%@:+ -]{1,12}",
        "[A-Z]?[ \\t\\r\\n#;\"'=\\[\\]\\\\a-z]{0,4}",
        "\\PC{0,3}",
        Just("DEFAULT".to_owned()),
    ];
    let config = ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&names, |name| {
            let text = format!("[{name}]\naws_access_key_id = a\n");
            let botocore = botocore
                .borrow_mut()
                .read(text.as_bytes(), Kind::Credentials, &name);
            let by_botocore = botocore.sections.keys().collect::<Vec<_>>() == [&name];
            let sdk = oracle::sdk(&text, Kind::Credentials);
            let by_sdk = sdk.is_some_and(|sections| sections.get_profile(&name).is_some());
            // The SDK's loader takes even a profile without a name.
            let found = by_botocore && by_sdk && !name.is_empty();
            prop_assert_eq!(name.parse::<ProfileName>().is_ok(), found);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

fn run(kind: Kind, cases: u32, files: impl Strategy<Value = String>) {
    let Some(botocore) = Botocore::start() else {
        return;
    };
    let botocore = RefCell::new(botocore);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let (accepted, refused) = (RefCell::new(0), RefCell::new(0));
    TestRunner::new(config)
        .run(&files, |before| {
            let mut case = Case {
                kind,
                path: &path,
                before: &before,
                botocore: &mut botocore.borrow_mut(),
            };
            *(if case.check() { &accepted } else { &refused }).borrow_mut() += 1;
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
    // A generator whose files are all of one sort would prove nothing.
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    assert!(
        accepted > cases / 20,
        "{accepted} accepted, {refused} refused"
    );
}

struct Case<'a> {
    kind: Kind,
    path: &'a Path,
    before: &'a str,
    botocore: &'a mut Botocore,
}

impl Case<'_> {
    /// Whether the file was taken.
    fn check(&mut self) -> bool {
        fs::write(self.path, self.before).unwrap();
        let before = self
            .botocore
            .read(self.before.as_bytes(), self.kind, PROFILE);
        let outcome = self.write(1);
        let after = fs::read_to_string(self.path).unwrap();
        if let Err(error) = outcome {
            assert_eq!(after, self.before, "a refused file was touched");
            self.assert_deserved(&before, &error);
            return false;
        }
        assert_eq!(before.refused, None, "botocore refuses this file");
        self.assert_bytes(&after);
        self.assert_botocore(&before, &after);
        self.assert_sdk(&after);
        self.write(1).unwrap();
        let again = fs::read_to_string(self.path).unwrap();
        assert_eq!(again, after, "not idempotent");
        if self.kind == Kind::Credentials {
            self.assert_removal(&before);
        }
        true
    }

    fn write(&self, turn: u32) -> Result<(), FileError> {
        let profile: ProfileName = PROFILE.parse().unwrap();
        let path = self.path.to_owned();
        match self.kind {
            Kind::Credentials => {
                CredentialsFile::at(path).write_credentials(&profile, &credentials(1, turn))
            }
            Kind::Config => ConfigFile::at(path).write_profile(&profile, &CONFIG),
        }
        .map(drop)
    }

    fn written(&self) -> Vec<(&'static str, String)> {
        match self.kind {
            Kind::Credentials => entries(&credentials(1, 1)),
            Kind::Config => CONFIG.map(|(key, value)| (key, value.to_owned())).to_vec(),
        }
    }

    fn is_edited(&self, key: &str) -> bool {
        self.written().iter().any(|(edited, _)| *edited == key)
            || (self.kind == Kind::Credentials && key == "aws_security_token")
    }

    /// A file is refused because a reader refuses it, or because they disagree.
    fn assert_deserved(&self, before: &Reading, error: &FileError) {
        let message = error.to_string();
        assert!(matches!(error, FileError::Malformed { .. }), "{message}");
        let disagreement = DISAGREEMENTS.iter().any(|part| message.contains(part));
        let by_sdk = oracle::sdk(self.before, self.kind).is_none();
        assert!(
            before.refused.is_some() || by_sdk || disagreement,
            "{message}"
        );
    }

    /// Without the lines of the edited settings, both texts are the same.
    fn assert_bytes(&self, after: &str) {
        let (before, after) = (self.rest_of(self.before), self.rest_of(after));
        if before == after {
            return;
        }
        // A new section stands at the end, below what was there.
        let created = after
            .strip_prefix(before.as_str())
            .unwrap_or_else(|| panic!("{before:?} became {after:?}"));
        let header = created
            .trim_start_matches(['\r', '\n'])
            .trim_end_matches(['\r', '\n']);
        assert!(["[p]", "[profile p]", ""].contains(&header), "{created:?}");
    }

    fn rest_of(&self, text: &str) -> String {
        let (mut in_profile, mut in_edited) = (false, false);
        let mut rest = String::new();
        for line in text.split_inclusive('\n') {
            let plain = line.trim_end_matches(['\r', '\n']);
            let is_content = !plain.trim().is_empty() && !plain.starts_with(['#', ';']);
            if let Some(header) = plain.strip_prefix('[') {
                let name = header.split([']', '#', ';']).next().unwrap();
                let words: Vec<_> = name
                    .split([' ', '\t'])
                    .filter(|word| !word.is_empty())
                    .collect();
                in_profile = match self.kind {
                    Kind::Credentials => words == [PROFILE],
                    Kind::Config => words == ["profile", PROFILE],
                };
                in_edited = false;
            } else if is_content && !plain.starts_with([' ', '\t']) {
                let key = plain.split(['=', ':']).next().unwrap();
                in_edited = in_profile && self.is_edited(&key.trim().to_lowercase());
            }
            if !(in_edited && is_content) {
                rest.push_str(line);
            }
        }
        // The last line lacks its end where the file did, whichever line it is now.
        if rest.len() < text.len() && !text.ends_with('\n') {
            rest.truncate(rest.trim_end_matches(['\r', '\n']).len());
        }
        rest
    }

    fn assert_botocore(&mut self, before: &Reading, after: &str) {
        let after = self.botocore.read(after.as_bytes(), self.kind, PROFILE);
        assert_eq!(after.refused, None, "botocore refuses what was written");
        for (name, settings) in &before.sections {
            if name != PROFILE {
                assert_eq!(after.sections.get(name), Some(settings), "[{name}] changed");
            }
        }
        let profile = &after.sections[PROFILE];
        for (key, value) in before.sections.get(PROFILE).into_iter().flatten() {
            if !self.is_edited(key) {
                assert_eq!(profile.get(key), Some(value), "{key} changed");
            }
        }
        for (key, value) in self.written() {
            assert_eq!(profile[key], value.as_str());
        }
        let expected = before.sections.len() + usize::from(!before.sections.contains_key(PROFILE));
        assert_eq!(after.sections.len(), expected);
        if self.kind == Kind::Credentials {
            let keys = self
                .written()
                .into_iter()
                .take(3)
                .map(|(_, value)| value.into())
                .collect();
            assert_eq!(after.keys, Some(keys), "botocore signs with something else");
        }
    }

    fn assert_sdk(&self, after: &str) {
        let before = oracle::sdk(self.before, self.kind).expect("the SDK refuses this file");
        let after = oracle::sdk(after, self.kind).expect("the SDK refuses what was written");
        for name in before.profiles() {
            let (old, new) = (
                before.get_profile(name).unwrap(),
                after.get_profile(name).unwrap(),
            );
            if name != PROFILE {
                assert_eq!(old, new, "[{name}] changed");
            }
            for key in NAMES
                .iter()
                .filter(|key| name != PROFILE || !self.is_edited(key))
            {
                assert_eq!(old.get(key), new.get(key), "{key} of [{name}] changed");
            }
        }
        let profile = after.get_profile(PROFILE).unwrap();
        for (key, value) in self.written() {
            assert_eq!(profile.get(key), Some(value.as_str()));
        }
        let known = before.get_profile(PROFILE).is_some();
        assert_eq!(
            after.profiles().count(),
            before.profiles().count() + usize::from(!known)
        );
        if self.kind == Kind::Credentials {
            assert_eq!(profile.get("aws_security_token"), None);
        }
    }

    fn assert_removal(&mut self, before: &Reading) {
        let file = CredentialsFile::at(self.path.to_owned());
        let profile: ProfileName = PROFILE.parse().unwrap();
        let removed = file.remove_credentials(&profile).unwrap();
        assert!(matches!(removed, Removed::Credentials(_)));
        let after = fs::read_to_string(self.path).unwrap();
        let Some(was) = before.sections.get(PROFILE) else {
            assert_eq!(
                after, self.before,
                "the file is not as it was before the section"
            );
            return;
        };
        let reading = self.botocore.read(after.as_bytes(), self.kind, PROFILE);
        assert_eq!(reading.refused, None);
        let now = reading.sections.get(PROFILE).cloned().unwrap_or_default();
        for (key, value) in was {
            if !self.is_edited(key) && reading.sections.contains_key(PROFILE) {
                assert_eq!(now.get(key), Some(value), "{key} changed");
            }
        }
        assert!(oracle::sdk(&after, self.kind).is_some());
    }
}
