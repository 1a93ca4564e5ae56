//! Patterns for `sub`. A wildcard of IAM's takes `/` and `:` too, so that only one at the very end of
//! the last segment stays in its segment. One that stands for a whole id does no harm where every kind
//! is written out: ids hold neither separator, so `org:O/prj:*/env:*` takes environments of `O` only.
//!
//! Whether every organisation is admitted is not read off the spelling: the pattern is tried with
//! organisations that nobody named.

use super::{Hit, rule};
use crate::iam::{Element, Value};

/// Ids that nobody chose. Like all UUIDv7 of these years they begin with `019`.
const MADE_UP: [&str; 2] = [
    "01900000-5d3c-7a41-9b7e-2f8c61d0a4e5",
    "019ffeee-c2a7-7f16-8d05-e94b37a1f68c",
];

/// Whether the value, under an operator with wildcards, takes ids that its author cannot have meant.
pub(super) fn takes_any_id(value: &Value) -> bool {
    MADE_UP.iter().all(|id| value.matches(id))
}

/// Whether it takes subjects of organisations that its author cannot have meant.
fn takes_any_organization(value: &Value) -> bool {
    // Subjects of both formats of tokens.
    [("org:", '/'), ("organization_id:", ':')]
        .iter()
        .any(|(before, after)| {
            MADE_UP
                .iter()
                .all(|id| value.fits_beginning(&format!("{before}{id}{after}")))
        })
}

pub(super) fn lint<'a>(here: Element<'a>, value: &Value, hits: &mut Vec<Hit<'a>>) {
    let written = value.as_written();
    if !value.has_wildcard() {
        return;
    }
    let plain = written
        .replace("${*}", "-")
        .replace("${?}", "-")
        .replace("${$}", "-");
    let first = plain.split('/').next().unwrap_or_default();
    let id = first.split_once(':').map_or(first, |(_, id)| id);
    let open = id.chars().all(|c| matches!(c, '*' | '?')) || first.starts_with('*');
    if open || takes_any_organization(value) {
        hits.push(Hit::new(
            rule::SUB_ANY,
            here,
            written,
            "write the organisation's whole id: \"org:ORG_ID/prj:PROJECT_ID/env:*\"",
        ));
        return;
    }
    if !first.starts_with("org:") {
        foreign(here, written, &plain, hits);
        return;
    }
    let segments: Vec<&str> = plain.split('/').collect();
    if is_environments(&segments) {
        return;
    }
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        segment_of_ours(here, written, segment, last, hits);
    }
}

/// Whether these are environments in the form that subjects have, each id whole or wholly open, and the
/// organisation's written out.
fn is_environments(segments: &[&str]) -> bool {
    let id = |segment: &str, kind: &str| {
        segment
            .strip_prefix(kind)
            .is_some_and(|id| id == "*" || !id.contains(['*', '?']))
    };
    match segments {
        [organization, environment] => {
            !organization.contains(['*', '?']) && id(environment, "env:")
        }
        [organization, project, environment] => {
            !organization.contains(['*', '?']) && id(project, "prj:") && id(environment, "env:")
        }
        _ => false,
    }
}

fn segment_of_ours<'a>(
    here: Element<'a>,
    written: &str,
    segment: &str,
    last: bool,
    hits: &mut Vec<Hit<'a>>,
) {
    if !segment.contains(['*', '?']) {
        return;
    }
    let (kind, id) = segment.split_once(':').unwrap_or((segment, ""));
    if last && kind == "env" && id == "*" {
        return;
    }
    if last && id.is_empty() && kind == "*" {
        hits.push(Hit::new(
            rule::OTHER_TYPES,
            here,
            written,
            "end the pattern with \"/env:*\"",
        ));
    } else if id == "*" || kind.contains(['*', '?']) || (!last && id.contains('*')) {
        hits.push(Hit::new(
            rule::CROSSES,
            here,
            written,
            "write every kind out, and \"*\" for whole ids only: \"org:ORG_ID/prj:*/env:*\"",
        ));
    } else {
        hits.push(Hit::new(
            rule::IN_ID,
            here,
            written,
            "write the whole id, or \"*\" for all of them",
        ));
    }
}

/// Another issuer's subjects: segments between `/` and `:`.
fn foreign<'a>(here: Element<'a>, written: &str, plain: &str, hits: &mut Vec<Hit<'a>>) {
    let inner = plain
        .find('*')
        .is_some_and(|at| plain[at..].contains(['/', ':']));
    if inner {
        hits.push(Hit::new(
            rule::CROSSES,
            here,
            written,
            "write everything before the last segment out",
        ));
    }
}
