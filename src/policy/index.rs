//! Finds the few rules that a request may fit, out of many.
//!
//! Rules are gathered by the action that they name, and within that by what the last field of their
//! resources begins with. It is worked out once for each action, when that is first asked for; actions
//! that the same rules name share it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::{
    resource::{ArnView, ResourcePattern},
    rule::{Effect, Rule},
    verdict::Verdict,
};
use crate::catalog::Action;

/// All rules, by action.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The rules that are about every action.
    open: Vec<usize>,
    /// The others, by the prefixes of the actions that they name.
    by_prefix: HashMap<Box<str>, Vec<usize>>,
    /// The rules that block whatever the actions and resources are.
    open_blocks: Vec<usize>,
    sets: RwLock<Sets>,
}

/// What was worked out so far.
#[derive(Debug, Default)]
struct Sets {
    by_action: HashMap<(&'static str, &'static str), Arc<RuleSet>>,
    by_members: HashMap<Vec<usize>, Arc<RuleSet>>,
}

/// The rules that are about one action.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleSet {
    allow: Lane,
    ask: Lane,
    block: Lane,
}

/// The rules of one effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Lane {
    /// Those that name no resources.
    anywhere: Vec<usize>,
    /// The others, by what their patterns begin with; in ascending order.
    prefixes: Vec<Prefix>,
}

/// The patterns that begin alike.
#[derive(Clone, Debug)]
struct Prefix {
    text: Box<str>,
    /// The longest of the other prefixes that this one begins with.
    parent: Option<usize>,
    /// Rule, and pattern within the rule.
    patterns: Vec<(usize, usize)>,
}

/// The first rules that fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hits {
    /// For sure.
    pub(super) yes: Option<usize>,
    /// Perhaps.
    pub(super) maybe: Option<usize>,
}

impl Hits {
    pub(super) fn note(&mut self, rule: usize, verdict: Verdict) {
        let place = match verdict {
            Verdict::No => return,
            Verdict::Maybe => &mut self.maybe,
            Verdict::Yes => &mut self.yes,
        };
        *place = Some(place.map_or(rule, |earlier| earlier.min(rule)));
    }

    /// The first that fits or may.
    pub(super) fn any(self) -> Option<usize> {
        match (self.yes, self.maybe) {
            (Some(yes), Some(maybe)) => Some(yes.min(maybe)),
            (yes, maybe) => yes.or(maybe),
        }
    }

    pub(super) fn with(self, other: Self) -> Self {
        let first = |a: Option<usize>, b: Option<usize>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            yes: first(self.yes, other.yes),
            maybe: first(self.maybe, other.maybe),
        }
    }
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            match &rule.actions {
                Some(actions) if !actions.are_everything() => {
                    for prefix in actions.iter().filter_map(|one| one.prefix.as_deref()) {
                        let list = index.by_prefix.entry(prefix.into()).or_default();
                        if list.last() != Some(&at) {
                            list.push(at);
                        }
                    }
                }
                _ => index.open.push(at),
            }
            if rule.effect == Effect::Block && rule.actions.is_none() && rule.resources.is_none() {
                index.open_blocks.push(at);
            }
        }
        index
    }

    /// The rules that are about the action.
    pub(super) fn set(&self, rules: &[Rule], action: &Action) -> Arc<RuleSet> {
        let key = (action.prefix(), action.name());
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sets.by_action.get(&key) {
            return Arc::clone(set);
        }
        drop(sets);
        let members = self.naming(rules, action);
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        let set = Arc::clone(
            sets.by_members
                .entry(members)
                .or_insert_with_key(|members| Arc::new(RuleSet::new(rules, members))),
        );
        sets.by_action.insert(key, Arc::clone(&set));
        set
    }

    /// The rules that are about the action, in their order.
    fn naming(&self, rules: &[Rule], action: &Action) -> Vec<usize> {
        let mut members = self.open.clone();
        let candidates = self.by_prefix.get(&*action.prefix().to_ascii_lowercase());
        members.extend(
            candidates
                .into_iter()
                .flatten()
                .filter(|rule| rules[**rule].names(action)),
        );
        members.sort_unstable();
        members
    }

    pub(super) fn open_blocks(&self) -> &[usize] {
        &self.open_blocks
    }
}

