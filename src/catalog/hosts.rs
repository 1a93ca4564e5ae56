//! The table of AWS's hosts.
//!
//! `data/hosts.txt` has a line for each partition, region and host. A host line names the host, with
//! `{region}` and the partition's `{dns}` or `{dual}` suffix where they vary, `*` for one label that is the
//! caller's and `%` for one or more; then its candidates.

use std::{borrow::Cow, collections::HashMap, sync::OnceLock};

use super::{recognised::SigningMethod, services};
use crate::domain::Partition;

const DATA: &str = include_str!("data/hosts.txt");

/// A service that answers at a host, and what requests to it there are signed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// The number of the service in the index.
    pub(super) service: u16,
    pub(super) name: &'static str,
    /// The region to sign for; `None` for the host's own.
    pub(super) region: Option<&'static str>,
    pub(super) algorithm: SigningMethod,
}

impl Candidate {
    /// Whether it is Amazon S3, whose paths are keys.
    pub(super) fn is_s3(self) -> bool {
        services::is_s3(self.service)
    }

    /// Whether a signature for this scope is one for this candidate. SDKs sign for a partition's one
    /// endpoint with whatever region the table says, other tools with their own.
    pub(super) fn allows_scope(self, name: &str, region: &str, host_region: Option<&str>) -> bool {
        self.name.eq_ignore_ascii_case(name)
            && match (self.region, host_region) {
                (Some(only), None) => only == "*" || only == region,
                (Some(only), Some(host)) => only == "*" || only == region || host == region,
                (None, Some(host)) => host == region,
                (None, None) => false,
            }
    }
}

/// What the table says of a host.
pub(super) struct Found {
    pub(super) candidates: Vec<Candidate>,
    pub(super) partition: Partition,
    pub(super) region: Option<Cow<'static, str>>,
    /// The labels that are the caller's.
    pub(super) own: Option<String>,
    /// What a customer's host is.
    pub(super) customer: Option<&'static str>,
    /// The name of its row.
    pub(super) row: &'static str,
}

struct PartitionRow {
    partition: Partition,
    dns: &'static str,
    dual: &'static str,
    /// How its regions begin, before a name and a number: `us`, `us-gov`.
    areas: Vec<&'static str>,
}

struct HostRow {
    name: &'static str,
    /// For a host without a region.
    partition: Option<Partition>,
    customer: Option<&'static str>,
    candidates: &'static str,
}

struct Table {
    partitions: Vec<PartitionRow>,
    regions: HashMap<&'static str, usize>,
    hosts: HashMap<&'static str, HostRow>,
    domains: Vec<&'static str>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| read(DATA))
}

fn read(text: &'static str) -> Table {
    let mut table = Table {
        partitions: Vec::new(),
        regions: HashMap::new(),
        hosts: HashMap::with_capacity(3000),
        domains: Vec::new(),
    };
    for line in text.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        match field() {
            "partition" => {
                let Some(partition) = partition(field()) else {
                    continue;
                };
                table.partitions.push(PartitionRow {
                    partition,
                    dns: field(),
                    dual: field(),
                    areas: field().split(' ').collect(),
                });
            }
            "region" => {
                let name = field();
                let of = partition(field());
                let row = table
                    .partitions
                    .iter()
                    .position(|row| Some(row.partition) == of);
                if let Some(row) = row {
                    table.regions.insert(name, row);
                }
            }
            "domain" => table.domains.push(field()),
            "host" => {
                let name = field();
                let row = HostRow {
                    name,
                    partition: partition(field()),
                    customer: Some(field()).filter(|kind| !kind.is_empty()),
                    candidates: field(),
                };
                table.hosts.insert(name, row);
            }
            _ => {}
        }
    }
    table
}

fn partition(name: &str) -> Option<Partition> {
    Partition::ALL.into_iter().find(|one| one.as_str() == name)
}

impl HostRow {
    fn candidates(&self) -> Vec<Candidate> {
        self.candidates.split(' ').filter_map(candidate).collect()
    }
}

/// `SERVICE,NAME,REGION[,v4a]`, `=` being the host's region.
fn candidate(text: &'static str) -> Option<Candidate> {
    let mut parts = text.split(',');
    let service = services::number(parts.next()?)?;
    let name = parts.next()?;
    let region = parts.next().filter(|region| *region != "=");
    let algorithm = match parts.next() {
        Some("v4a") => SigningMethod::V4a,
        _ => SigningMethod::V4,
    };
    Some(Candidate {
        service,
        name,
        region,
        algorithm,
    })
}

/// Whether a host is in a domain of AWS.
pub(super) fn in_aws(host: &str) -> bool {
    let table = table();
    let partitions = table.partitions.iter().flat_map(|row| [row.dns, row.dual]);
    partitions
        .chain(table.domains.iter().copied())
        .any(|domain| within(host, domain).is_some())
}

/// What stands before `.domain`.
fn within<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    host.strip_suffix(domain)?.strip_suffix('.')
}

/// The partition of a region, and the region's name for keeps. A region that the table lacks is taken
/// where it is named as its partition names regions: AWS opens new ones.
pub(super) fn region(name: &str) -> Option<(Partition, Cow<'static, str>)> {
    let table = table();
    if let Some((known, row)) = table.regions.get_key_value(name) {
        return Some((table.partitions[*row].partition, Cow::Borrowed(known)));
    }
    let row = partition_of_new(table, name)?;
    Some((row.partition, Cow::Owned(name.to_owned())))
}

