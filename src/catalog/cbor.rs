//! As much of CBOR (RFC 8949) as it takes to find a member in a body of Smithy RPC v2.

use std::borrow::Cow;

use super::body::{Malformed, Step};

/// How deep a body may nest.
const DEEPEST: usize = 64;

/// An item that was walked over once, so that its end is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cbor<'a>(&'a [u8]);

#[derive(Clone, Copy)]
struct Head {
    major: u8,
    /// `None` for an indefinite length.
    argument: Option<u64>,
    /// How many bytes the head takes.
    size: usize,
}

fn malformed() -> Malformed {
    Malformed("the body is not CBOR".to_owned())
}

fn head(bytes: &[u8]) -> Result<Head, Malformed> {
    let first = *bytes.first().ok_or_else(malformed)?;
    let (argument, size) = match first & 0x1f {
        small @ 0..=23 => (Some(u64::from(small)), 1),
        width @ 24..=27 => {
            let size = 1_usize << (width - 24);
            let digits = bytes.get(1..=size).ok_or_else(malformed)?;
            let value = digits
                .iter()
                .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            (Some(value), 1 + size)
        }
        31 => (None, 1),
        _ => return Err(malformed()),
    };
    Ok(Head {
        major: first >> 5,
        argument,
        size,
    })
}

/// The item at the start of `bytes`, and what is behind it.
fn split(bytes: &[u8], depth: usize) -> Result<(&[u8], &[u8]), Malformed> {
    if depth > DEEPEST {
        return Err(malformed());
    }
    let one = head(bytes)?;
    let mut rest = &bytes[one.size..];
    let whole = |rest: &[u8]| bytes.split_at(bytes.len() - rest.len());
    match (one.major, one.argument) {
        (0 | 1 | 7, Some(_)) => Ok(whole(rest)),
        (2 | 3, Some(length)) => {
            let length = usize::try_from(length).map_err(|_| malformed())?;
            rest = rest.get(length..).ok_or_else(malformed)?;
            Ok(whole(rest))
        }
        (4 | 5, Some(count)) => {
            let items = count
                .checked_mul(u64::from(one.major) - 3)
                .ok_or_else(malformed)?;
            for _ in 0..items {
                rest = split(rest, depth + 1)?.1;
            }
            Ok(whole(rest))
        }
        (6, Some(_)) => {
            rest = split(rest, depth + 1)?.1;
            Ok(whole(rest))
        }
        (2..=5, None) => {
            while rest.first() != Some(&0xff) {
                rest = split(rest, depth + 1)?.1;
            }
            Ok(whole(&rest[1..]))
        }
        _ => Err(malformed()),
    }
}

impl<'a> Cbor<'a> {
    /// Reads one item that has to be the whole of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (item, rest) = split(bytes, 0)?;
        if rest.is_empty() {
            Ok(Self(item))
        } else {
            Err(malformed())
        }
    }

    /// The items of an array or, in turn, keys and values of a map.
    fn items(self) -> Result<Vec<Self>, Malformed> {
        let head = head(self.0)?;
        let mut rest = &self.0[head.size..];
        let mut items = Vec::new();
        while !rest.is_empty() && (head.argument.is_some() || rest[0] != 0xff) {
            let (item, behind) = split(rest, 0)?;
            items.push(Self(item));
            rest = behind;
        }
        Ok(items)
    }

    fn members(self) -> Result<Vec<(Cow<'a, str>, Self)>, Malformed> {
        let items = self.items()?;
        let pairs = items.chunks_exact(2);
        pairs
            .map(|pair| Ok((pair[0].text().ok_or_else(malformed)?, pair[1])))
            .collect()
    }

    fn text(self) -> Option<Cow<'a, str>> {
        let head = head(self.0).ok().filter(|head| head.major == 3)?;
        let content = &self.0[head.size..];
        if head.argument.is_some() {
            return std::str::from_utf8(content).ok().map(Cow::Borrowed);
        }
        let parts: Option<String> = self.items().ok()?.into_iter().map(Self::text).collect();
        parts.map(Cow::Owned)
    }

    /// What stands at `steps`.
    pub(super) fn values(
        self,
        steps: &[Step],
        found: &mut Vec<Cow<'a, str>>,
    ) -> Result<(), Malformed> {
        let major = head(self.0)?.major;
        if matches!(self.0.first(), Some(0xf6 | 0xf7)) {
            return Ok(());
        }
        let Some((step, rest)) = steps.split_first() else {
            // Whether something other than a text is there is all that can be asked of it.
            found.push(if major == 3 {
                self.text().ok_or_else(malformed)?
            } else {
                Cow::Borrowed("")
            });
            return Ok(());
        };
        match (step, major) {
            (Step::Member(name), 5) => {
                let mut members = self.members()?.into_iter().filter(|(key, _)| key == name);
                let (one, more) = (members.next(), members.next());
                if more.is_some() {
                    return Err(Malformed(format!("the body has {name:?} twice")));
                }
                one.map_or(Ok(()), |(_, value)| value.values(rest, found))
            }
            (Step::Values, 5) => self
                .members()?
                .into_iter()
                .try_for_each(|(_, value)| value.values(rest, found)),
            (Step::Keys, 5) => {
                found.extend(self.members()?.into_iter().map(|(key, _)| key));
                Ok(())
            }
            (Step::Each, 4) => self
                .items()?
                .into_iter()
                .try_for_each(|value| value.values(rest, found)),
            _ => Err(Malformed(
                "the body has a value of another kind than the operation's".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(bytes: &[u8], steps: &[Step]) -> Vec<String> {
        let mut found = Vec::new();
        Cbor::read(bytes)
            .unwrap()
            .values(steps, &mut found)
            .unwrap();
        found.into_iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn finds_members_of_either_length() {
        // {"A": "x", "B": ["y", "z"], "C": {"k": "v"}}
        let definite = b"\xa3\x61A\x61x\x61B\x82\x61y\x61z\x61C\xa1\x61k\x61v";
        let indefinite =
            b"\xbf\x61A\x7f\x61x\xff\x61B\x9f\x61y\x61z\xff\x61C\xbf\x61k\x61v\xff\xff";
        for bytes in [&definite[..], &indefinite[..]] {
            assert_eq!(at(bytes, &[Step::Member("A")]), ["x"]);
            assert_eq!(at(bytes, &[Step::Member("B"), Step::Each]), ["y", "z"]);
            assert_eq!(at(bytes, &[Step::Member("C"), Step::Keys]), ["k"]);
            assert_eq!(at(bytes, &[Step::Member("C"), Step::Values]), ["v"]);
            assert!(at(bytes, &[Step::Member("D")]).is_empty());
        }
    }

    #[test]
    fn refuses_what_contradicts_itself() {
        let twice = b"\xa2\x61A\x61x\x61A\x61y";
        let mut found = Vec::new();
        let read = Cbor::read(twice).unwrap();
        assert!(read.values(&[Step::Member("A")], &mut found).is_err());
        for bytes in [
            &b""[..],
            b"\xa1\x61A",
            b"\x61",
            b"\x61ab",
            b"\x9f\x01",
            b"\x1c",
        ] {
            assert!(Cbor::read(bytes).is_err(), "{bytes:?}");
        }
        let deep = vec![0x81; 1 << 20];
        assert!(Cbor::read(&deep).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(read) = Cbor::read(&bytes) {
                let mut found = Vec::new();
                let _ = read.values(&[Step::Member("A"), Step::Each], &mut found);
            }
        }
    }
}
