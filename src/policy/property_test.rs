//! What holds for any rules and any request.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::corpus::{ROLE, Request, parse};
use crate::{
    iam::{Context, SessionPolicy},
    policy::{Decision, Question, Rules},
};

/// A rule as a file writes it.
#[derive(Clone, Debug)]
struct Written {
    effect: &'static str,
    actions: Vec<&'static str>,
    resources: Vec<&'static str>,
    more: &'static str,
}

const ACTIONS: [&str; 10] = [
    "*",
    "s3:*",
    "s3:Get*",
    "s3:GetObject",
    "s3:PutObject",
    "s3:List*",
    "dynamodb:*",
    "dynamodb:GetItem",
    "sts:*",
    "sts:AssumeRole",
];

const RESOURCES: [&str; 9] = [
    "arn:aws:s3:::a",
    "arn:aws:s3:::a/*",
    "arn:aws:s3:::*/k",
    "arn:aws:s3:::?/*",
    "arn:*:s3:::b*",
    "arn:aws:dynamodb:eu-west-1:123456789012:table/t",
    "arn:aws:dynamodb:*:*:table/*",
    "arn:aws:iam::*:role/x",
    "arn:aws:iam::999999999999:role/*",
];

const MORE: [&str; 5] = [
    "",
    "regions = [\"eu-*\"]",
    "regions = [\"us-east-1\", \"eu-west-1\"]",
    "methods = [\"GET\"]",
    "services = [\"s3\", \"sts\"]",
];

fn rule(effects: &'static [&'static str], more: usize) -> impl Strategy<Value = Written> {
    (
        prop::sample::select(effects),
        prop::collection::vec(prop::sample::select(&ACTIONS[..]), 1..3),
        prop::collection::vec(prop::sample::select(&RESOURCES[..]), 0..3),
        prop::sample::select(&MORE[..more]),
    )
        .prop_map(|(effect, actions, resources, more)| Written {
            effect,
            actions,
            resources,
            more,
        })
}

const ANY: &[&str] = &["allow", "ask", "block"];

fn file(rules: &[(usize, Written)]) -> String {
    let mut text = String::new();
    for (name, rule) in rules {
        write!(
            text,
            "[[rule]]\nname = \"r{name}\"\neffect = \"{}\"\nactions = {:?}\n{}\n",
            rule.effect, rule.actions, rule.more
        )
        .unwrap();
        if !rule.resources.is_empty() {
            writeln!(text, "resources = {:?}", rule.resources).unwrap();
        }
    }
    text
}

fn rules(rules: &[(usize, Written)]) -> Rules {
    parse(&file(rules)).with_default_role(ROLE.parse().unwrap())
}

fn numbered(rules: Vec<Written>) -> Vec<(usize, Written)> {
    rules.into_iter().enumerate().collect()
}

