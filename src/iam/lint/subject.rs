//! Patterns for `sub`. A wildcard of IAM's takes `/` and `:` too, so that only one at the very end of
//! the last segment stays in its segment. One that stands for a whole id does no harm where every kind
//! is written out: ids hold neither separator, so `org:O/prj:*/env:*` takes environments of `O` only.

use super::{Hit, rule};
use crate::iam::{Element, Value};

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
    if id.chars().all(|c| matches!(c, '*' | '?')) || first.starts_with('*') {
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
