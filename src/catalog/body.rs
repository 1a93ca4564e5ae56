//! Reading names out of a body: a form, JSON or CBOR. No more is read than is asked for.

use std::borrow::Cow;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{cbor::Cbor, deletions::Deletion};

/// A step into a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The member of a name.
    Member(&'static str),
    /// Each element of a list.
    Each,
    /// Each key of a map.
    Keys,
    /// Each value of a map.
    Values,
}

/// A body, as its protocol has it.
#[derive(Debug)]
pub(super) enum Body<'a> {
    /// There is none, or nothing in it can be named.
    Empty,
    /// It was not read.
    Unread,
    /// It is compressed, so nobody looks inside.
    Opaque,
    Form(Vec<(Cow<'a, str>, Cow<'a, str>)>),
    Json(&'a RawValue),
    Cbor(Cbor<'a>),
    /// What `DeleteObjects` of Amazon S3 is to delete.
    Deletions(Vec<Deletion>),
}

/// What a body has under a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Values<'a> {
    /// Nobody knows: the body was not read.
    Unknown,
    /// These; none where it is not there.
    Known(Vec<Cow<'a, str>>),
}

/// Why a body is not what its protocol says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) String);

impl<'a> Body<'a> {
    /// Reads a form (`application/x-www-form-urlencoded`).
    pub(super) fn form(bytes: &'a [u8]) -> Self {
        Self::Form(url::form_urlencoded::parse(bytes).collect())
    }

    /// Reads JSON; nothing at all is an empty object, as AWS takes it.
    pub(super) fn json(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.is_empty() {
            return Ok(Self::Empty);
        }
        serde_json::from_slice(bytes)
            .map(Self::Json)
            .map_err(|error| Malformed(format!("the body is not JSON: {error}")))
    }

    /// What stands at `steps`.
    pub(super) fn values(&self, steps: &[Step]) -> Result<Values<'a>, Malformed> {
        let mut found = Vec::new();
        match self {
            Self::Empty => {}
            Self::Unread | Self::Opaque => return Ok(Values::Unknown),
            Self::Form(pairs) => form_values(pairs, steps, &mut found)?,
            Self::Json(raw) => json_values(raw, steps, &mut found)?,
            Self::Cbor(item) => item.values(steps, &mut found)?,
            Self::Deletions(list) => {
                let version = steps.last() == Some(&Step::Member("VersionId"));
                let texts = list.iter().filter_map(|one| {
                    if version {
                        one.version.clone()
                    } else {
                        Some(one.key.clone())
                    }
                });
                found.extend(texts.map(Cow::Owned));
            }
        }
        Ok(Values::Known(found))
    }
}

/// Lists are numbered in forms: `Name.member.1`, `Name.1`; maps and structures put their members behind
/// dots. So a step into anything takes whatever begins alike and ends as the last member is named.
fn form_values<'a>(
    pairs: &[(Cow<'a, str>, Cow<'a, str>)],
    steps: &[Step],
    found: &mut Vec<Cow<'a, str>>,
) -> Result<(), Malformed> {
    let Some((Step::Member(first), rest)) = steps.split_first() else {
        return Ok(());
    };
    if rest.is_empty() {
        let mut values = pairs.iter().filter(|(name, _)| name == first);
        let (one, more) = (values.next(), values.next());
        if more.is_some() {
            return Err(Malformed(format!("the form has {first:?} twice")));
        }
        match one {
            Some((_, value)) => found.push(value.clone()),
            // A structure or list, whose members have names of their own.
            None if pairs.iter().any(|(name, _)| behind(name, first).is_some()) => {
                found.push(Cow::Borrowed(""));
            }
            None => {}
        }
        return Ok(());
    }
    let last = match rest.last() {
        Some(Step::Member(last)) => Some(*last),
        _ => None,
    };
    for (name, value) in pairs {
        let Some(tail) = behind(name, first) else {
            continue;
        };
        let end = tail.rsplit('.').next().unwrap_or_default();
        let fits = match last {
            Some(last) => end == last,
            None => end.bytes().all(|b| b.is_ascii_digit()),
        };
        if fits {
            found.push(value.clone());
        }
    }
    Ok(())
}

fn behind<'a>(name: &'a str, first: &str) -> Option<&'a str> {
    name.strip_prefix(first)?.strip_prefix('.')
}

fn json_values<'a>(
    raw: &'a RawValue,
    steps: &[Step],
    found: &mut Vec<Cow<'a, str>>,
) -> Result<(), Malformed> {
    let Some((step, rest)) = steps.split_first() else {
        return json_text(raw, found);
    };
    match (step, raw.get().as_bytes().first()) {
        (Step::Member(name), Some(b'{')) => {
            let mut members = json_members(raw)?
                .into_iter()
                .filter(|(key, _)| key == name);
            let (one, more) = (members.next(), members.next());
            if more.is_some() {
                return Err(Malformed(format!("the body has {name:?} twice")));
            }
            match one {
                Some((_, value)) => json_values(value, rest, found),
                None => Ok(()),
            }
        }
        (Step::Values, Some(b'{')) => json_members(raw)?
            .into_iter()
            .try_for_each(|(_, value)| json_values(value, rest, found)),
        (Step::Keys, Some(b'{')) => {
            found.extend(json_members(raw)?.into_iter().map(|(key, _)| key));
            Ok(())
        }
        (Step::Each, Some(b'[')) => json_items(raw)?
            .into_iter()
            .try_for_each(|value| json_values(value, rest, found)),
        (_, Some(b'n')) => Ok(()),
        _ => Err(Malformed(
            "the body has a value of another kind than the operation's".to_owned(),
        )),
    }
}

fn json_text<'a>(raw: &'a RawValue, found: &mut Vec<Cow<'a, str>>) -> Result<(), Malformed> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => {
            let plain = serde_json::from_str::<Plain<'a>>(text)
                .map_err(|error| Malformed(format!("the body is not JSON: {error}")))?;
            found.push(plain.0);
        }
        // Whether a structure is there is all that can be asked of it.
        Some(b'{' | b'[') => found.push(Cow::Borrowed("")),
        Some(b'n') | None => {}
        Some(_) => found.push(Cow::Borrowed(text)),
    }
    Ok(())
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Plain<'a>(#[serde(borrow)] Cow<'a, str>);

type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

fn json_members(raw: &RawValue) -> Result<Members<'_>, Malformed> {
    struct Read;
    impl<'de> Visitor<'de> for Read {
        type Value = Members<'de>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((key, value)) = map.next_entry::<Plain<'de>, &'de RawValue>()? {
                members.push((key.0, value));
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_map(Read)
        .map_err(|error| Malformed(format!("the body is not JSON: {error}")))
}

fn json_items(raw: &RawValue) -> Result<Vec<&RawValue>, Malformed> {
    struct Read;
    impl<'de> Visitor<'de> for Read {
        type Value = Vec<&'de RawValue>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                items.push(item);
            }
            Ok(items)
        }
    }
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_seq(Read)
        .map_err(|error| Malformed(format!("the body is not JSON: {error}")))
}