fn partition_of_new<'a>(table: &'a Table, name: &str) -> Option<&'a PartitionRow> {
    table.partitions.iter().find(|row| {
        row.areas.iter().any(|area| {
            let rest = name
                .strip_prefix(area)
                .and_then(|rest| rest.strip_prefix('-'));
            rest.and_then(|rest| rest.split_once('-'))
                .is_some_and(|(place, number)| {
                    !place.is_empty()
                        && place.bytes().all(|b| b.is_ascii_lowercase())
                        && (1..=2).contains(&number.len())
                        && number.bytes().all(|b| b.is_ascii_digit())
                })
        })
    })
}

/// Looks a host up, in lower case.
pub(super) fn find(host: &str) -> Option<Found> {
    let mut key = String::with_capacity(host.len() + 8);
    if let Some(found) = look_up(host, &mut key) {
        return Some(found);
    }
    // One label, then two, are the caller's.
    let (first, rest) = host.split_once('.')?;
    for (own, rest, stars) in std::iter::once((first, rest, "*.")).chain(
        rest.split_once('.')
            .map(|(second, rest)| (&host[..first.len() + 1 + second.len()], rest, "*.*.")),
    ) {
        key.clear();
        key.push_str(stars);
        key.push_str(rest);
        let starred = std::mem::take(&mut key);
        if let Some(mut found) = look_up(&starred, &mut key) {
            found.own = Some(own.to_owned());
            return Some(found);
        }
    }
    // Any number of labels, of a bucket whose name has dots.
    for (at, _) in host.match_indices('.') {
        let starred = format!("%{}", &host[at..]);
        if let Some(mut found) = look_up(&starred, &mut key) {
            found.own = Some(host[..at].to_owned());
            return Some(found);
        }
    }
    None
}

fn look_up(host: &str, key: &mut String) -> Option<Found> {
    let table = table();
    if let Some((row, partition)) = table
        .hosts
        .get(host)
        .and_then(|row| Some((row, row.partition?)))
    {
        return Some(found(row, partition, None));
    }
    let (at, name) = last_region(table, host)?;
    let (partition, region) = region(name)?;
    let row = table
        .partitions
        .iter()
        .find(|row| row.partition == partition)?;
    for (suffix, sign) in [(row.dual, ".{dual}"), (row.dns, ".{dns}"), ("", "")] {
        let front = if suffix.is_empty() {
            Some(host)
        } else {
            within(host, suffix)
        };
        let Some(front) = front.filter(|front| front.len() >= at + name.len()) else {
            continue;
        };
        key.clear();
        key.push_str(&front[..at]);
        key.push_str("{region}");
        key.push_str(&front[at + name.len()..]);
        key.push_str(sign);
        if let Some(row) = table.hosts.get(key.as_str()) {
            return Some(found(row, partition, Some(region)));
        }
        // An availability zone stands in the label of S3's directory buckets.
        if let Some(start) = key.find("s3express-") {
            let end = key[start..].find('.').map_or(key.len(), |dot| start + dot);
            let zone = if key[start..].starts_with("s3express-fips-") {
                start + "s3express-fips-".len()
            } else {
                start + "s3express-".len()
            };
            if zone < end {
                key.replace_range(zone..end, "*");
                if let Some(row) = table.hosts.get(key.as_str()) {
                    return Some(found(row, partition, Some(region)));
                }
            }
        }
    }
    None
}

fn found(row: &'static HostRow, partition: Partition, region: Option<Cow<'static, str>>) -> Found {
    Found {
        candidates: row.candidates(),
        partition,
        region,
        own: None,
        customer: row.customer,
        row: row.name,
    }
}

/// The last label, or end of a label, that is a region, and where it starts.
fn last_region<'a>(table: &Table, host: &'a str) -> Option<(usize, &'a str)> {
    let is_region =
        |text: &str| table.regions.contains_key(text) || partition_of_new(table, text).is_some();
    let mut end = host.len();
    loop {
        let start = host[..end].rfind('.').map_or(0, |dot| dot + 1);
        let label = &host[start..end];
        // The shortest region has nine characters and two hyphens.
        if label.len() >= 9 && label.as_bytes()[label.len() - 1].is_ascii_digit() {
            if is_region(label) {
                return Some((start, label));
            }
            for (at, _) in label.match_indices('-') {
                if is_region(&label[at + 1..]) {
                    return Some((start + at + 1, &label[at + 1..]));
                }
            }
        }
        end = start.checked_sub(1)?;
    }
}

/// The services that sign with a name, each once.
pub(super) fn signing_as(name: &str) -> Vec<Candidate> {
    services::signing_as(name)
        .map(|(service, name)| Candidate {
            service,
            name,
            region: None,
            algorithm: SigningMethod::V4,
        })
        .collect()
}

/// The suffixes of a partition's hosts: the older one, and the one that has IPv6 addresses too.
pub(super) fn suffixes(partition: Partition) -> (&'static str, &'static str) {
    table()
        .partitions
        .iter()
        .find(|row| row.partition == partition)
        .map_or(("", ""), |row| (row.dns, row.dual))
}
