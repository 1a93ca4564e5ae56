//! Where in a request a value is.

use std::borrow::Cow;

use super::{
    body::{Body, Malformed, Step, Values},
    recognised::Incoming,
    route::Captures,
    s3,
};

/// Where in a request a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The label of that number in the path.
    Path(usize),
    /// A parameter of the query.
    Query(&'static str),
    /// A header.
    Header(&'static str),
    /// The version in a header that is the source of a copy.
    CopyVersion(&'static str),
    /// A place in the body.
    Body(Box<[Step]>),
}

impl Source {
    /// Reads `p:LABEL`, `q:NAME`, `h:NAME`, `v:NAME` or `b:NAME`; a body's may go on: `b:Items[].Table`,
    /// `b:Tables{}` (keys), `b:Tables.*` (values).
    pub(super) fn read(text: &'static str, labels: &[&'static str]) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        Some(match kind {
            "p" => Self::Path(labels.iter().position(|label| *label == name)?),
            "q" => Self::Query(name),
            "h" => Self::Header(name),
            "v" => Self::CopyVersion(name),
            "b" => Self::Body(steps(name)),
            _ => return None,
        })
    }

    /// Whether it is in the body.
    pub(super) fn in_body(&self) -> bool {
        matches!(self, Self::Body(_))
    }
}

fn steps(text: &'static str) -> Box<[Step]> {
    let mut steps = Vec::new();
    for part in text.split('.') {
        if part == "*" {
            steps.push(Step::Values);
        } else if let Some(name) = part.strip_suffix("[]") {
            steps.extend([Step::Member(name), Step::Each]);
        } else if let Some(name) = part.strip_suffix("{}") {
            steps.extend([Step::Member(name), Step::Keys]);
        } else {
            steps.push(Step::Member(part));
        }
    }
    steps.into()
}

/// A request whose operation is known, so that values can be taken out of it.
pub(super) struct Request<'a> {
    pub(super) incoming: &'a Incoming<'a>,
    /// The decoded segments of the path, a bucket in the host being the first.
    pub(super) segments: &'a [&'a str],
    pub(super) captures: &'a Captures,
    pub(super) body: Body<'a>,
}

impl<'a> Request<'a> {
    /// The values at `source`.
    pub(super) fn values(&self, source: &Source) -> Result<Values<'a>, Malformed> {
        Ok(Values::Known(match source {
            Source::Path(label) => self.captured(*label).into_iter().collect(),
            Source::Query(name) => self
                .incoming
                .target
                .parameters()
                .filter(|(other, _)| other == name)
                .map(|(_, value)| Cow::Borrowed(value))
                .collect(),
            Source::Header(name) => header(self.incoming, name)?
                .map(Cow::Borrowed)
                .into_iter()
                .collect(),
            Source::CopyVersion(name) => header(self.incoming, name)?
                .and_then(s3::copy_version)
                .map(Cow::Borrowed)
                .into_iter()
                .collect(),
            Source::Body(steps) => return self.body.values(steps),
        }))
    }

    fn captured(&self, label: usize) -> Option<Cow<'a, str>> {
        let (from, to) = *self.captures.get(label)?;
        Some(match &self.segments[from..to] {
            [one] => Cow::Borrowed(*one),
            several => Cow::Owned(several.join("/")),
        })
    }
}

/// The value of a header, which may not be there twice.
pub(super) fn header<'a>(
    incoming: &Incoming<'a>,
    name: &str,
) -> Result<Option<&'a str>, Malformed> {
    let mut values = incoming.headers.get_all(name).iter();
    let (one, more) = (values.next(), values.next());
    if more.is_some() {
        return Err(Malformed(format!("the header {name} is there twice")));
    }
    one.map(|value| {
        value
            .to_str()
            .map_err(|_| Malformed(format!("the header {name} is not visible ASCII")))
    })
    .transpose()
}
