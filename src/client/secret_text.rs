//! `#[serde(with = "secret_text")]`: secrets in files of ours and in answers to us.

use serde::{Deserialize as _, Deserializer, Serializer};

use crate::domain::{ExposeSecret as _, SecretString};

pub(super) fn serialize<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SecretString, D::Error> {
    String::deserialize(from).map(SecretString::from)
}
