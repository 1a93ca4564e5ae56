//! An audit record as JSON, for the API and for exports. What is hashed goes through unchanged, so
//! that a chain verifies from its export alone.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{AuditId, AuditRecord, OrganizationId, Timestamp};

/// A record as one JSON object: one line of an export.
///
/// `at` is RFC 3339 with milliseconds; hashes are lower-case hexadecimal. `details` is the object as
/// it is stored, byte for byte; a stored text that is no JSON object, which this program never writes,
/// becomes a JSON string of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    /// `null` for the system's chain.
    organization_id: Option<OrganizationId>,
    seq: i64,
    id: AuditId,
    at: String,
    actor: String,
    action: String,
    target: String,
    outcome: String,
    request_id: Option<String>,
    source: Option<String>,
    details: Box<RawValue>,
    previous: String,
    hash: String,
}

/// Why a line is not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its {0} is not one that an export writes")]
pub struct AuditLineError(&'static str);

impl From<AuditRecord> for AuditLine {
    fn from(record: AuditRecord) -> Self {
        Self {
            organization_id: record.organization_id,
            seq: record.seq,
            id: record.id,
            at: record.at.exact(),
            actor: record.actor,
            action: record.action,
            target: record.target,
            outcome: record.outcome,
            request_id: record.request_id,
            source: record.source,
            details: details(record.details),
            previous: hex::encode(record.previous),
            hash: hex::encode(record.hash),
        }
    }
}

impl TryFrom<AuditLine> for AuditRecord {
    type Error = AuditLineError;

    fn try_from(line: AuditLine) -> Result<Self, AuditLineError> {
        let details = line.details.get();
        Ok(Self {
            organization_id: line.organization_id,
            seq: line.seq,
            id: line.id,
            at: parse(&line.at).ok_or(AuditLineError("at"))?,
            actor: line.actor,
            action: line.action,
            target: line.target,
            outcome: line.outcome,
            request_id: line.request_id,
            source: line.source,
            details: if details.starts_with('{') {
                details.to_owned()
            } else {
                serde_json::from_str(details).map_err(|_| AuditLineError("details"))?
            },
            previous: hash(&line.previous).ok_or(AuditLineError("previous"))?,
            hash: hash(&line.hash).ok_or(AuditLineError("hash"))?,
        })
    }
}

fn details(text: String) -> Box<RawValue> {
    // A line break within the object would end the line; parsing trims white space around it.
    let verbatim = text.starts_with('{')
        && !text.contains(['\n', '\r'])
        && serde_json::from_str::<&RawValue>(&text).is_ok_and(|raw| raw.get() == text);
    let raw = if verbatim {
        RawValue::from_string(text)
    } else {
        to_raw_value(&text)
    };
    // Neither fails: the one was parsed just now, and a text is always JSON.
    raw.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn parse(text: &str) -> Option<Timestamp> {
    match text.strip_prefix('@') {
        Some(ms) => ms.parse().ok().map(Timestamp::from_ms),
        None => text
            .parse::<jiff::Timestamp>()
            .ok()
            .map(|time| Timestamp::from_ms(time.as_millisecond())),
    }
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(details: String, at: i64) -> AuditRecord {
        AuditRecord {
            id: "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap(),
            organization_id: "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().ok(),
            seq: 7,
            at: Timestamp::from_ms(at),
            actor: "system".to_owned(),
            action: "a".to_owned(),
            target: "é\n\"".to_owned(),
            outcome: "success".to_owned(),
            request_id: None,
            source: Some("::1".to_owned()),
            details,
            previous: [1; 32],
            hash: [2; 32],
        }
    }

    fn there_and_back(record: AuditRecord) -> AuditRecord {
        let line = serde_json::to_string(&AuditLine::from(record)).unwrap();
        assert!(!line.contains('\n'), "{line}");
        let line: AuditLine = serde_json::from_str(&line).unwrap();
        line.try_into().unwrap()
    }

    proptest! {
        #[test]
        fn nothing_changes_on_the_way(details in ".*", at in any::<i64>()) {
            let record = record(details, at);
            prop_assert_eq!(there_and_back(record.clone()), record);
        }
    }

    #[test]
    fn details_stay_as_they_were_written() {
        for details in [
            "{}",
            "{ \"a\" : 1.0 }",
            "{\"a\":1}\n",
            " {}",
            "{\"a\":\n1}",
            "{",
            "",
            "null",
            "\"x\"",
        ] {
            let record = record(details.to_owned(), 1_740_514_245_001);
            assert_eq!(there_and_back(record.clone()), record, "{details:?}");
        }
        let line =
            serde_json::to_value(AuditLine::from(record("{}".to_owned(), 1_740_514_245_001)));
        let line = line.unwrap();
        assert_eq!(line["at"], "2025-02-25T20:10:45.001Z");
        assert_eq!(line["details"], serde_json::json!({}));
    }
}
