//! Making ARNs from what a request names.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Action, Resource,
    body::{Malformed, Values},
    resource::ResourceActions,
    s3,
    source::{Request, Source},
};
use crate::domain::Partition;

/// A kind of resource: the ARN that its members have.
pub(super) struct Kind {
    pieces: Vec<Piece>,
}

enum Piece {
    Text(&'static str),
    Partition,
    Region,
    Account,
    /// What the request names.
    Hole,
    /// What no request names.
    Unknown,
}

impl Kind {
    /// Reads `arn:{p}:dynamodb:{r}:{a}:table/{}`; `{*}` is never known.
    pub(super) fn read(text: &'static str) -> &'static Self {
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
                _ => Piece::Hole,
            });
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest));
        }
        // One for the life of the process: a table is read once and kept.
        Box::leak(Box::new(Self { pieces }))
    }
}

/// How a value becomes the part of an ARN.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As it is.
    Plain,
    /// A queue's URL: its last segment, and the account before it.
    Url,
    /// Without the slash that it begins with.
    Unslashed,
    /// A function: a name, an account and a name, or an ARN; a qualifier may follow.
    Function,
    /// A key or, behind `alias/`, an alias.
    Key,
    /// `BUCKET/KEY?versionId=…`, encoded.
    CopySource,
}

/// The resources of one kind that an operation acts on.
pub(super) struct Spec {
    kind: &'static Kind,
    way: Way,
    /// Nothing is acted on where the request does not name it.
    optional: bool,
    sources: Box<[Named]>,
    actions: ResourceActions,
}

/// Where a part of an ARN is named.
struct Named {
    /// `None` where the request does not.
    source: Option<Source>,
    /// Whether the service takes an ARN there. Where it does not, what looks like one is a name: of an
    /// object of Amazon S3, say, whose key can be any text.
    takes_arn: bool,
}

/// What the ARNs of a request share.
pub(super) struct Place<'a> {
    pub(super) partition: Partition,
    pub(super) region: &'a str,
    pub(super) s3: s3::Form,
    /// The queue that the request was sent to, where its path names one.
    pub(super) queue: Option<Queue<'a>>,
}

/// A queue of Amazon SQS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queue<'a> {
    /// Twelve digits, where it is known.
    account: Option<&'a str>,
    name: &'a str,
}

impl<'a> Queue<'a> {
    /// Reads a queue's name or its URL, `https://HOST/ACCOUNT/NAME`. `None` where it is neither: what a
    /// service makes of other URLs is not known here.
    fn read(text: &'a str) -> Option<Self> {
        let Some((_, behind)) = text.split_once("://") else {
            return Self::named(None, text);
        };
        let (_, path) = behind.split_once('/')?;
        let (account, name) = path.split_once('/')?;
        Self::at(account, name)
    }

    /// The queue at `/ACCOUNT/NAME`.
    pub(super) fn at(account: &'a str, name: &'a str) -> Option<Self> {
        Self::named(Some(account).filter(|one| is_account(one)), name)
    }

    /// A name has up to 80 characters.
    /// ([CreateQueue](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html))
    fn named(account: Option<&'a str>, name: &'a str) -> Option<Self> {
        let plain = name.strip_suffix(".fifo").unwrap_or(name);
        let fits = (1..=80).contains(&name.len())
            && plain
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        fits.then_some(Self { account, name })
    }
}

impl Spec {
    /// Reads `KIND=SOURCE,SOURCE@Action,Action`. Before the kind: `?` for an optional one, `url:`,
    /// `slash:`, `function:`, `key:`, `copy:`. `_` is a source that the request does not have; `^` behind
    /// one says that the service takes an ARN there too.
    pub(super) fn read(
        text: &'static str,
        kinds: &HashMap<&'static str, &'static Kind>,
        labels: &[&'static str],
        actions: &'static [&'static Action],
    ) -> Option<Self> {
        let (text, on) = text.split_once('@').unwrap_or((text, ""));
        let (kind, sources) = text.split_once('=')?;
        let optional = kind.starts_with('?');
        let kind = kind.trim_start_matches('?');
        let (way, kind) = match kind.split_once(':') {
            Some(("url", kind)) => (Way::Url, kind),
            Some(("slash", kind)) => (Way::Unslashed, kind),
            Some(("function", kind)) => (Way::Function, kind),
            Some(("key", kind)) => (Way::Key, kind),
            Some(("copy", kind)) => (Way::CopySource, kind),
            _ => (Way::Plain, kind),
        };
        let on: Vec<&'static Action> = actions
            .iter()
            .filter(|action| on.split(',').any(|name| name == action.name()))
            .copied()
            .collect();
        Some(Self {
            kind: kinds.get(kind)?,
            way,
            optional,
            sources: sources
                .split(',')
                .map(|source| Named {
                    source: Source::read(source.trim_end_matches('^'), labels),
                    takes_arn: source.ends_with('^') || matches!(way, Way::Function | Way::Key),
                })
                .collect(),
            actions: if on.is_empty() {
                ResourceActions::All
            } else {
                ResourceActions::Some(Box::leak(on.into_boxed_slice()))
            },
        })
    }

    /// Whether the body has a say.
    pub(super) fn in_body(&self) -> bool {
        self.sources
            .iter()
            .filter_map(|named| named.source.as_ref())
            .any(Source::in_body)
    }

    /// Whether it says on what this action is needed.
    pub(super) fn concerns(&self, action: &Action) -> bool {
        match &self.actions {
            ResourceActions::All => true,
            ResourceActions::Some(actions) => actions.contains(&action),
        }
    }

