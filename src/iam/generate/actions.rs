//! Permission and session policies from a list of actions.

use serde_json::{Value, json};

use super::scope::one_or_many;

/// The characters that a role's inline policies may have together, white space apart.
const INLINE_MAX: usize = 10_240;
/// The characters that a session policy may have.
const SESSION_MAX: usize = 2048;

/// What a role may do: actions, each on resources, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actions(Vec<Grant>);

/// Actions that share their resources.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    actions: Vec<String>,
    resources: Vec<String>,
}

/// Why a text is not a list of actions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionsError {
    /// A line.
    #[error(
        "line {line}: {problem}; write an action and its resources, such as s3:GetObject arn:aws:s3:::my-bucket/*"
    )]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// No line at all.
    #[error("there is no action; write one a line, such as s3:GetObject arn:aws:s3:::my-bucket/*")]
    Empty,
    /// The policy would be too long.
    #[error(
        "the {what} would have {characters} characters, and IAM takes {most}; name fewer actions or resources"
    )]
    TooLong {
        /// Which policy.
        what: &'static str,
        /// How many it would have.
        characters: usize,
        /// How many it may have.
        most: usize,
    },
}

impl Actions {
    /// Reads a list: an action a line, then its resources, `*` where there are none; `#` begins a
    /// comment.
    ///
    /// # Errors
    /// A line that is not of that form, or none that is; every action at once.
    pub fn parse(text: &str) -> Result<Self, ActionsError> {
        let mut grants: Vec<Grant> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |problem: String| ActionsError::Line {
                line: index + 1,
                problem,
            };
            let line = line.split_once('#').map_or(line, |(before, _)| before);
            let mut words = line.split_whitespace();
            let Some(action) = words.next() else {
                continue;
            };
            check_action(action).map_err(wrong)?;
            let mut resources: Vec<String> = words.map(str::to_owned).collect();
            if let Some(bad) = resources.iter().find(|resource| !is_resource(resource)) {
                return Err(wrong(format!("{bad:?} is neither an ARN nor *")));
            }
            if resources.is_empty() {
                resources.push("*".to_owned());
            }
            match grants.iter_mut().find(|grant| grant.resources == resources) {
                Some(grant) if grant.actions.iter().any(|known| known == action) => {}
                Some(grant) => grant.actions.push(action.to_owned()),
                None => grants.push(Grant {
                    actions: vec![action.to_owned()],
                    resources,
                }),
            }
        }
        if grants.is_empty() {
            return Err(ActionsError::Empty);
        }
        Ok(Self(grants))
    }

    /// The role's permission policy.
    ///
    /// # Errors
    /// It would be longer than IAM takes.
    pub fn permission_policy(&self) -> Result<Value, ActionsError> {
        self.within("permission policy", INLINE_MAX)
    }

    /// A policy that narrows a session to these actions.
    ///
    /// # Errors
    /// It would be longer than STS takes.
    pub fn session_policy(&self) -> Result<Value, ActionsError> {
        self.within("session policy", SESSION_MAX)
    }

    fn within(&self, what: &'static str, most: usize) -> Result<Value, ActionsError> {
        let statements: Vec<Value> = self
            .0
            .iter()
            .map(|grant| {
                json!({
                    "Effect": "Allow",
                    "Action": one_or_many(grant.actions.clone()),
                    "Resource": one_or_many(grant.resources.clone()),
                })
            })
            .collect();
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        let characters = policy.to_string().chars().count();
        if characters > most {
            return Err(ActionsError::TooLong {
                what,
                characters,
                most,
            });
        }
        Ok(policy)
    }
}

fn check_action(action: &str) -> Result<(), String> {
    let Some((service, name)) = action.split_once(':') else {
        return Err(format!("{action:?} is not an action"));
    };
    let service_fits = !service.is_empty()
        && service
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let name_fits = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"*?".contains(&b));
    if service_fits && name_fits {
        Ok(())
    } else {
        Err(format!("{action:?} is not an action"))
    }
}

/// An ARN pattern or `*`. Policy variables are no business of a list of actions: what they stand for
/// differs from session to session.
fn is_resource(text: &str) -> bool {
    let arn = text.starts_with("arn:") && text.splitn(6, ':').count() == 6;
    (text == "*" || arn)
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !"${}\"\\".contains(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn actions_of_the_same_resources_share_a_statement() {
        let actions = Actions::parse(
            "# read a prefix\ns3:ListBucket arn:aws:s3:::my-bucket\n\n\
             s3:GetObject   arn:aws:s3:::my-bucket/a/* arn:aws:s3:::my-bucket/b/*  # both\n\
             ec2:DescribeInstances\nec2:DescribeTags\nec2:DescribeTags *\n",
        )
        .unwrap();
        assert_eq!(
            actions.permission_policy().unwrap(),
            json!({ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": "s3:ListBucket",
                  "Resource": "arn:aws:s3:::my-bucket" },
                { "Effect": "Allow", "Action": "s3:GetObject",
                  "Resource": ["arn:aws:s3:::my-bucket/a/*", "arn:aws:s3:::my-bucket/b/*"] },
                { "Effect": "Allow", "Action": ["ec2:DescribeInstances", "ec2:DescribeTags"],
                  "Resource": "*" },
            ] })
        );
        assert_eq!(actions.session_policy(), actions.permission_policy());
    }

    #[test]
    fn says_which_line_is_wrong() {
        for (text, says) in [
            ("", "there is no action"),
            ("# only this\n", "there is no action"),
            ("s3:GetObject\n*", "line 2: \"*\" is not an action"),
            ("*:*", "line 1: \"*:*\" is not an action"),
            ("s3:", "line 1: \"s3:\" is not an action"),
            ("S3:GetObject", "line 1: \"S3:GetObject\" is not an action"),
            ("s3:Get${x}", "is not an action"),
            (
                "s3:GetObject bucket",
                "line 1: \"bucket\" is neither an ARN",
            ),
            (
                "s3:GetObject arn:aws:s3:::${aws:username}/*",
                "is neither an ARN",
            ),
        ] {
            let error = Actions::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn what_iam_would_not_take_is_refused() {
        let many = (0..60)
            .map(|n| format!("s3:GetObject arn:aws:s3:::a-bucket-with-a-long-name-{n}/*\n"))
            .collect::<Vec<_>>()
            .concat();
        let actions = Actions::parse(&many).unwrap();
        actions.permission_policy().unwrap();
        let error = actions.session_policy().unwrap_err().to_string();
        assert!(error.contains("the session policy would have"), "{error}");
        let too_many = Actions::parse(&many.replace("long", &"long".repeat(40))).unwrap();
        too_many.permission_policy().unwrap_err();
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            drop(Actions::parse(&text));
        }
    }
}
