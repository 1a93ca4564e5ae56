//! Why a request is decided as it is, rule by rule.

use serde::Serialize;

use super::{
    Effect, Question, Recognition, Rules,
    decide::{Outcome, Pair},
    refusal::{Refusal, subject, suggestion},
    rule::{Facets, Rule},
    verdict::Verdict,
};
use crate::catalog::Recognised;

/// Why a request is decided as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// `allow`, `ask`, `block`, or `needs_body` where a body that was not given decides.
    pub decision: &'static str,
    /// The rule that decides; of several that allow, the first one.
    pub rule: Option<String>,
    /// Its line in the rules file.
    pub rule_line: Option<usize>,
    /// Why, in a sentence.
    pub reason: String,
    /// What would allow a request that no rule allows: a `[[rule]]` for the rules file.
    pub suggestion: Option<String>,
    /// The service, by botocore's name.
    pub service: Option<&'static str>,
    /// The operation.
    pub operation: Option<&'static str>,
    /// Whether the operation's actions were inferred and never compared with what IAM asks for.
    pub inferred: bool,
    /// Whether its answer holds credentials.
    pub returns_credentials: bool,
    /// What the request needs.
    pub needs: Vec<Needed>,
    /// The region that it acts in.
    pub region: Option<String>,
    /// The role that would sign it.
    pub role: Option<String>,
    /// The session policy of the role's sessions.
    pub session_policy: Option<String>,
    /// Every rule, in the order of the file.
    pub rules: Vec<RuleOutcome>,
}

/// An action that a request needs.
#[derive(Clone, Debug, Serialize)]
pub struct Needed {
    /// The action.
    pub action: String,
    /// ARNs; `*` where a part is not known, or where the action is on no resource.
    pub resources: Vec<String>,
}

/// What one rule says of the request.
#[derive(Clone, Debug, Serialize)]
pub struct RuleOutcome {
    /// Its name.
    pub name: String,
    /// Its line in the file.
    pub line: usize,
    /// What it does where it fits.
    pub effect: &'static str,
    /// `yes`, `perhaps` where what is not known decides, or `no`.
    pub fits: &'static str,
    /// What fits, or the first thing that does not.
    pub why: String,
}

impl Rules {
    /// Says for every rule whether it fits the request and why, and what follows.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let known = question.recognised();
        let outcome = self.judge(question);
        let (decision, rule, reason, suggestion) = self.summary(question, &outcome);
        let role = match &outcome {
            Outcome::Granted { role, .. } => Some(*role),
            _ => self.role_for(question).0,
        };
        Explanation {
            decision,
            rule: rule.map(|rule| self.rules[rule].name.to_string()),
            rule_line: rule.map(|rule| self.rules[rule].line),
            reason,
            suggestion,
            service: known.map(|known| known.service.id()),
            operation: known.map(|known| known.operation.name()),
            inferred: known.is_some_and(|known| known.operation.inferred()),
            returns_credentials: known.is_some_and(|known| known.operation.returns_credentials()),
            needs: known.map(needs).unwrap_or_default(),
            region: known
                .map(|known| &*known.region)
                .or(question.region)
                .map(str::to_owned),
            role: role.map(|role| role.arn().to_string()),
            session_policy: role
                .and_then(|role| role.session_policy())
                .map(ToString::to_string),
            rules: self
                .rules
                .iter()
                .map(|rule| self.outcome(rule, question))
                .collect(),
        }
    }

    fn summary(
        &self,
        question: &Question<'_>,
        outcome: &Outcome<'_>,
    ) -> (&'static str, Option<usize>, String, Option<String>) {
        match outcome {
            Outcome::Granted {
                rule, asks: None, ..
            } => {
                let named = &self.rules[*rule];
                let reason = format!("allowed by the rule {:?} (line {})", named.name, named.line);
                (Effect::Allow.as_str(), Some(*rule), reason, None)
            }
            Outcome::Granted {
                asks: Some(rule), ..
            } => {
                let reason = Refusal::Asks { rule: *rule }.text(self, question);
                (Effect::Ask.as_str(), Some(*rule), reason, None)
            }
            Outcome::Refused(refusal) => {
                let wanted = match refusal {
                    Refusal::Nothing {
                        what: Some((action, resource)),
                    } => Some(format!("[[rule]]\n{}\n", suggestion(action, resource))),
                    _ => None,
                };
                let reason = refusal.text(self, question);
                (Effect::Block.as_str(), refusal.rule(), reason, wanted)
            }
            Outcome::Open => {
                let reason = "the head of the request does not decide it, its body does".to_owned();
                ("needs_body", None, reason, None)
            }
        }
    }

    fn outcome(&self, rule: &Rule, question: &Question<'_>) -> RuleOutcome {
        let (verdict, why) = match question.recognition {
            Recognition::Known(known) if !known.actions.is_empty() => {
                self.on_actions(rule, question, known)
            }
            _ => on_unmapped(rule, question),
        };
        RuleOutcome {
            name: rule.name.to_string(),
            line: rule.line,
            effect: rule.effect.as_str(),
            fits: match verdict {
                Verdict::Yes => "yes",
                Verdict::Maybe => "perhaps",
                Verdict::No => "no",
            },
            why,
        }
    }

    fn on_actions(
        &self,
        rule: &Rule,
        question: &Question<'_>,
        known: &Recognised,
    ) -> (Verdict, String) {
        if let Some(why) = facet_apart(rule, question) {
            return (Verdict::No, why);
        }
        let role = self.role_for(question).0;
        let mut best = (Verdict::No, "names none of its actions".to_owned());
        let mut fitting = Vec::new();
        for action in known.actions.iter().filter(|action| rule.names(action)) {
            for resource in known.resources_of(action) {
                let pair = Pair {
                    rules: self,
                    question,
                    recognised: known,
                    role: role.map(|role| &**role),
                    action,
                    resource,
                };
                let what = subject((action, resource));
                let verdict = pair.fits_any(rule);
                if verdict == Verdict::No {
                    if fitting.is_empty() {
                        best.1 = format!("{what} is outside of its resources");
                    }
                } else if rule.effect != Effect::Block
                    && known.operation.returns_credentials()
                    && !rule.names_literally(action)
                {
                    best.1 = format!(
                        "{action} hands out credentials, and the rule names it with a wildcard"
                    );
                } else {
                    best.0 = best.0.max(verdict);
                    fitting.push(what);
                }
            }
        }
        if !fitting.is_empty() {
            best.1 = fitting.join(", ");
        }
        best
    }
}

