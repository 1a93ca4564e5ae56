//! Telling apart operations that share a method and path.

use super::{
    recognised::{Incoming, Unrecognised},
    services::Row,
    source::header,
    table::{Entry, Need},
};

/// Of the operations at a path the one that asks for most of what the request has.
pub(super) fn most_specific(
    entries: impl Iterator<Item = &'static Entry>,
    incoming: &Incoming<'_>,
) -> Result<Option<&'static Entry>, Unrecognised> {
    let mut fitting: Vec<&'static Entry> = Vec::with_capacity(2);
    for entry in entries {
        let mut fits = true;
        for need in &entry.needs {
            fits &= need.is_met(incoming)?;
        }
        if fits {
            fitting.push(entry);
        }
    }
    // What stands in an operation's own address outweighs what it cannot do without; the first of equals is
    // the one that the table prefers.
    let weight = |entry: &Entry| (entry.literals().count(), entry.needs.len());
    let Some(best) = fitting.iter().copied().reduce(|best, other| {
        if weight(other) > weight(best) {
            other
        } else {
            best
        }
    }) else {
        return Ok(None);
    };
    for other in &fitting {
        let covered = if other.literals().count() < best.literals().count() {
            other.literals().all(|need| best.needs.contains(need))
        } else {
            other.needs.iter().all(|need| best.needs.contains(need))
        };
        if !covered {
            return Err(Unrecognised::Ambiguous {
                why: format!(
                    "its query asks for {} and {} at once",
                    best.operation.name(),
                    other.operation.name()
                ),
            });
        }
    }
    Ok(Some(best))
}

impl Need {
    fn is_met(self, incoming: &Incoming<'_>) -> Result<bool, Unrecognised> {
        let (name, wanted) = match self {
            Self::Literal(name, wanted) => (name, wanted),
            Self::Query(name) => (name, None),
            Self::Header(name) => return Ok(header(incoming, name)?.is_some()),
        };
        let mut values = incoming
            .target
            .parameters()
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => Err(Unrecognised::Ambiguous {
                why: format!("its query has {name:?} twice"),
            }),
            (Some(value), None) => Ok(wanted.is_none_or(|wanted| wanted == value)),
            _ => Ok(false),
        }
    }
}

/// Amazon S3 tells operations apart by parameters, and gets new ones. One that the operation does not
/// know might make it another. Names that begin with `x-` are for the caller's own use.
pub(super) fn only_known_queries(
    incoming: &Incoming<'_>,
    entry: &Entry,
    row: &Row,
) -> Result<(), Unrecognised> {
    let mut seen: Vec<&str> = Vec::new();
    for (name, _) in incoming.target.parameters() {
        if name
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-"))
        {
            continue;
        }
        let literal = |need: &Need| match need {
            Need::Literal(other, _) | Need::Query(other) => *other == name,
            Need::Header(_) => false,
        };
        if !entry.queries.contains(&name) && !entry.needs.iter().any(literal) {
            return Err(Unrecognised::Unknown {
                host: incoming.endpoint.host().to_owned(),
                what: format!(
                    "{}:{} with the parameter {name:?}",
                    row.service.id(),
                    entry.operation.name()
                ),
            });
        }
        if seen.contains(&name) {
            return Err(Unrecognised::Ambiguous {
                why: format!("its query has {name:?} twice"),
            });
        }
        seen.push(name);
    }
    Ok(())
}
