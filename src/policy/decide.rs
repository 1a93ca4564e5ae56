//! The decision.

use std::sync::Arc;

use super::{
    Allowed, Asked, Blocked, Decision, Question, Recognition, Role, Rules,
    index::{Hits, Lane},
    refusal::Refusal,
    resource::{ArnView, ResourcePattern},
    rule::{Effect, Rule},
    verdict::Verdict,
};
use crate::catalog::{Action, Recognised, Resource};

impl Rules {
    /// Decides a request.
    ///
    /// An operation needs all of its actions, each on its resources. A rule that blocks one of them
    /// blocks the request, and so does one that no rule allows; a rule that asks for one asks for the
    /// request. Of several rules of one effect the first counts.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        match self.judge(question) {
            Outcome::Granted { rule, role, asks } => match asks {
                None => Decision::Allow(Allowed {
                    rule: Arc::clone(&self.rules[rule].name),
                    role: Arc::clone(role),
                }),
                Some(asking) => Decision::Ask(Asked {
                    rule: Arc::clone(&self.rules[asking].name),
                    reason: Refusal::Asks { rule: asking }.text(self, question),
                    hold: self.settings.ask_hold,
                }),
            },
            Outcome::Refused(refusal) => Decision::Block(Blocked {
                rule: refusal
                    .rule()
                    .map(|rule| Arc::clone(&self.rules[rule].name)),
                reason: refusal.text(self, question),
            }),
            Outcome::Open => Decision::NeedsBody,
        }
    }

    pub(super) fn judge<'a>(&'a self, question: &Question<'a>) -> Outcome<'a> {
        match question.recognition {
            Recognition::Known(recognised) if !recognised.actions.is_empty() => {
                self.judge_actions(question, recognised)
            }
            _ => self.judge_unmapped(question),
        }
    }

    /// The role that signs such a request where the rule that allows it names none, and whether that is
    /// certain.
    pub(super) fn role_for(&self, question: &Question<'_>) -> (Option<&Arc<Role>>, Certainty) {
        let known = question.recognised();
        let is_final = is_final(question);
        for role in &self.roles {
            match role.facets.fits(question).and(|| role.fits(known)) {
                Verdict::Yes => return (Some(role), Certainty::Certain),
                Verdict::Maybe if !is_final => return (Some(role), Certainty::Open),
                Verdict::Maybe | Verdict::No => {}
            }
        }
        (None, Certainty::Certain)
    }

    fn judge_actions<'a>(
        &'a self,
        question: &Question<'a>,
        recognised: &'a Recognised,
    ) -> Outcome<'a> {
        let (role, certainty) = self.role_for(question);
        let mut tally = Tally::new(recognised.complete);
        tally.open = certainty == Certainty::Open;
        // What a bare name means depends on the role's account.
        let role = role.filter(|_| certainty == Certainty::Certain);
        for (place, action) in recognised.actions.iter().enumerate() {
            for resource in recognised.resources_of(action) {
                let pair = Pair {
                    rules: self,
                    question,
                    recognised,
                    role: role.map(|role| &**role),
                    action,
                    resource,
                };
                tally.add(&pair, place == 0);
            }
        }
        tally.outcome(self, role)
    }

    /// Decides what has no known actions.
    fn judge_unmapped<'a>(&'a self, question: &Question<'a>) -> Outcome<'a> {
        let hits = |effect| {
            let mut hits = Hits::default();
            for (index, rule) in self.rules.iter().enumerate() {
                if rule.effect == effect {
                    hits.note(index, rule.fits_unmapped(question));
                    if hits.yes.is_some() {
                        break;
                    }
                }
            }
            hits
        };
        if matches!(question.recognition, Recognition::Body) {
            let blocks = self.index.open_blocks().iter();
            if let Some(rule) = blocks
                .copied()
                .find(|rule| self.rules[*rule].facets.fits(question) == Verdict::Yes)
            {
                return Outcome::Refused(Refusal::Blocks { rule, what: None });
            }
            let may_be_granted = self.rules.iter().any(|rule| {
                rule.effect != Effect::Block && rule.facets.fits(question) != Verdict::No
            });
            return if may_be_granted {
                Outcome::Open
            } else {
                Outcome::Refused(Refusal::Nothing { what: None })
            };
        }
        if let Some(rule) = hits(Effect::Block).any() {
            return Outcome::Refused(Refusal::Blocks { rule, what: None });
        }
        if question
            .recognised()
            .is_some_and(|known| known.operation.returns_credentials())
        {
            return Outcome::Refused(Refusal::Unmapped);
        }
        let ask = hits(Effect::Ask);
        match (hits(Effect::Allow).yes, ask.yes) {
            (None, None) => Outcome::Refused(Refusal::Unmapped),
            (Some(rule), _) | (None, Some(rule)) => {
                match self.signer(&self.rules[rule], self.role_for(question).0) {
                    None => Outcome::Refused(Refusal::NoRole { rule }),
                    Some(role) => Outcome::Granted {
                        rule,
                        role,
                        asks: ask.any(),
                    },
                }
            }
        }
    }

    /// The role that signs what the rule allows.
    fn signer<'a>(&'a self, rule: &Rule, role: Option<&'a Arc<Role>>) -> Option<&'a Arc<Role>> {
        match &rule.role {
            None => role,
            Some(arn) => self.rule_roles.iter().find(|role| role.arn() == arn),
        }
    }
}

