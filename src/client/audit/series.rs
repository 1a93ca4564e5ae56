//! A series of checkpoints: what it says of each chain, and whether it holds together.

use std::collections::HashMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    domain::{ChainHead, Finding, FindingKind, OrganizationId, Timestamp, Vouched},
    jose::{read_checkpoint, sha256},
    ports::{ObjectError, ObjectStore},
};

/// How many checkpoints are fetched at a time.
const AT_ONCE: usize = 16;

/// What a series says: some 50 bytes for each record that a checkpoint saw at a chain's end.
#[derive(Clone, Debug, Default)]
pub struct Series {
    vouched: HashMap<Option<OrganizationId>, Vec<Vouched>>,
    /// How many checkpoints there are.
    pub count: u64,
    /// The newest one's number, time and key.
    pub last: Option<(i64, Timestamp, String)>,
    /// What is wrong with the series itself.
    pub findings: Vec<Finding>,
    /// The number and hash that the next one has to follow.
    previous: Option<(i64, [u8; 32])>,
}

impl Series {
    /// What it says of a chain, by place.
    #[must_use]
    pub fn of(&self, chain: Option<OrganizationId>) -> Vec<Vouched> {
        self.vouched.get(&chain).cloned().unwrap_or_default()
    }

    /// Every chain that it says something of.
    pub(super) fn chains(&self) -> impl Iterator<Item = (Option<OrganizationId>, &Vec<Vouched>)> {
        self.vouched
            .iter()
            .map(|(chain, vouched)| (*chain, vouched))
    }

    fn found(&mut self, number: i64, problem: String) {
        self.findings.push(Finding {
            organization_id: None,
            seq: number,
            id: None,
            kind: FindingKind::Checkpoint,
            problem,
        });
    }

    fn add(&mut self, number: i64, bytes: &[u8]) {
        let read = std::str::from_utf8(bytes)
            .map_err(|error| error.to_string())
            .and_then(|text| read_checkpoint(text).map_err(|error| error.to_string()));
        if let Some((last, hash)) = self.previous {
            if number != last + 1 {
                self.found(
                    number,
                    format!("checkpoint {} before it is missing", last + 1),
                );
            } else if let Ok(read) = &read
                && read.checkpoint.previous != Some(hash)
            {
                self.found(number, format!("it does not follow checkpoint {last}"));
            }
        }
        self.previous = Some((number, sha256(bytes)));
        self.count += 1;
        match read {
            Err(error) => self.found(number, error),
            Ok(read) if read.checkpoint.number != number => {
                self.found(
                    number,
                    format!("it is checkpoint {}", read.checkpoint.number),
                );
            }
            Ok(read) => {
                for head in &read.checkpoint.chains {
                    self.vouch(number, head);
                }
                self.last = Some((number, read.checkpoint.at, read.kid));
            }
        }
    }

    fn vouch(&mut self, checkpoint: i64, head: &ChainHead) {
        let places = self.vouched.entry(head.organization_id).or_default();
        let last = places.last().copied();
        match last {
            Some(last) if head.seq == last.seq && head.hash == last.hash => {}
            Some(last) if head.seq < last.seq => {
                let problem = format!(
                    "it saw {} records of a chain of which checkpoint {} saw {}",
                    head.seq, last.checkpoint, last.seq
                );
                self.found(checkpoint, problem);
            }
            _ => places.push(Vouched {
                seq: head.seq,
                hash: head.hash,
                checkpoint,
            }),
        }
    }
}

/// Reads all checkpoints at a place, whose numbers `number` tells from their names. The newest has to
/// be signed by the key with the thumbprint `trusted`; that vouches for those before it, each of which
/// is named by its hash in the one after it. Without `trusted` nothing is said of whose key it is.
///
/// # Errors
/// The place cannot be read.
pub async fn read_series(
    objects: &dyn ObjectStore,
    number: impl Fn(&str) -> Option<i64>,
    trusted: Option<&str>,
) -> Result<Series, ObjectError> {
    let mut series = Series::default();
    let mut last = String::new();
    loop {
        let names = objects.list(&last).await?;
        let Some(name) = names.last() else { break };
        last.clone_from(name);
        let numbered = names
            .into_iter()
            .filter_map(|name| Some((number(&name)?, name)));
        let mut read = stream::iter(numbered)
            .map(|(number, name)| async move {
                Ok::<_, ObjectError>((number, objects.get(&name).await?))
            })
            .buffered(AT_ONCE);
        while let Some((number, bytes)) = read.try_next().await? {
            series.add(number, &bytes.unwrap_or_default());
        }
    }
    let key = series
        .last
        .as_ref()
        .map(|(number, _, kid)| (*number, kid.clone()));
    match (key, trusted) {
        (Some((number, kid)), Some(trusted)) if kid != trusted => {
            series.found(
                number,
                format!("it is the newest, and signed by key {kid} instead of {trusted}"),
            );
        }
        _ => {}
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Checkpoint,
        jose::{SeedKey, sign_checkpoint},
    };

    fn statement(number: i64, previous: Option<&str>, seq: i64, key: u8) -> String {
        let checkpoint = Checkpoint {
            issuer: "https://idp.example.com".parse().unwrap(),
            number,
            at: Timestamp::from_secs(number),
            previous: previous.map(|text| sha256(text.as_bytes())),
            chains: vec![ChainHead {
                organization_id: None,
                seq,
                hash: [1; 32],
            }],
        };
        sign_checkpoint(&SeedKey::new(&[key; 32]).unwrap(), &checkpoint)
    }

    fn problems(statements: &[(i64, &str)]) -> Vec<(i64, String)> {
        let mut series = Series::default();
        for (number, statement) in statements {
            series.add(*number, statement.as_bytes());
        }
        let findings = series.findings.into_iter();
        findings.map(|found| (found.seq, found.problem)).collect()
    }

    #[test]
    fn what_does_not_hold_together_is_named() {
        let first = statement(1, None, 1, 1);
        let second = statement(2, Some(&first), 2, 1);
        let third = statement(3, Some(&second), 3, 2);
        let whole = [(1, &*first), (2, &*second), (3, &*third)];
        assert_eq!(problems(&whole), []);
        assert_eq!(problems(&whole[1..]), [], "old ones may be gone");
        assert_eq!(
            problems(&[whole[0], whole[2]]),
            [(3, "checkpoint 2 before it is missing".to_owned())]
        );
        let forged = statement(2, Some(&first), 7, 1);
        assert_eq!(
            problems(&[whole[0], (2, &forged), whole[2]]),
            [
                (3, "it does not follow checkpoint 2".to_owned()),
                (
                    3,
                    "it saw 3 records of a chain of which checkpoint 2 saw 7".to_owned()
                )
            ]
        );
        assert_eq!(
            problems(&[(2, &first)]),
            [(2, "it is checkpoint 1".to_owned())]
        );
        assert_eq!(problems(&[(1, "x")]).len(), 1);
    }
}
