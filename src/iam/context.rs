//! What a policy is evaluated against.

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Somebody whom an identity provider vouches for: the provider's ARN.
    Federated(String),
    /// Somebody with AWS credentials: every ARN and id that a policy can name them by.
    Aws(Vec<String>),
}

/// The condition keys of one request and their values.
///
/// Keys are compared without regard to case, as IAM does; a key without values is a missing key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    keys: Vec<(String, Vec<String>)>,
    unknown: Vec<String>,
}

impl Context {
    /// A request without any keys.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            keys: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// Sets a key to one value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.set_all(key, vec![value.into()]);
    }

    /// Sets a key to several values.
    pub fn set_all(&mut self, key: impl Into<String>, values: Vec<String>) {
        let key = key.into();
        self.keys
            .retain(|(other, _)| !other.eq_ignore_ascii_case(&key));
        self.keys.push((key, values));
    }

    /// Sets a key to one value in place of the one that it had: for asking the same policy of very
    /// many principals.
    pub fn reset(&mut self, key: &str, value: &str) {
        match self
            .keys
            .iter_mut()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
        {
            Some((_, values)) => {
                values.truncate(1);
                match values.first_mut() {
                    Some(old) => {
                        old.clear();
                        old.push_str(value);
                    }
                    None => values.push(value.to_owned()),
                }
            }
            None => self.set(key, value),
        }
    }

    /// Says that STS will know the key's value though it is not known here, such as the caller's
    /// address. A condition on it counts in favour of the request.
    pub fn set_unknown(&mut self, key: impl Into<String>) {
        self.unknown.push(key.into());
    }

    /// Whether the key has a value that is not known here.
    #[must_use]
    pub fn is_unknown(&self, key: &str) -> bool {
        self.unknown
            .iter()
            .any(|name| name.eq_ignore_ascii_case(key))
    }

    /// Whether a key can have several values, so that it cannot be a policy variable.
    #[must_use]
    pub fn is_multi_valued(key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        matches!(key.as_str(), "aws:tagkeys" | "sts:transitivetagkeys") || key.ends_with(":amr")
    }

    /// A key's values, `None` where the request has no such key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.keys
            .iter()
            .find(|(name, values)| name.eq_ignore_ascii_case(key) && !values.is_empty())
            .map(|(_, values)| values.as_slice())
    }

    /// Every key with its values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.keys
            .iter()
            .map(|(key, values)| (key.as_str(), values.as_slice()))
    }
}

/// One request that a policy decides.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The action, such as `sts:AssumeRoleWithWebIdentity`.
    pub action: &'a str,
    /// Who asks.
    pub principal: &'a Principal,
    /// The condition keys.
    pub context: &'a Context,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_no_case_and_empty_means_missing() {
        let mut context = Context::new();
        context.set("idp.example.com:sub", "a");
        context.set("IDP.example.com:SUB", "b");
        context.set_all("aws:TagKeys", Vec::new());
        assert_eq!(
            context.get("Idp.Example.Com:Sub"),
            Some(["b".to_owned()].as_slice())
        );
        assert_eq!(context.get("aws:TagKeys"), None);
        assert_eq!(context.iter().count(), 2);
    }

    #[test]
    fn a_reset_key_has_the_new_value_only() {
        let mut context = Context::new();
        context.set_all("k", vec!["a".to_owned(), "b".to_owned()]);
        context.reset("K", "c");
        context.reset("l", "d");
        assert_eq!(context.get("k"), Some(["c".to_owned()].as_slice()));
        assert_eq!(context.get("l"), Some(["d".to_owned()].as_slice()));
    }
}
