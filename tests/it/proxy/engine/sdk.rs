//! What boto3 makes of refusals: the message, and one attempt.

use super::world::world;
use crate::support;

#[tokio::test]
async fn boto3_shows_the_reason_and_makes_one_attempt() {
    let Some(python) = support::python() else {
        return;
    };
    let world = world().await;
    let (endpoint, key) = (format!("http://{}", world.proxy), world.key.clone());
    let calls = tokio::task::spawn_blocking(move || {
        support::python_json(&python, "proxy_refusals.py", &[&endpoint, &key], &[])
    });
    let calls = calls.await.unwrap();
    let calls = calls.as_array().unwrap();
    assert_eq!(calls.len(), 22);
    for call in calls {
        let text = call.to_string();
        assert_eq!(call["again"], 0, "{text}");
        let code = call["code"].as_str().unwrap_or_else(|| panic!("{text}"));
        if call["operation"] == "head_object" {
            assert_eq!(code, "403", "{text}");
            continue;
        }
        assert!(
            code.starts_with("AccessDenied") || code == "UnauthorizedOperation",
            "{text}"
        );
        let message = call["message"].as_str().unwrap();
        let says = if call["service"] == "sts" {
            "sts:AssumeRole"
        } else {
            "blocked by the rule \"no"
        };
        assert!(
            message.contains(says) || message.contains("not that table"),
            "{text}"
        );
    }
    world.nothing_happened();
    assert_eq!(world.records(22).await.len(), 22);
}