/// Whether the body can tell no more.
fn is_final(question: &Question<'_>) -> bool {
    match question.recognition {
        Recognition::Known(recognised) => recognised.complete,
        Recognition::Body => false,
        Recognition::Unknown => true,
    }
}

/// Whether the role is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    Certain,
    /// The body may name another.
    Open,
}

/// The decision before it is put into words.
#[derive(Debug)]
pub(super) enum Outcome<'a> {
    Granted {
        rule: usize,
        role: &'a Arc<Role>,
        asks: Option<usize>,
    },
    Refused(Refusal<'a>),
    /// The body decides.
    Open,
}

/// One action that a request needs, on one of its resources.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a, 'q> {
    pub(super) rules: &'a Rules,
    pub(super) question: &'q Question<'a>,
    pub(super) recognised: &'a Recognised,
    pub(super) role: Option<&'a Role>,
    pub(super) action: &'static Action,
    pub(super) resource: &'a Resource,
}

/// What the rules say of one pair.
#[derive(Clone, Copy, Debug)]
struct Found {
    block: Hits,
    ask: Hits,
    /// Allow and ask rules that may let it through.
    grant: Hits,
}

impl<'a> Pair<'a, '_> {
    /// What the pair is about; `None` where it is about no resource.
    pub(super) fn arn(&self) -> Option<ArnView<'a>> {
        let text = self.resource.arn();
        let is_none = text == "*" && self.resource.unknown().is_empty();
        (!is_none).then(|| ArnView::of(self.resource))
    }

    /// The other ARNs under which a rule of that effect may know the resource.
    fn spellings(&self, effect: Effect) -> impl Iterator<Item = ArnView<'a>> {
        self.resource
            .spellings()
            .iter()
            .filter(move |one| one.allows() || effect != Effect::Allow)
            .map(ArnView::spelled)
    }

    /// Whether one rule fits the pair, given the pattern that its resource has to fit.
    pub(super) fn fits(
        &self,
        rule: &Rule,
        arn: Option<ArnView<'_>>,
        pattern: Option<&ResourcePattern>,
    ) -> Verdict {
        rule.facets
            .fits(self.question)
            .and(|| match (pattern, arn) {
                (None, _) => Verdict::Yes,
                (Some(_), None) => Verdict::No,
                (Some(pattern), Some(arn)) => {
                    let account = match &rule.role {
                        Some(role) => Some(role.account()),
                        None => self.role.map(|role| role.arn().account()),
                    };
                    pattern.fits(&arn.within(account, Some(&self.recognised.region)))
                }
            })
    }

    /// Whether one rule, which names the action, fits the pair.
    pub(super) fn fits_any(&self, rule: &Rule) -> Verdict {
        let arn = self.arn();
        match &rule.resources {
            None => self.fits(rule, arn, None),
            Some(patterns) => [arn]
                .into_iter()
                .chain(self.spellings(rule.effect).map(Some))
                .flat_map(|arn| patterns.iter().map(move |pattern| (arn, pattern)))
                .map(|(arn, pattern)| self.fits(rule, arn, Some(pattern)))
                .max()
                .unwrap_or(Verdict::No),
        }
    }

    fn find(&self) -> Found {
        let arn = self.arn();
        let all = &self.rules.rules;
        let set = self.rules.index.set(all, self.action);
        let scan_one = |lane: &Lane, arn: Option<ArnView<'_>>, only_literal: bool| {
            lane.scan(all, arn.as_ref(), |index, pattern| {
                let rule = &all[index];
                if only_literal && !rule.names_literally(self.action) {
                    return Verdict::No;
                }
                self.fits(rule, arn, pattern)
            })
        };
        let scan = |effect: Effect, seen_as: Effect, only_literal: bool| {
            let lane = set.lane(effect);
            self.spellings(seen_as)
                .map(|arn| scan_one(lane, Some(arn), only_literal))
                .fold(scan_one(lane, arn, only_literal), Hits::with)
        };
        let hands_out = self.recognised.operation.returns_credentials();
        Found {
            block: scan(Effect::Block, Effect::Block, false),
            ask: scan(Effect::Ask, Effect::Ask, false),
            grant: scan(Effect::Allow, Effect::Allow, hands_out).with(scan(
                Effect::Ask,
                Effect::Allow,
                hands_out,
            )),
        }
    }
}

