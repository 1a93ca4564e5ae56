//! Findings as SARIF 2.1.0, which code hosts show beside the lines.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Finding, RULES};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// What a path of an URI reference may not hold as it is (RFC 3986 §3.3). A colon is among it because it
/// would make a scheme of what is before it.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A SARIF log of one run over one file; `path` is how the file was named.
#[must_use]
pub fn to_sarif(findings: &[Finding], path: &str) -> Value {
    let uri = utf8_percent_encode(path, NOT_IN_PATH).to_string();
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.code,
                "shortDescription": { "text": rule.summary },
                "defaultConfiguration": { "level": rule.severity.as_str() },
            })
        })
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "ruleId": finding.code,
                "ruleIndex": RULES.iter().position(|rule| rule.code == finding.code),
                "level": finding.severity.as_str(),
                "message": { "text": format!("{}. Fix: {}.", finding.reason, finding.fix) },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": uri },
                        "region": { "startLine": finding.line, "startColumn": finding.column },
                    },
                }],
            })
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "idp aws lint",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::Document;

    /// Members of an object as SARIF 2.1.0 has them (OASIS standard, §3): those that it must have and
    /// those that it may have, of which only ours are listed.
    fn members<'a>(value: &'a Value, required: &[&str], optional: &[&str]) -> &'a Value {
        let object = value.as_object().unwrap();
        for name in required {
            assert!(object.contains_key(*name), "{name} is missing in {value}");
        }
        for (name, member) in object {
            let known = required.contains(&name.as_str()) || optional.contains(&name.as_str());
            assert!(known, "{name} in {value}");
            assert!(!member.is_null(), "{name} in {value}");
        }
        value
    }

    fn list(value: &Value) -> &[Value] {
        value.as_array().unwrap()
    }

    fn level(value: &Value) {
        let level = value.as_str().unwrap();
        assert!(
            ["none", "note", "warning", "error"].contains(&level),
            "{level}"
        );
    }

    fn is_sarif(log: &Value) {
        members(log, &["version", "runs"], &["$schema"]);
        assert_eq!(log["version"], "2.1.0");
        for run in list(&log["runs"]) {
            members(run, &["tool"], &["results", "columnKind"]);
            assert_eq!(run["columnKind"], "unicodeCodePoints");
            let driver = &members(&run["tool"], &["driver"], &[])["driver"];
            members(driver, &["name"], &["version", "rules"]);
            let rules = list(&driver["rules"]);
            for rule in rules {
                members(rule, &["id"], &["shortDescription", "defaultConfiguration"]);
                members(&rule["shortDescription"], &["text"], &[]);
                level(&members(&rule["defaultConfiguration"], &[], &["level"])["level"]);
            }
            let mut ids: Vec<_> = rules.iter().map(|rule| rule["id"].to_string()).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), rules.len(), "ids are unique");
            for result in list(&run["results"]) {
                let optional = ["ruleId", "ruleIndex", "level", "locations"];
                members(result, &["message"], &optional);
                members(&result["message"], &["text"], &[]);
                level(&result["level"]);
                let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                assert_eq!(rules[index]["id"], result["ruleId"]);
                for location in list(&result["locations"]) {
                    let place = &members(location, &[], &["physicalLocation"])["physicalLocation"];
                    members(place, &["artifactLocation"], &["region"]);
                    let file = members(&place["artifactLocation"], &[], &["uri"]);
                    let base = url::Url::parse("file:///repository/").unwrap();
                    let uri = file["uri"].as_str().unwrap();
                    let whole = base.join(uri).unwrap();
                    assert!(
                        whole.as_str().ends_with(uri) && whole.scheme() == "file",
                        "{whole}"
                    );
                    let region = members(&place["region"], &["startLine"], &["startColumn"]);
                    assert!(region["startLine"].as_u64() >= Some(1));
                    assert!(region["startColumn"].as_u64() >= Some(1));
                }
            }
        }
    }

    #[test]
    fn a_log_is_made_as_the_standard_says() {
        let policy = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"},
            {"Effect":"Allow","Action":"sts:*","Principal":{"Federated":"idp.example.com"}}]}"#;
        let findings = Document::parse(policy).unwrap().lint();
        assert!(findings.len() > 3);
        for path in [
            "trust.json",
            "my policies/r\u{e9}le #1 100%?.json",
            "c:trust.json",
            "-",
        ] {
            is_sarif(&to_sarif(&findings, path));
        }
        is_sarif(&to_sarif(&[], "trust.json"));
        let log = to_sarif(&findings, "a b.json");
        let result = &log["runs"][0]["results"][0];
        let file = &result["locations"][0]["physicalLocation"]["artifactLocation"];
        assert_eq!(file["uri"], "a%20b.json");
    }
}