/// Requests whose body is read, then such as are judged by their head.
fn requests() -> Vec<Request> {
    let request = Request::new;
    let form = "content-type: application/x-www-form-urlencoded";
    let json = "content-type: application/x-amz-json-1.0";
    let item = "x-amz-target: DynamoDB_20120810.GetItem";
    let role = "Action=AssumeRole&Version=2011-06-15&RoleSessionName=s&RoleArn=arn:aws:iam::999999999999:role/x";
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let dynamodb = "POST https://dynamodb.eu-west-1.amazonaws.com/";
    let sts = "POST https://sts.us-east-1.amazonaws.com/";
    vec![
        request("GET https://s3.eu-west-1.amazonaws.com/a/k", &[], None),
        request("GET https://s3.us-east-1.amazonaws.com/b/j", &[], None),
        request("PUT https://s3.eu-west-1.amazonaws.com/a/k", &[], Some("")),
        request(
            "GET https://s3.eu-west-1.amazonaws.com/a?list-type=2",
            &[],
            None,
        ),
        request("GET https://s3.eu-west-1.amazonaws.com/", &[], None),
        request(
            "PUT https://s3.eu-west-1.amazonaws.com/a/k",
            &["x-amz-copy-source: bb/k"],
            Some(""),
        ),
        request(
            dynamodb,
            &[item, json],
            Some(r#"{"TableName":"t","Key":{}}"#),
        ),
        request(sts, &[form], Some(who)),
        request(sts, &[form], Some(role)),
        request(dynamodb, &[item, json], None),
        request(sts, &[form], None),
    ]
}

/// How severe a decision is.
fn severity(decision: &Decision) -> u8 {
    match decision {
        Decision::Allow(_) => 0,
        Decision::Ask(_) => 1,
        Decision::Block(_) => 2,
        Decision::NeedsBody => 3,
    }
}

fn context(question: &Question<'_>) -> Context {
    let mut context = Context::new();
    if let Some(known) = question.recognised() {
        context.set("aws:RequestedRegion", &*known.region);
    }
    context
}

/// Whether a session policy allows every action of the request on its resources, names filled up as
/// the role's account does.
fn admits(policy: &SessionPolicy, question: &Question<'_>) -> bool {
    let context = context(question);
    let known = question.recognised().unwrap();
    known.actions.iter().all(|action| {
        known.resources_of(action).all(|resource| {
            let mut fields: Vec<&str> = resource.arn().splitn(6, ':').collect();
            if let [_, _, _, region, account, _] = &mut fields[..] {
                if *account == "*" {
                    *account = "123456789012";
                }
                if *region == "*" {
                    *region = &known.region;
                }
            }
            policy
                .decide(&action.to_string(), &fields.join(":"), &context)
                .is_allowed()
        })
    })
}

fn compiled(rules: &Rules) -> Option<SessionPolicy> {
    let role = rules.roles().next().unwrap();
    let text = role.session_policy()?;
    assert!(text.chars().count() <= SessionPolicy::MOST_CHARACTERS);
    Some(SessionPolicy::parse(text).unwrap())
}

proptest! {
    #[test]
    fn one_more_block_rule_lets_nothing_more_through(
        list in prop::collection::vec(rule(ANY, 5), 0..5),
        block in rule(&["block"], 5),
        place in 0_usize..5,
    ) {
        let before = numbered(list);
        let mut after = before.clone();
        after.insert(place.min(before.len()), (99, block));
        let (before, after) = (rules(&before), rules(&after));
        for request in requests() {
            let sent = request.send();
            let question = sent.question();
            let (was, is) = (before.decide(&question), after.decide(&question));
            // What waits for the body is not let through.
            prop_assert!(severity(&is) >= severity(&was) || matches!(was, Decision::NeedsBody) && severity(&is) == 2,
                "{:?}: {:?} became {:?}", request, was, is);
        }
    }

    #[test]
    fn the_order_of_rules_does_not_matter_to_the_effect(
        list in prop::collection::vec(rule(ANY, 5), 0..6),
        seed in any::<prop::sample::Index>(),
    ) {
        let rules_in_order = numbered(list);
        let mut turned = rules_in_order.clone();
        turned.reverse();
        if !turned.is_empty() {
            let by = seed.index(turned.len());
            turned.rotate_left(by);
        }
        let (one, other) = (rules(&rules_in_order), rules(&turned));
        for request in requests() {
            let sent = request.send();
            let question = sent.question();
            prop_assert_eq!(severity(&one.decide(&question)), severity(&other.decide(&question)));
        }
    }

    /// What the head decides, the body would not decide otherwise.
    #[test]
    fn the_head_decides_only_what_it_can(list in prop::collection::vec(rule(ANY, 5), 0..6)) {
        let rules = rules(&numbered(list));
        let all = requests();
        for (head, whole) in [(9, 6), (10, 7), (10, 8)] {
            let (head, whole) = (all[head].send(), all[whole].send());
            let decided = rules.decide(&head.question());
            if !matches!(decided, Decision::NeedsBody) {
                let later = rules.decide(&whole.question());
                prop_assert_eq!(severity(&decided), severity(&later), "{:?} {:?}", decided, later);
            }
        }
    }

    #[test]
    fn aws_is_never_told_less_than_the_rules_allow(
        list in prop::collection::vec(rule(ANY, 5), 1..6),
    ) {
        let rules = rules(&numbered(list));
        if let Some(policy) = compiled(&rules) {
            for request in requests().iter().take(9) {
                let sent = request.send();
                let question = sent.question();
                if matches!(rules.decide(&question), Decision::Allow(_) | Decision::Ask(_)) {
                    prop_assert!(admits(&policy, &question), "{:?} {:?}", request, policy.to_json());
                }
            }
        }
    }

    /// Rules that IAM has words for: AWS is told exactly what they allow.
    #[test]
    fn aws_is_told_what_the_rules_say(
        list in prop::collection::vec(rule(&["allow", "block"], 3), 1..6),
    ) {
        let rules = rules(&numbered(list));
        if let Some(policy) = compiled(&rules) {
            for request in requests().iter().take(8) {
                let sent = request.send();
                let question = sent.question();
                // Where nothing is known of the resource, a block rule fits that IAM's would not.
                if question.recognised().unwrap().resources.iter().any(|one| one.arn() == "*") {
                    continue;
                }
                let allowed = matches!(rules.decide(&question), Decision::Allow(_));
                prop_assert_eq!(admits(&policy, &question), allowed, "{:?} {:?}", request, policy.to_json());
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = Rules::parse(&text, "rules.toml", &|_| Err(String::new()));
    }

    #[test]
    fn no_member_makes_it_panic(
        members in prop::collection::vec((
            prop::sample::select(&["name", "effect", "actions", "resources", "services", "regions",
                "hosts", "methods", "paths", "role", "arn", "accounts", "buckets", "preset",
                "session_policy_file", "ask_hold", "customer_hosts", "tunnel_hosts"][..]),
            prop::sample::select(&["1", "\"\"", "[]", "\"*\"", "[\"a:b\"]", "[\"%\"]", "[\"é:*é\"]",
                "{}", "true", "[1]", "\"arn:aws:s3:::\"", "[\"arn:::::x\"]", "\"allow\""][..]),
        ), 0..8),
        head in prop::sample::select(&["", "[[rule]]", "[[role]]", "[[use]]", "[rule]"][..]),
    ) {
        let mut text = format!("{head}\n");
        for (name, value) in members {
            writeln!(text, "{name} = {value}").unwrap();
        }
        let _ = Rules::parse(&text, "rules.toml", &|_| Ok("{".to_owned()));
    }
}
