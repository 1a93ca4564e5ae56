//! What a local STS knows: one account, its identity providers and its roles.

use std::{collections::HashMap, fmt};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::role_id;
use crate::{
    domain::{Issuer, RoleArn},
    iam::Policy,
};

/// An account's identity providers and roles.
#[derive(Clone, Debug)]
pub struct Roles {
    account: String,
    /// By the issuer's URL, exactly as `iss` has it.
    by_issuer: HashMap<String, Provider>,
    /// By ARN.
    by_arn: HashMap<String, Role>,
}

/// An IAM OIDC provider.
#[derive(Clone, Debug)]
pub struct Provider {
    issuer: Issuer,
    arn: String,
    client_ids: Vec<String>,
}

impl Provider {
    /// The issuer's URL.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// `arn:aws:iam::ACCOUNT:oidc-provider/HOST[/PATH]`.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The audiences that are registered.
    #[must_use]
    pub fn client_ids(&self) -> &[String] {
        &self.client_ids
    }
}

/// A role.
#[derive(Clone, Debug)]
pub struct Role {
    arn: RoleArn,
    trust_policy: Policy,
    max_session_duration: u32,
}

impl Role {
    /// The role's ARN.
    #[must_use]
    pub const fn arn(&self) -> &RoleArn {
        &self.arn
    }

    /// Who may assume it.
    #[must_use]
    pub const fn trust_policy(&self) -> &Policy {
        &self.trust_policy
    }

    /// The longest session, in seconds.
    #[must_use]
    pub const fn max_session_duration(&self) -> u32 {
        self.max_session_duration
    }
}

/// Everything that is wrong with a roles file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolesError {
    /// One sentence each, with the line and the JSON path.
    pub problems: Vec<String>,
}

impl fmt::Display for RolesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for RolesError {}

/// Providers and roles unread, so that each one's errors have a line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    account: String,
    #[serde(default, borrow)]
    providers: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    roles: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileProvider {
    url: String,
    client_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRole<'a> {
    name: String,
    /// Unread, so that repeated members in it are found.
    #[serde(borrow)]
    trust_policy: &'a RawValue,
    #[serde(default = "default_session")]
    max_session_duration: u32,
}

const fn default_session() -> u32 {
    3600
}

/// Where in the file an entry begins.
struct Place<'a> {
    /// The line, from 1.
    line: usize,
    text: &'a str,
}

impl<'a> Place<'a> {
    /// `entry` is a part of `text`.
    fn new(text: &'a str, entry: &'a RawValue) -> Self {
        let start = entry.get().as_ptr().addr() - text.as_ptr().addr();
        Self {
            line: 1 + text
                .get(..start)
                .map_or(0, |before| before.matches('\n').count()),
            text: entry.get(),
        }
    }

    fn read<T: Deserialize<'a>>(&self, entry: &'a RawValue) -> Result<T, (usize, String)> {
        serde_json::from_str(entry.get()).map_err(|error| {
            // serde_json ends its message with the place, counted from the entry's beginning.
            let text = error.to_string();
            let problem = text
                .rsplit_once(" at line ")
                .map_or(text.as_str(), |(problem, _)| problem);
            let line = self.line + error.line().saturating_sub(1);
            (line, format!(": {problem}"))
        })
    }

    /// The line of the member that an error begins with, else that of the entry.
    fn at(&self, error: &str) -> (usize, String) {
        let member = error.split([':', '[', '.', ' ']).next().unwrap_or_default();
        let place = self.text.find(&format!("\"{member}\"")).unwrap_or(0);
        let lines = self.text[..place].matches('\n').count();
        (self.line + lines, format!(".{error}"))
    }
}

/// What to do about a file that cannot be read as a whole.
fn cure(error: &serde_json::Error) -> &'static str {
    if error.is_data() {
        "write {\"account\": \"000000000000\", \"providers\": […], \"roles\": […]}"
    } else {
        "that place is not JSON: look there for a missing quote, comma or bracket"
    }
}

