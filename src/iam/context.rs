//! What a policy is evaluated against.

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Somebody whom an identity provider vouches for: the provider's ARN.
    Federated(String),
}

/// The condition keys of one request and their values.
///
/// Keys are compared without regard to case, as IAM does; a key without values is a missing key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(Vec<(String, Vec<String>)>);

impl Context {
    /// A request without any keys.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Sets a key to one value.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.set_all(key, vec![value.into()]);
    }

    /// Sets a key to several values.
    pub fn set_all(&mut self, key: impl Into<String>, values: Vec<String>) {
        let key = key.into();
        self.0
            .retain(|(other, _)| !other.eq_ignore_ascii_case(&key));
        self.0.push((key, values));
    }

    /// A key's values, `None` where the request has no such key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[String]> {
        self.0
            .iter()
            .find(|(name, values)| name.eq_ignore_ascii_case(key) && !values.is_empty())
            .map(|(_, values)| values.as_slice())
    }

    /// Every key with its values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0
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
}
