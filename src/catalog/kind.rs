//! Kinds of resources: the ARN that each has, made from names or compared with one that a request gives.

use super::{
    fill::Place,
    resource::{ResourceActions, Spelling},
};
use crate::{catalog::Resource, domain::Partition};

/// A kind of resource: the ARN that its members have.
pub(super) struct Kind {
    /// The first five fields of `arn:{p}:dynamodb:{r}:{a}:table/{}`.
    head: Vec<Piece>,
    /// The last field.
    tail: Vec<Piece>,
    service: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Text(&'static str),
    Partition,
    Region,
    Account,
    /// What the request names.
    Hole,
    /// What no request names.
    Unknown,
    /// Six characters that no request has to name: the end of a secret's ARN.
    Six,
}

/// The fields of an ARN.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    partition: &'a str,
    service: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) resource: &'a str,
}

impl<'a> Fields<'a> {
    /// Takes an ARN apart; `None` where it is none: a field but the last has something else in it than
    /// lower-case letters, digits and dashes.
    pub(super) fn of(arn: &'a str) -> Option<Self> {
        let mut fields = arn.splitn(6, ':');
        let mut next = || fields.next();
        let ("arn", partition, service, region, account, resource) =
            (next()?, next()?, next()?, next()?, next()?, next()?)
        else {
            return None;
        };
        let plain = [partition, service, region, account].iter().all(|field| {
            field
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        });
        let known = !partition.is_empty() && !service.is_empty() && !resource.is_empty();
        (plain && known && !resource.contains(char::is_control)).then_some(Self {
            partition,
            service,
            region,
            account,
            resource,
        })
    }
}

impl Fields<'_> {
    /// Whether it is an ARN of that service in that partition.
    pub(super) fn is_of(&self, service: &str, partition: Partition) -> bool {
        self.service == service && self.partition == partition.as_str()
    }
}

impl Kind {
    /// Reads `arn:{p}:dynamodb:{r}:{a}:table/{}`; `{*}` is never known, and `{6}` is that in six characters.
    pub(super) fn read(text: &'static str) -> &'static Self {
        let fifth = text.match_indices(':').nth(4).map(|(at, _)| at + 1);
        let (head, tail) = text.split_at(fifth.unwrap_or(text.len()));
        // One for the life of the process: a table is read once and kept.
        Box::leak(Box::new(Self {
            head: pieces(head),
            tail: pieces(tail),
            service: text.split(':').nth(2).unwrap_or_default(),
        }))
    }

    /// How many parts a request names; of Amazon S3's, a bucket's one tells it from an object's two.
    pub(super) fn holes(&self) -> usize {
        self.pieces().filter(|piece| **piece == Piece::Hole).count()
    }

    /// The service of its ARNs.
    pub(super) const fn service(&self) -> &'static str {
        self.service
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.head.iter().chain(&self.tail)
    }

    /// Whether an ARN is of this kind: each field is what the kind has there, and the last one has the
    /// kind's own words where they belong. A kind whose members end with characters of AWS's own
    /// (`{6}`) takes an ARN without them too.
    pub(super) fn fits(&self, arn: &Fields<'_>, partition: Partition) -> bool {
        let mut head = String::with_capacity(64);
        for piece in &self.head {
            head.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Partition => partition.as_str(),
                Piece::Region => arn.region,
                Piece::Account => arn.account,
                Piece::Hole | Piece::Unknown | Piece::Six => "*",
            });
        }
        let given = [arn.partition, arn.service, arn.region, arn.account];
        let mut wanted = head.split(':').skip(1);
        let same = given
            .iter()
            .all(|field| wanted.next().is_some_and(|one| one == "*" || one == *field));
        same && fits_tail(&self.tail, arn.resource)
    }

    /// Makes the ARN of a member from the names that a request gives, in their order.
    pub(super) fn fill<'v>(
        &self,
        names: impl Iterator<Item = Option<&'v str>>,
        place: &Place<'_>,
        region: Option<&str>,
        account: Option<&str>,
        made: &mut Maker,
    ) {
        let mut names = names;
        for piece in self.pieces() {
            match piece {
                Piece::Text(text) => made.text(text),
                Piece::Partition => made.text(place.partition.as_str()),
                Piece::Region => made.text(region.unwrap_or(place.region)),
                Piece::Account => match account {
                    Some(account) => made.text(account),
                    None => made.unknown(),
                },
                Piece::Hole => {
                    if let Some(name) = names.next().flatten() {
                        made.text(name);
                    } else {
                        made.is_named = false;
                        made.unknown();
                    }
                }
                Piece::Unknown => made.unknown(),
                Piece::Six => made.six(),
            }
        }
    }
}

