//! Resources, made from what a request names.

use std::{borrow::Cow, collections::HashMap};

use super::{
    Action, Resource,
    body::{Malformed, Values},
    found::Found,
    kind::{Fields, Kind, Maker, anything},
    names::{self, Queue, Way},
    resource::ResourceActions,
    s3,
    source::{Request, Source},
    spelled,
};
use crate::domain::Partition;

/// The resources of one kind that an operation acts on.
pub(super) struct Spec {
    kind: &'static Kind,
    way: Way,
    /// Nothing is acted on where the request does not name it.
    optional: bool,
    /// For each part of the ARN that a request names: where. What stands behind these helps `way`.
    slots: Box<[Slot]>,
    actions: ResourceActions,
    /// The kinds of the operation's other resources that the same members name.
    beside: Vec<&'static Kind>,
}

/// The places that may name a part. Where a request fills several of them, each names a resource.
type Slot = Box<[Named]>;

/// Where a part of an ARN is named.
struct Named {
    /// `None` where the request does not.
    source: Option<Source>,
    /// Whether the service takes an ARN there. Where it does not, what looks like one is a name: of an
    /// object of Amazon S3, say, whose key can be any text.
    takes_arn: bool,
}

/// What one place of a request names.
#[derive(Clone, Copy)]
struct Value<'a> {
    text: Option<&'a str>,
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