impl Roles {
    /// Reads a roles file: `{"account", "providers": [{"url", "client_ids"}], "roles": [{"name",
    /// "trust_policy", "max_session_duration"}]}`. All errors are reported together.
    pub fn parse(text: &str) -> Result<Self, RolesError> {
        let file: File<'_> = serde_json::from_str(text).map_err(|error| RolesError {
            problems: vec![format!("{error}; {}", cure(&error))],
        })?;
        let mut problems = Vec::new();
        if file.account.len() != 12 || !file.account.bytes().all(|byte| byte.is_ascii_digit()) {
            problems.push(format!(
                "account: {:?} is not an AWS account id; write twelve digits, such as \
                 \"000000000000\"",
                file.account
            ));
        }
        let mut roles = Self {
            account: file.account,
            by_issuer: HashMap::new(),
            by_arn: HashMap::new(),
        };
        for (index, entry) in file.providers.into_iter().enumerate() {
            let place = Place::new(text, entry);
            let added = place
                .read(entry)
                .and_then(|provider| roles.add_provider(provider).map_err(|e| place.at(&e)));
            added.unwrap_or_else(|(line, error)| {
                problems.push(format!("line {line}: providers[{index}]{error}"));
            });
        }
        for (index, entry) in file.roles.into_iter().enumerate() {
            let place = Place::new(text, entry);
            let added = place
                .read(entry)
                .and_then(|role| roles.add_role(&role).map_err(|e| place.at(&e)));
            added.unwrap_or_else(|(line, error)| {
                problems.push(format!("line {line}: roles[{index}]{error}"));
            });
        }
        if problems.is_empty() {
            Ok(roles)
        } else {
            Err(RolesError { problems })
        }
    }

    fn add_provider(&mut self, provider: FileProvider) -> Result<(), String> {
        let issuer: Issuer = provider
            .url
            .parse()
            .map_err(|error| format!("url: {error}"))?;
        let ids = &provider.client_ids;
        if ids.is_empty() || ids.len() > 100 {
            return Err(format!(
                "client_ids: there are {}; write 1 to 100 audiences, such as \
                 \"sts.amazonaws.com\"",
                ids.len()
            ));
        }
        if let Some(id) = ids
            .iter()
            .find(|id| id.is_empty() || id.chars().count() > 255)
        {
            return Err(format!(
                "client_ids: {id:?} has {} characters; IAM takes 1 to 255",
                id.chars().count()
            ));
        }
        if self.by_issuer.contains_key(issuer.as_str()) {
            return Err(format!(
                "url: {issuer} is there twice; list its client ids together"
            ));
        }
        let arn = format!(
            "arn:aws:iam::{}:oidc-provider/{}",
            self.account,
            issuer.provider()
        );
        self.by_issuer.insert(
            issuer.as_str().to_owned(),
            Provider {
                issuer,
                arn,
                client_ids: provider.client_ids,
            },
        );
        Ok(())
    }

    fn add_role(&mut self, role: &FileRole<'_>) -> Result<(), String> {
        // A wrong account is reported once, not by every role.
        let arn: RoleArn = format!("arn:aws:iam::{}:role/{}", self.account, role.name)
            .parse()
            .or_else(|_| format!("arn:aws:iam::000000000000:role/{}", role.name).parse())
            .map_err(|_| {
                format!(
                    "name: {:?} is not a role's name; write 1-64 letters, digits and +=,.@_-",
                    role.name
                )
            })?;
        if !(3600..=43_200).contains(&role.max_session_duration) {
            return Err(format!(
                "max_session_duration: {} is out of bounds; IAM takes 3600 to 43200 seconds",
                role.max_session_duration
            ));
        }
        let trust_policy = Policy::parse_trust(role.trust_policy.get())
            .map_err(|error| format!("trust_policy: {error}"))?;
        let key = arn.to_string();
        if self.by_arn.contains_key(&key) {
            return Err(format!("name: {:?} is there twice", role.name));
        }
        self.by_arn.insert(
            key,
            Role {
                arn,
                trust_policy,
                max_session_duration: role.max_session_duration,
            },
        );
        Ok(())
    }

    /// The account that owns providers and roles.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The provider of that issuer.
    #[must_use]
    pub fn provider(&self, issuer: &str) -> Option<&Provider> {
        self.by_issuer.get(issuer)
    }

    /// All providers, in no particular order.
    pub fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.by_issuer.values()
    }

    /// The role of that ARN.
    #[must_use]
    pub fn role(&self, arn: &str) -> Option<&Role> {
        self.by_arn.get(arn)
    }

    /// The role of that id, `AROA…`.
    pub(super) fn by_id(&self, id: &str) -> Option<&Role> {
        self.by_arn.values().find(|role| role_id(&role.arn) == id)
    }

    /// The ARNs of all roles, sorted.
    #[must_use]
    pub fn role_arns(&self) -> Vec<&str> {
        let mut arns: Vec<_> = self.by_arn.keys().map(String::as_str).collect();
        arns.sort_unstable();
        arns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::000000000000:oidc-provider/idp.example.com"},"Action":"sts:AssumeRoleWithWebIdentity"}}"#;

    #[test]
    fn reads_the_file_of_the_interface() {
        let roles = Roles::parse(&format!(
            r#"{{"account":"000000000000",
            "providers":[{{"url":"https://idp.example.com/o/1","client_ids":["sts.amazonaws.com"]}}],
            "roles":[{{"name":"demo","trust_policy":{POLICY},"max_session_duration":7200}},
                     {{"name":"plain","trust_policy":{POLICY}}}]}}"#
        ))
        .unwrap();
        let provider = roles.provider("https://idp.example.com/o/1").unwrap();
        assert_eq!(
            provider.arn(),
            "arn:aws:iam::000000000000:oidc-provider/idp.example.com/o/1"
        );
        let role = |name: &str| {
            roles
                .role(&format!("arn:aws:iam::000000000000:role/{name}"))
                .unwrap()
                .max_session_duration()
        };
        assert_eq!((role("demo"), role("plain")), (7200, 3600));
        assert_eq!(roles.role_arns().len(), 2);
    }

    #[test]
    fn reports_everything_that_is_wrong_with_its_place() {
        let text = format!(
            r#"{{"account":"1","providers":[
                {{"url":"http://idp.example.com","client_ids":["a"]}},
                {{"url":"https://a.example.com","client_ids":[]}},
                {{"url":"https://b.example.com","client_ids":["a"]}},
                {{"url":"https://b.example.com","client_ids":["b"]}},
                {{"url":"https://c.example.com","client_ids":[""]}}],
            "roles":[
                {{"name":"a b","trust_policy":{POLICY}}},
                {{"name":"a","trust_policy":{POLICY},"max_session_duration":900}},
                {{"name":"b","trust_policy":{{"Statement":[]}}}},
                {{"name":"c","trust_policy":{POLICY}}},
                {{"name":"c","trust_policy":{POLICY}}}]}}"#
        );
        let problems = Roles::parse(&text).unwrap_err().problems;
        let wanted = [
            "account: \"1\" is not an AWS account id",
            "providers[0].url: an issuer must be an https URL",
            "providers[1].client_ids: there are 0",
            "providers[3].url: https://b.example.com is there twice",
            "providers[4].client_ids: \"\" has 0 characters",
            "roles[0].name: \"a b\" is not a role's name",
            "roles[1].max_session_duration: 900 is out of bounds",
            "roles[2].trust_policy: Statement: there is none",
            "roles[4].name: \"c\" is there twice",
        ];
        assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
        for (problem, wanted) in problems.iter().zip(wanted) {
            assert!(problem.contains(wanted), "{problem}");
        }
        for (index, line) in [(1, 2), (4, 6), (5, 8), (8, 12)] {
            let wanted = format!("line {line}: ");
            assert!(problems[index].starts_with(&wanted), "{}", problems[index]);
        }
    }

    #[test]
    fn unknown_members_and_broken_json_have_a_place() {
        for (text, says) in [
            (
                "{\n\"acount\":\"000000000000\"}",
                "unknown field `acount`, expected one of `account`, `providers`, `roles` at line 2",
            ),
            ("{}", "missing field `account`"),
            (
                "{\"account\":\"000000000000\",\n\"roles\":[\n{\"name\":\"a\"}]}",
                "line 3: roles[0]: missing field `trust_policy`",
            ),
            ("{", "line 1 column 1"),
        ] {
            let error = Roles::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