fn pieces(text: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(match name {
            "p" => Piece::Partition,
            "r" => Piece::Region,
            "a" => Piece::Account,
            "*" => Piece::Unknown,
            "6" => Piece::Six,
            _ => Piece::Hole,
        });
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// Whether the last field of an ARN is what the pieces say: their texts in their order, and something in
/// each place between them.
fn fits_tail(pieces: &[Piece], text: &str) -> bool {
    let pieces = match pieces {
        // A secret's ARN, which is taken without its end as well.
        [front @ .., Piece::Text("-"), Piece::Six] => front,
        _ => pieces,
    };
    let mut rest = text;
    let mut is_open = false;
    for (at, piece) in pieces.iter().enumerate() {
        let Piece::Text(literal) = piece else {
            // What stands in a place has one character at least.
            let mut left = rest.chars();
            if left.next().is_none() {
                return false;
            }
            rest = left.as_str();
            is_open = true;
            continue;
        };
        let found = match (is_open, at + 1 == pieces.len()) {
            (false, _) => rest.strip_prefix(literal),
            (true, true) => rest.strip_suffix(literal).map(|_| ""),
            (true, false) => rest.split_once(literal).map(|(_, behind)| behind),
        };
        let Some(behind) = found else {
            return false;
        };
        rest = behind;
        is_open = false;
    }
    is_open || rest.is_empty()
}

/// An ARN in the making.
pub(super) struct Maker {
    arn: String,
    unknown: Vec<usize>,
    actions: ResourceActions,
    /// Whether the request gives all of its name.
    pub(super) is_named: bool,
    spellings: Vec<Spelling>,
    written: Option<String>,
}

impl Maker {
    pub(super) fn new(actions: ResourceActions) -> Self {
        Self {
            arn: String::with_capacity(64),
            unknown: Vec::new(),
            actions,
            is_named: true,
            spellings: Vec::new(),
            written: None,
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.arn.push_str(text);
    }

    pub(super) fn unknown(&mut self) {
        self.unknown.push(self.arn.len());
        self.arn.push('*');
    }

    /// Six unknown characters.
    fn six(&mut self) {
        for _ in 0..6 {
            self.unknown.push(self.arn.len());
            self.arn.push('?');
        }
    }

    pub(super) fn actions(&self) -> ResourceActions {
        self.actions.clone()
    }

    /// What was made so far.
    pub(super) fn so_far(&self) -> &str {
        &self.arn
    }

    /// Adds another ARN under which rules may know the same thing; `*` and `?` in it are unknown.
    pub(super) fn spelling(&mut self, arn: String, allows: bool) {
        self.spellings.push(Spelling { arn, allows });
    }

    /// Says how the request writes what may mean something longer.
    pub(super) fn written(&mut self, arn: &str) {
        self.written = Some(arn.to_owned());
    }

    pub(super) fn done(self) -> Resource {
        Resource {
            arn: self.arn,
            unknown: self.unknown,
            actions: self.actions,
            is_named: self.is_named,
            spellings: self.spellings,
            written: self.written,
        }
    }
}

/// A resource of which nothing is known.
pub(super) fn anything(actions: ResourceActions) -> Resource {
    let mut made = Maker::new(actions);
    made.is_named = false;
    made.unknown();
    made.done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_is_of_a_kind_or_is_not() {
        for (kind, arn, fits) in [
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}",
                "arn:aws:dynamodb:eu-west-1:111122223333:table/t",
                true,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}",
                "arn:aws:dynamodb:eu-west-1:111122223333:table/",
                false,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}",
                "arn:aws:dynamodb:eu-west-1:111122223333:t",
                false,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}",
                "arn:aws:s3:eu-west-1:111122223333:table/t",
                false,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}",
                "arn:aws-cn:dynamodb:eu-west-1:111122223333:table/t",
                false,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}",
                "arn:aws:dynamodb:eu/west:111122223333:table/t",
                false,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}",
                "arn:aws:dynamodb:*:*:table/t",
                false,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}/index/{}",
                "arn:aws:dynamodb:r:1:table/t/index/i",
                true,
            ),
            (
                "arn:{p}:dynamodb:{r}:{a}:table/{}/index/{}",
                "arn:aws:dynamodb:r:1:table/t",
                false,
            ),
            (
                "arn:{p}:iam::{a}:role/{}",
                "arn:aws:iam::111122223333:role/path/name",
                true,
            ),
            (
                "arn:{p}:iam::{a}:role/{}",
                "arn:aws:iam:us-east-1:111122223333:role/name",
                false,
            ),
            ("arn:{p}:sns:{r}:{a}:{}", "arn:aws:sns:r:1:topic", true),
            (
                "arn:{p}:eks:{r}:{a}:addon/{}/{}/{*}",
                "arn:aws:eks:r:1:addon/c/a/0",
                true,
            ),
            (
                "arn:{p}:eks:{r}:{a}:addon/{}/{}/{*}",
                "arn:aws:eks:r:1:addon/c/a",
                false,
            ),
            (
                "arn:{p}:secretsmanager:{r}:{a}:secret:{}-{6}",
                "arn:aws:secretsmanager:r:1:secret:s",
                true,
            ),
            ("arn:{p}:iam::{a}:root", "arn:aws:iam::1:root", true),
            ("arn:{p}:iam::{a}:root", "arn:aws:iam::1:rooted", false),
        ] {
            let found = Fields::of(arn)
                .is_some_and(|fields| Kind::read(kind).fits(&fields, Partition::Aws));
            assert_eq!(found, fits, "{kind} {arn}");
        }
    }
}
