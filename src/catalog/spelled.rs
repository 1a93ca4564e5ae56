//! The other ARNs under which rules may know what a request names.

use super::{
    fill::Place,
    kind::{Fields, Kind, Maker, anything},
    names::{Function, Way, inference_profile},
    resource::ResourceActions,
};
use crate::catalog::Resource;

/// Adds the spellings of an ARN that is made, and what a service adds to a name of that way.
pub(super) fn spelled(way: Way, mut made: Maker, place: &Place<'_>) -> Resource {
    let arn = made.so_far().to_owned();
    let (front, last) = arn.split_at(arn.match_indices(':').nth(4).map_or(0, |(at, _)| at + 1));
    match way {
        // IAM sees the log group of most operations as this, which `log-group:NAME:*` fits.
        Way::LogGroup if !last.contains(":log-stream:") => {
            made.spelling(format!("{arn}:log-stream:"), true);
        }
        Way::Versioned => {
            if let Some((kind, name)) = last.split_once(':')
                && let Some((machine, _)) = name.split_once(':')
            {
                made.spelling(format!("{front}{kind}:{machine}"), false);
            }
        }
        Way::Revision if !last.contains(':') => {
            made.text(":");
            made.unknown();
        }
        Way::Model | Way::Arn => return model(made, last, place),
        _ => {}
    }
    made.done()
}

/// A model may be asked by itself or through an inference profile of it, and rules may know either.
fn model(mut made: Maker, last: &str, place: &Place<'_>) -> Resource {
    let partition = place.partition.as_str();
    let model = |id: &str| format!("arn:{partition}:bedrock:*::foundation-model/{id}");
    let (kind, id) = last.split_once('/').unwrap_or((last, ""));
    match (kind, inference_profile(id)) {
        ("foundation-model", (true, Some(of))) => {
            let mut profile = Maker::new(made.actions());
            profile.text(&format!("arn:{partition}:bedrock:{}:", place.region));
            profile.unknown();
            profile.text(&format!(":inference-profile/{id}"));
            profile.spelling(model(of), false);
            return profile.done();
        }
        ("foundation-model" | "inference-profile", (_, Some(of))) => {
            made.spelling(model(of), false);
        }
        ("foundation-model", _) => {}
        // What stands behind profiles, routers and deployments of one's own is not known.
        _ => made.spelling(model("*"), false),
    }
    made.done()
}

/// A function and, where one is named, its version or alias.
pub(super) fn functions(
    kind: &Kind,
    text: &str,
    qualifier: Option<&str>,
    actions: &ResourceActions,
    place: &Place<'_>,
) -> Vec<Resource> {
    let readings = Function::read(text, place.partition.as_str());
    if readings.is_empty() {
        return vec![anything(actions.clone())];
    }
    let mut found = Vec::new();
    for one in readings {
        let named = |name: &str| {
            let mut made = Maker::new(actions.clone());
            let names = [Some(name)].into_iter();
            kind.fill(names, place, one.region, one.account, &mut made);
            made
        };
        let mut versions: Vec<&str> = one.qualifier.into_iter().chain(qualifier).collect();
        versions.dedup();
        if versions.is_empty() {
            found.push(named(one.name).done());
        }
        for version in versions {
            let mut made = named(&format!("{}:{version}", one.name));
            made.spelling(named(one.name).so_far().to_owned(), false);
            found.push(made.done());
        }
    }
    found
}

/// A key, or an alias, of which nobody here knows the key.
pub(super) fn key(
    kind: &Kind,
    text: Option<&str>,
    actions: &ResourceActions,
    place: &Place<'_>,
) -> Resource {
    let fields = match text {
        Some(text) if text.starts_with("arn:") => {
            let fields = Fields::of(text);
            let is_key = |one: &Fields<'_>| {
                one.is_of(kind.service(), place.partition)
                    && ["key/", "alias/"].iter().any(|front| {
                        one.resource
                            .strip_prefix(front)
                            .is_some_and(|id| !id.is_empty())
                    })
            };
            let Some(fields) = fields.filter(is_key) else {
                return anything(actions.clone());
            };
            Some(fields)
        }
        _ => None,
    };
    let (region, account) =
        fields.map_or((None, None), |one| (Some(one.region), Some(one.account)));
    let id = fields.map_or(text, |one| {
        Some(one.resource.strip_prefix("key/").unwrap_or(one.resource))
    });
    let alias = id.and_then(|id| id.strip_prefix("alias/"));
    let mut made = Maker::new(actions.clone());
    kind.fill(
        [id.filter(|_| alias.is_none())].into_iter(),
        place,
        region,
        account,
        &mut made,
    );
    let of_key = made.so_far().to_owned();
    let Some(front) = of_key.rfind(":key/").map(|at| &of_key[..=at]) else {
        return made.done();
    };
    let Some(name) = alias else {
        made.spelling(format!("{front}alias/*"), false);
        return made.done();
    };
    let mut made = Maker::new(actions.clone());
    if account.is_some() {
        made.text(front);
    } else {
        made.text(front.trim_end_matches("*:"));
        made.unknown();
        made.text(":");
    }
    made.text("alias/");
    made.text(name);
    made.spelling(of_key, false);
    made.done()
}

/// A secret's ARN. AWS takes it without its last six characters as well, so what ends like them may be
/// the end of a name.
/// ([GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html))
pub(super) fn secret(
    kind: &Kind,
    arn: &str,
    fields: &Fields<'_>,
    actions: &ResourceActions,
    place: &Place<'_>,
) -> Vec<Resource> {
    let Some(name) = fields.resource.strip_prefix("secret:") else {
        return vec![anything(actions.clone())];
    };
    let mut part = Maker::new(actions.clone());
    let names = [Some(name)].into_iter();
    kind.fill(
        names,
        place,
        Some(fields.region),
        Some(fields.account),
        &mut part,
    );
    let is_whole = name.rsplit_once('-').is_some_and(|(front, end)| {
        !front.is_empty() && end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !is_whole {
        return vec![part.done()];
    }
    let mut whole = Maker::new(actions.clone());
    whole.text(arn);
    part.written(arn);
    vec![whole.done(), part.done()]
}