impl RuleSet {
    fn new(rules: &[Rule], members: &[usize]) -> Self {
        let lane = |effect| {
            let of_effect = members.iter().filter(|rule| rules[**rule].effect == effect);
            Lane::new(rules, of_effect.copied())
        };
        Self {
            allow: lane(Effect::Allow),
            ask: lane(Effect::Ask),
            block: lane(Effect::Block),
        }
    }

    pub(super) const fn lane(&self, effect: Effect) -> &Lane {
        match effect {
            Effect::Allow => &self.allow,
            Effect::Ask => &self.ask,
            Effect::Block => &self.block,
        }
    }
}

impl Lane {
    fn new(rules: &[Rule], members: impl Iterator<Item = usize>) -> Self {
        let mut anywhere = Vec::new();
        let mut patterns: Vec<(&str, usize, usize)> = Vec::new();
        for index in members {
            match &rules[index].resources {
                None => anywhere.push(index),
                Some(resources) => {
                    patterns.extend(resources.iter().enumerate().map(|(place, pattern)| {
                        (pattern.resource().literal_prefix(), index, place)
                    }));
                }
            }
        }
        patterns.sort_unstable();
        let mut prefixes: Vec<Prefix> = Vec::new();
        for (text, index, place) in patterns {
            match prefixes.last_mut() {
                Some(last) if *last.text == *text => last.patterns.push((index, place)),
                last => {
                    let mut parent = last.is_some().then(|| prefixes.len() - 1);
                    while let Some(at) = parent {
                        if text.starts_with(&*prefixes[at].text) {
                            break;
                        }
                        parent = prefixes[at].parent;
                    }
                    prefixes.push(Prefix {
                        text: text.into(),
                        parent,
                        patterns: vec![(index, place)],
                    });
                }
            }
        }
        Self { anywhere, prefixes }
    }

    /// Tries the rules that the resource may fit. `judge` says whether a rule fits; its second argument
    /// is the pattern that the resource has to fit, `None` where the rule names none. A resource of
    /// `None` fits only rules that name none.
    pub(super) fn scan(
        &self,
        rules: &[Rule],
        resource: Option<&ArnView<'_>>,
        mut judge: impl FnMut(usize, Option<&ResourcePattern>) -> Verdict,
    ) -> Hits {
        let mut hits = Hits::default();
        for rule in &self.anywhere {
            hits.note(*rule, judge(*rule, None));
            if hits.yes.is_some() {
                break;
            }
        }
        let Some(resource) = resource else {
            return hits;
        };
        if self.prefixes.is_empty() {
            return hits;
        }
        let known = resource.resource.find(['*', '?']);
        let text = &resource.resource[..known.unwrap_or(resource.resource.len())];
        let mut try_all = |prefix: &Prefix| {
            for (rule, place) in &prefix.patterns {
                let pattern = rules[*rule]
                    .resources
                    .as_ref()
                    .and_then(|all| all.get(*place));
                hits.note(*rule, judge(*rule, pattern));
            }
        };
        let behind = self
            .prefixes
            .partition_point(|prefix| *prefix.text <= *text);
        let mut at = behind.checked_sub(1);
        while let Some(prefix) = at.map(|at| &self.prefixes[at]) {
            if text.starts_with(&*prefix.text) {
                try_all(prefix);
            }
            at = prefix.parent;
        }
        if known.is_some() {
            self.prefixes[behind..]
                .iter()
                .take_while(|prefix| prefix.text.starts_with(text))
                .for_each(try_all);
        }
        hits
    }
}