    /// Adds the resources that the request names.
    pub(super) fn fill(
        &self,
        request: &Request<'_>,
        place: &Place<'_>,
        resources: &mut Vec<Resource>,
    ) -> Result<(), Malformed> {
        let mut known: Vec<Values<'_>> = Vec::with_capacity(self.sources.len());
        for named in &self.sources {
            known.push(match &named.source {
                Some(source) => request.values(source)?,
                None => Values::Unknown,
            });
        }
        let absent =
            |values: &Values<'_>| matches!(values, Values::Known(found) if found.is_empty());
        if self.optional && known.iter().any(absent) {
            return Ok(());
        }
        // One list is as many resources; which of two lists' elements belong together nobody knows.
        let lists = known
            .iter()
            .filter(|values| matches!(values, Values::Known(found) if found.len() > 1))
            .count();
        let rows = known
            .iter()
            .filter_map(|values| match values {
                Values::Known(found) if lists == 1 && found.len() > 1 => Some(found.len()),
                _ => None,
            })
            .max()
            .unwrap_or(1);
        if self.way == Way::Url
            && let Some(queue) = place.queue
        {
            if let [Values::Known(named)] = &known[..]
                && named.iter().any(|one| Queue::read(one) != Some(queue))
            {
                return Err(Malformed(format!(
                    "it is sent to the path of queue {} and names another one",
                    queue.name
                )));
            }
            known = vec![Values::Known(vec![Cow::Borrowed(queue.name)])];
        }
        for row in 0..rows {
            let holes = known.iter().map(|values| match values {
                Values::Known(found) if found.len() == 1 => Some(found[0].as_ref()),
                Values::Known(found) if lists == 1 => found.get(row).map(Cow::as_ref),
                _ => None,
            });
            let holes: Vec<Option<&str>> = holes
                .map(|hole| hole.filter(|value| !value.is_empty()))
                .collect();
            let resource = self.one(&holes, place);
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        Ok(())
    }

    fn one(&self, holes: &[Option<&str>], place: &Place<'_>) -> Resource {
        let mut made = Maker::new(self.actions.clone());
        let last = holes.last().copied().flatten();
        match (self.way, last) {
            (Way::CopySource, Some(value)) => {
                s3::copy_source(value, place.partition, &mut made);
                return made.done();
            }
            (_, Some(arn))
                if is_arn(arn) && self.sources.last().is_some_and(|one| one.takes_arn) =>
            {
                made.text(arn);
                return made.done();
            }
            _ => {}
        }
        if place.s3 != s3::Form::None && s3::fill(self.holes(), holes, place, &mut made) {
            return made.done();
        }
        let mut account = place.queue.and_then(|queue| queue.account);
        let mut values: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(holes.len());
        for (hole, named) in holes.iter().zip(&self.sources) {
            values.push(hole.and_then(|value| self.value(value, named, &mut account)));
        }
        let alias = self.way == Way::Key && last.is_some_and(|value| value.starts_with("alias/"));
        let mut next = values.into_iter();
        for piece in &self.kind.pieces {
            match piece {
                Piece::Text(text) if alias => {
                    made.text(text.strip_suffix("key/").unwrap_or(text));
                }
                Piece::Text(text) => made.text(text),
                Piece::Partition => made.text(place.partition.as_str()),
                Piece::Region => made.text(place.region),
                Piece::Account => match account {
                    Some(account) => made.text(account),
                    None => made.unknown(),
                },
                Piece::Hole => match next.next().flatten() {
                    Some(value) => made.text(&value),
                    None => made.unknown(),
                },
                Piece::Unknown => made.unknown(),
            }
        }
        made.done()
    }

    /// How many parts a request names; of Amazon S3's, a bucket's one tells it from an object's two.
    fn holes(&self) -> usize {
        self.kind
            .pieces
            .iter()
            .filter(|piece| matches!(piece, Piece::Hole))
            .count()
    }

    fn value<'v>(
        &self,
        value: &'v str,
        named: &Named,
        account: &mut Option<&'v str>,
    ) -> Option<Cow<'v, str>> {
        Some(match self.way {
            Way::Plain | Way::Key | Way::CopySource => {
                // A cluster's ARN where only its name belongs, before a service's name.
                if named.takes_arn && is_arn(value) {
                    Cow::Borrowed(value.rsplit(['/', ':']).next().unwrap_or(value))
                } else {
                    Cow::Borrowed(value)
                }
            }
            Way::Unslashed => Cow::Borrowed(value.strip_prefix('/').unwrap_or(value)),
            Way::Url => {
                let queue = Queue::read(value)?;
                *account = queue.account.or(*account);
                Cow::Borrowed(queue.name)
            }
            Way::Function => match value.split_once(":function:") {
                Some((before, name)) => {
                    *account = before.rsplit(':').next().filter(|text| is_account(text));
                    Cow::Borrowed(name)
                }
                None => Cow::Borrowed(value),
            },
        })
    }
}

fn is_arn(value: &str) -> bool {
    value.starts_with("arn:") && value.bytes().filter(|b| *b == b':').count() >= 5
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// An ARN in the making.
pub(super) struct Maker {
    arn: String,
    unknown: Vec<usize>,
    actions: ResourceActions,
}

impl Maker {
    pub(super) fn new(actions: ResourceActions) -> Self {
        Self {
            arn: String::with_capacity(64),
            unknown: Vec::new(),
            actions,
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.arn.push_str(text);
    }

    pub(super) fn unknown(&mut self) {
        self.unknown.push(self.arn.len());
        self.arn.push('*');
    }

    pub(super) fn done(self) -> Resource {
        Resource {
            arn: self.arn,
            unknown: self.unknown,
            actions: self.actions,
        }
    }
}

/// A resource of which nothing is known.
pub(super) fn anything() -> Resource {
    let mut made = Maker::new(ResourceActions::All);
    made.unknown();
    made.done()
}