fn needs(known: &Recognised) -> Vec<Needed> {
    known
        .actions
        .iter()
        .map(|action| Needed {
            action: action.to_string(),
            resources: known
                .resources_of(action)
                .map(|resource| resource.arn().to_owned())
                .collect(),
        })
        .collect()
}

/// The first of service, region, host, method and path that does not fit.
fn facet_apart(rule: &Rule, question: &Question<'_>) -> Option<String> {
    let facets = &rule.facets;
    let one = |name: &str, got: &str| Some(format!("{name} {got} is none of its {name}s"));
    let fits = |only: Facets| only.fits(question) != Verdict::No;
    let empty = Facets::default;
    let known = question.recognised();
    if !fits(Facets {
        services: facets.services.clone(),
        ..empty()
    }) {
        return one("service", known.map_or("", |known| known.service.id()));
    }
    if !fits(Facets {
        regions: facets.regions.clone(),
        ..empty()
    }) {
        let region = known.map(|known| &*known.region).or(question.region);
        return one("region", region.unwrap_or_default());
    }
    if !fits(Facets {
        hosts: facets.hosts.clone(),
        ..empty()
    }) {
        return one("host", question.host);
    }
    if !fits(Facets {
        methods: facets.methods.clone(),
        ..empty()
    }) {
        return one("method", question.method.as_str());
    }
    if !fits(Facets {
        paths: facets.paths.clone(),
        ..empty()
    }) {
        return one("path", question.target.path());
    }
    None
}

fn on_unmapped(rule: &Rule, question: &Question<'_>) -> (Verdict, String) {
    if let Some(why) = facet_apart(rule, question) {
        return (Verdict::No, why);
    }
    let verdict = rule.fits_unmapped(question);
    let why = match (verdict, &rule.actions) {
        (Verdict::Yes, _) => "names neither actions nor resources",
        (_, Some(_)) => "names actions, and those of the request are not known",
        (_, None) => "does not name hosts, methods and paths, and the actions are not known",
    };
    // What is not known never lets a request through.
    let verdict = if rule.effect == Effect::Allow && verdict == Verdict::Maybe {
        match question.recognition {
            Recognition::Body => Verdict::Maybe,
            _ => Verdict::No,
        }
    } else {
        verdict
    };
    (verdict, why.to_owned())
}