/// What the rules say of all pairs so far.
struct Tally<'a> {
    complete: bool,
    /// Something of it depends on the body.
    open: bool,
    /// The first blocking rule, and what it blocks.
    blocked: Option<(usize, (&'static Action, &'a Resource))>,
    /// The first pair that no rule allows.
    missing: Option<(&'static Action, &'a Resource)>,
    asks: Option<usize>,
    grants: Option<Grants<'a>>,
}

#[derive(Clone, Copy)]
struct Grants<'a> {
    first: usize,
    /// A rule whose role is another one than the first's.
    conflict: Option<usize>,
    role: Option<&'a Arc<Role>>,
}

impl<'a> Tally<'a> {
    const fn new(complete: bool) -> Self {
        Self {
            complete,
            open: false,
            blocked: None,
            missing: None,
            asks: None,
            grants: None,
        }
    }

    /// `is_main`: the operation's main action, which it needs whatever its body says.
    fn add(&mut self, pair: &Pair<'a, '_>, is_main: bool) {
        let found = pair.find();
        let what = (pair.action, pair.resource);
        let certain = self.complete || is_main;
        let blocking = if self.complete {
            found.block.any()
        } else {
            self.open |= found.block.maybe.is_some() || (found.block.yes.is_some() && !certain);
            found.block.yes.filter(|_| certain)
        };
        if let Some(rule) = blocking
            && self.blocked.is_none_or(|(earlier, _)| rule < earlier)
        {
            self.blocked = Some((rule, what));
        }
        let asking = if self.complete {
            found.ask.any()
        } else {
            self.open |= found.ask.maybe.is_some() || (found.ask.yes.is_some() && !certain);
            found.ask.yes
        };
        if let Some(rule) = asking {
            self.asks = Some(self.asks.map_or(rule, |earlier| earlier.min(rule)));
        }
        match found.grant.yes {
            Some(rule) => self.grant(pair, rule),
            None if certain && (self.complete || found.grant.maybe.is_none()) => {
                self.missing = self.missing.or(Some(what));
            }
            None => self.open = true,
        }
    }

    fn grant(&mut self, pair: &Pair<'a, '_>, rule: usize) {
        let rules = pair.rules;
        let own = rules.rules[rule].role.as_ref();
        let role = own.and_then(|arn| rules.rule_roles.iter().find(|role| role.arn() == arn));
        match &mut self.grants {
            None => {
                self.grants = Some(Grants {
                    first: rule,
                    conflict: None,
                    role,
                });
            }
            Some(grants) => {
                let same = grants.role.map(|role| role.arn()) == role.map(|role| role.arn());
                if !same && grants.conflict.is_none() {
                    grants.conflict = Some(rule);
                }
            }
        }
    }

    fn outcome(self, rules: &'a Rules, role: Option<&'a Arc<Role>>) -> Outcome<'a> {
        if let Some((rule, what)) = self.blocked {
            return Outcome::Refused(Refusal::Blocks {
                rule,
                what: Some(what),
            });
        }
        if let Some(what) = self.missing {
            return Outcome::Refused(Refusal::Nothing { what: Some(what) });
        }
        if self.open {
            return Outcome::Open;
        }
        let Some(grants) = self.grants else {
            return Outcome::Refused(Refusal::Nothing { what: None });
        };
        if let Some(other) = grants.conflict {
            return Outcome::Refused(Refusal::TwoRoles {
                rule: grants.first,
                other,
            });
        }
        match rules.signer(&rules.rules[grants.first], role) {
            None => Outcome::Refused(Refusal::NoRole { rule: grants.first }),
            Some(role) => Outcome::Granted {
                rule: grants.first,
                role,
                asks: self.asks,
            },
        }
    }
}