impl Spec {
    /// Reads `KIND=SOURCE,SOURCE@Action,Action`. Before the kind: `?` for an optional one, and the word of a
    /// [`Way`] with a colon. `_` is a source that the request does not have; `^` behind one says that the
    /// service takes an ARN there too; `|` stands between several.
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
            Some((word, kind)) => (Way::read(word)?, kind),
            None => (Way::Plain, kind),
        };
        let on: Vec<&'static Action> = actions
            .iter()
            .filter(|action| on.split(',').any(|name| name == action.name()))
            .copied()
            .collect();
        let named = |source: &'static str| Named {
            source: Source::read(source.trim_end_matches('^'), labels),
            takes_arn: source.ends_with('^') || way.takes_arn(),
        };
        Some(Self {
            kind: kinds.get(kind)?,
            way,
            optional,
            slots: sources
                .split(',')
                .map(|slot| slot.split('|').map(named).collect())
                .collect(),
            actions: if on.is_empty() {
                ResourceActions::All
            } else {
                ResourceActions::Some(Box::leak(on.into_boxed_slice()))
            },
            beside: Vec::new(),
        })
    }

    /// Tells the resources of an operation which of them the same members name: an ARN there is of one of
    /// their kinds.
    pub(super) fn acquaint(specs: &mut [Self]) {
        for at in 0..specs.len() {
            let beside = specs
                .iter()
                .enumerate()
                .filter(|(other, spec)| *other != at && spec.shares(&specs[at]))
                .map(|(_, spec)| spec.kind)
                .collect();
            specs[at].beside = beside;
        }
    }

    fn shares(&self, other: &Self) -> bool {
        let sources = |spec: &Self| -> Vec<Source> {
            let slot = spec.slots.get(spec.last()).into_iter().flatten();
            slot.filter_map(|named| named.source.clone()).collect()
        };
        let mine = sources(self);
        sources(other).iter().any(|source| mine.contains(source))
    }

    /// The part that an ARN may stand for as a whole.
    fn last(&self) -> usize {
        self.kind.holes().min(self.slots.len()).saturating_sub(1)
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        let all = self.slots.iter().flatten();
        all.filter_map(|named| named.source.as_ref())
    }

    /// Whether the body has a say.
    pub(super) fn in_body(&self) -> bool {
        self.sources().any(Source::in_body)
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
        found: &mut Found,
    ) -> Result<(), Malformed> {
        if let (Way::Url, Some(queue)) = (self.way, place.queue) {
            return self.at_queue(request, queue, place, found);
        }
        let mut choices: Vec<Vec<(Values<'_>, bool)>> = Vec::with_capacity(self.slots.len());
        for (at, slot) in self.slots.iter().enumerate() {
            let mut given = Vec::with_capacity(1);
            for named in slot {
                let values = match &named.source {
                    Some(source) => request.values(source)?,
                    None => Values::Unknown,
                };
                if !matches!(&values, Values::Known(found) if found.is_empty()) {
                    given.push((values, named.takes_arn));
                }
            }
            if given.is_empty() {
                if self.optional && at <= self.last() {
                    return Ok(());
                }
                given.push((Values::Known(Vec::new()), false));
            }
            choices.push(given);
        }
        // Of several places that name the same part, each is taken with each of the other parts'.
        let mut turn = vec![0_usize; choices.len()];
        loop {
            let chosen: Vec<&(Values<'_>, bool)> = choices
                .iter()
                .zip(&turn)
                .map(|(slot, at)| &slot[*at])
                .collect();
            self.rows(&chosen, place, found)?;
            let Some(next) = (0..turn.len()).find(|slot| turn[*slot] + 1 < choices[*slot].len())
            else {
                return Ok(());
            };
            turn[..next].fill(0);
            turn[next] += 1;
        }
    }

    /// Adds what lists of names name. One list is as many resources; which of two lists' elements belong
    /// together nobody knows.
    fn rows(
        &self,
        chosen: &[&(Values<'_>, bool)],
        place: &Place<'_>,
        found: &mut Found,
    ) -> Result<(), Malformed> {
        let lengths = chosen.iter().map(|(values, _)| match values {
            Values::Known(texts) => texts.len(),
            Values::Unknown => 0,
        });
        let lists = lengths.clone().filter(|length| *length > 1).count();
        let rows = if lists == 1 {
            lengths.max().unwrap_or(1)
        } else {
            1
        };
        for row in 0..rows {
            let values: Vec<Value<'_>> = chosen
                .iter()
                .map(|(values, takes_arn)| {
                    let text = match values {
                        Values::Known(texts) if texts.len() == 1 => Some(texts[0].as_ref()),
                        Values::Known(texts) if lists == 1 => texts.get(row).map(Cow::as_ref),
                        _ => None,
                    };
                    Value {
                        text: text.filter(|text| !text.is_empty()),
                        takes_arn: *takes_arn,
                    }
                })
                .collect();
            self.one(&values, place, found)?;
        }
        Ok(())
    }

    /// A request that was sent to a queue's own path is about that queue.
    fn at_queue(
        &self,
        request: &Request<'_>,
        queue: Queue<'_>,
        place: &Place<'_>,
        found: &mut Found,
    ) -> Result<(), Malformed> {
        for source in self.sources() {
            if let Values::Known(named) = request.values(source)?
                && named.iter().any(|one| Queue::read(one) != Some(queue))
            {
                return Err(Malformed(format!(
                    "it is sent to the path of queue {} and names another one",
                    queue.name
                )));
            }
        }
        found.add(self.made([Some(queue.name)], place, None, queue.account))
    }

    /// Makes the ARN from its parts.
    fn made<'v>(
        &self,
        names: impl IntoIterator<Item = Option<&'v str>>,
        place: &Place<'_>,
        region: Option<&str>,
        account: Option<&str>,
    ) -> Resource {
        self.making(names, place, region, account).done()
    }

    fn making<'v>(
        &self,
        names: impl IntoIterator<Item = Option<&'v str>>,
        place: &Place<'_>,
        region: Option<&str>,
        account: Option<&str>,
    ) -> Maker {
        let mut made = Maker::new(self.actions.clone());
        let names = names.into_iter();
        self.kind.fill(names, place, region, account, &mut made);
        made
    }

    /// Adds what one value for each part names.
    fn one(
        &self,
        values: &[Value<'_>],
        place: &Place<'_>,
        found: &mut Found,
    ) -> Result<(), Malformed> {
        let last = values.get(self.last()).copied();
        let text = last.and_then(|value| value.text);
        let arn = last
            .filter(|value| value.takes_arn && self.way != Way::CopySource)
            .and_then(|value| value.text)
            .filter(|text| text.starts_with("arn:"));
        match (self.way, text) {
            (Way::CopySource, Some(text)) => {
                return found.add(s3::copy_source(text, place.partition, self.actions.clone()));
            }
            (Way::LogQuery, Some(text)) if !names::names_log_groups(text) => return Ok(()),
            (Way::LogQuery, _) => return found.add(self.made([None], place, None, None)),
            (Way::Arn, Some(_)) if arn.is_none() => return Ok(()),
            // A plain name does not say of which of several kinds it is.
            (_, Some(_)) if arn.is_none() && self.optional && !self.beside.is_empty() => {
                return found.add(anything(self.actions.clone()));
            }
            (Way::Function, Some(text)) => {
                let qualifier = values.get(self.kind.holes()).and_then(|one| one.text);
                return spelled::functions(self.kind, text, qualifier, &self.actions, place)
                    .into_iter()
                    .try_for_each(|one| found.add(one));
            }
            (Way::Key, text) => {
                return found.add(spelled::key(self.kind, text, &self.actions, place));
            }
            _ => {}
        }
        if let Some(arn) = arn {
            let of_kind = Fields::of(arn).filter(|fields| self.kind.fits(fields, place.partition));
            return match of_kind {
                Some(fields) if self.way == Way::Secret => {
                    spelled::secret(self.kind, arn, &fields, &self.actions, place)
                        .into_iter()
                        .try_for_each(|one| found.add(one))
                }
                Some(fields) => found.add(self.whole(arn, &fields, place)),
                // One of the others is of the kind that it has.
                None if Fields::of(arn).is_some_and(|fields| {
                    self.beside
                        .iter()
                        .any(|kind| kind.fits(&fields, place.partition))
                }) =>
                {
                    Ok(())
                }
                None => found.add(anything(self.actions.clone())),
            };
        }
        if place.s3 != s3::Form::None {
            let holes: Vec<Option<&str>> = values.iter().map(|value| value.text).collect();
            let mut made = Maker::new(self.actions.clone());
            if s3::fill(self.kind.holes(), &holes, place, &mut made) {
                return found.add(made.done());
            }
        }
        found.add(self.named(values, place))
    }

    /// The resource of parts that are names.
    fn named(&self, values: &[Value<'_>], place: &Place<'_>) -> Resource {
        let (mut region, mut account) = (None, None);
        let mut parts: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate().take(self.kind.holes()) {
            let (Some(text), true) = (value.text, at < self.last()) else {
                parts.push(
                    value
                        .text
                        .and_then(|text| self.part(at, text, &mut account)),
                );
                continue;
            };
            if !value.takes_arn || !text.starts_with("arn:") {
                parts.push(self.part(at, text, &mut account));
                continue;
            }
            // A cluster's ARN where only its name belongs, before a service's name.
            let fields = Fields::of(text)
                .filter(|fields| fields.is_of(self.kind.service(), place.partition));
            parts.push(fields.and_then(|fields| {
                (region, account) = (Some(fields.region), Some(fields.account));
                match self.way {
                    Way::LogGroup => {
                        let name = fields.resource.strip_prefix("log-group:")?;
                        names::log_group(name).map(Cow::Borrowed)
                    }
                    _ => Some(names::last_part(fields.resource)),
                }
            }));
        }
        let names = parts.iter().map(Option::as_deref);
        let mut made = self.making(names, place, region, account);
        if place.s3 == s3::Form::Bucket {
            s3::spelled(&mut made, parts.first().and_then(Option::as_deref));
        }
        spelled::spelled(self.way, made, place)
    }

    /// A name as its ARN has it; `None` where no resource can have it.
    fn part<'v>(
        &self,
        at: usize,
        text: &'v str,
        account: &mut Option<&'v str>,
    ) -> Option<Cow<'v, str>> {
        Some(Cow::Borrowed(match self.way {
            Way::Url => {
                let queue = Queue::read(text)?;
                *account = queue.account.or(*account);
                queue.name
            }
            Way::Parameter => names::parameter(text)?,
            Way::LogGroup if at == 0 => names::log_group(text)?,
            _ => text,
        }))
    }

    /// The resource of an ARN that is of this kind.
    fn whole(&self, arn: &str, fields: &Fields<'_>, place: &Place<'_>) -> Resource {
        let name = |front: &str| fields.resource.strip_prefix(front);
        let part = match self.way {
            Way::Parameter => Some(name("parameter/").and_then(names::parameter)),
            Way::LogGroup => Some(name("log-group:").and_then(names::log_group)),
            _ => None,
        };
        let made = match part {
            Some(None) => return anything(self.actions.clone()),
            Some(Some(name)) => self.making(
                [Some(name)],
                place,
                Some(fields.region),
                Some(fields.account),
            ),
            None => {
                let mut made = Maker::new(self.actions.clone());
                made.text(arn);
                made
            }
        };
        spelled::spelled(self.way, made, place)
    }
}
