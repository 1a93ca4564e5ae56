//! A service's operations, read from its table.
//!
//! A table (`data/operations/ID.txt`) has a line for each action, kind of resource and operation. The
//! columns are tabs apart; `docs/CATALOG.md` says what they hold.

use std::collections::HashMap;

use super::{
    action::{AccessLevel, Action, Actions},
    fill::Spec,
    kind::Kind,
    route::Routes,
    service::{Access, BodyRule, Operation},
    services::Row,
    source::Source,
};

/// A service's operations, and the ways to find them.
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
    by_name: HashMap<&'static str, usize>,
    pub(super) routes: Routes,
}

/// An operation, and what only recognition asks of it.
pub(super) struct Entry {
    pub(super) operation: Operation,
    /// For each action what has to be in the request for it to be needed; nothing where it always is.
    pub(super) conditions: Box<[Box<[Source]>]>,
    /// What has to be in the request for it to be this operation.
    pub(super) needs: Box<[Need]>,
    /// Every query parameter that it knows, of a service where others could mean another operation.
    pub(super) queries: Box<[&'static str]>,
    pub(super) resources: Box<[Spec]>,
    /// What its clients put before the service's host; `{}` stands for what `host_label` has.
    pub(super) host_prefix: &'static str,
    pub(super) host_label: Option<Source>,
}

/// Something that tells operations apart that share a method and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A query parameter in the operation's own address, with a value where that matters.
    Literal(&'static str, Option<&'static str>),
    /// A query parameter that the operation cannot do without.
    Query(&'static str),
    /// A header.
    Header(&'static str),
}

impl Entry {
    /// The query parameters in the operation's own address.
    pub(super) fn literals(&self) -> impl Iterator<Item = &Need> {
        self.needs
            .iter()
            .filter(|need| matches!(need, Need::Literal(..)))
    }
}

impl Table {
    /// The operation of a name.
    pub(super) fn named(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|at| &self.entries[*at])
    }

    /// All of them.
    pub(super) fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.entries.iter().map(|entry| &entry.operation)
    }
}

/// Reads a table. It is part of the program, and a test reads all of them; a line that is not understood
/// is an operation that does not exist.
pub(super) fn read(text: &'static str, row: &Row) -> Table {
    let mut reader = Reader {
        prefix: row.service.prefix,
        actions: HashMap::new(),
        kinds: HashMap::new(),
    };
    let mut table = Table {
        entries: Vec::new(),
        by_name: HashMap::new(),
        routes: Routes::default(),
    };
    for line in text.lines() {
        let mut fields = line.split('\t');
        let mut field = || fields.next().unwrap_or_default();
        match field() {
            "a" => reader.action(field(), field()),
            "r" => {
                let (name, arn) = (field(), field());
                reader.kinds.insert(name, Kind::read(arn));
            }
            "o" => {
                let columns: [&'static str; 9] = std::array::from_fn(|_| field());
                let at = table.entries.len();
                let [name, _, method, path, ..] = columns;
                let labels = labels(path);
                table.entries.push(reader.entry(columns, &labels));
                table.by_name.insert(name, at);
                if !path.is_empty() {
                    table.routes.insert(method, path, at);
                }
            }
            _ => {}
        }
    }
    table
}

/// The names of a path's labels, in their order.
fn labels(path: &'static str) -> Vec<&'static str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|label| label.trim_end_matches('+'))
        .collect()
}

struct Reader {
    prefix: &'static str,
    actions: HashMap<&'static str, &'static Action>,
    kinds: HashMap<&'static str, &'static Kind>,
}

impl Reader {
    fn action(&mut self, level: &str, names: &'static str) {
        let access_level = match level {
            "list" => AccessLevel::List,
            "read" => AccessLevel::Read,
            "tagging" => AccessLevel::Tagging,
            "permissions" => AccessLevel::PermissionsManagement,
            _ => AccessLevel::Write,
        };
        for full in names.split(' ') {
            let (prefix, name) = full.split_once(':').unwrap_or((self.prefix, full));
            // One for the life of the process: a table is read once and kept.
            let action = Box::leak(Box::new(Action {
                prefix,
                name,
                access_level,
            }));
            self.actions.insert(full, action);
        }
    }

    fn entry(&self, columns: [&'static str; 9], labels: &[&'static str]) -> Entry {
        let [name, flags, _, _, needs, queries, actions, resources, host] = columns;
        let flag = |letter| flags.contains(letter);
        let source = |text| Source::read(text, labels);
        let mut found: Vec<&'static Action> = Vec::new();
        let mut conditions = Vec::new();
        let listed = if actions == "=" { name } else { actions };
        for one in listed.split(' ').filter(|one| !one.is_empty()) {
            let (action, condition) = one.split_once('?').unwrap_or((one, ""));
            let Some(action) = self.actions.get(action) else {
                continue;
            };
            found.push(action);
            conditions.push(words(condition, '|').filter_map(source).collect());
        }
        found.truncate(Actions::MOST);
        let actions: &'static [&'static Action] = Box::leak(found.into_boxed_slice());
        let mut specs: Vec<Spec> = words(resources, ' ')
            .filter_map(|one| Spec::read(one, &self.kinds, labels, actions))
            .collect();
        Spec::acquaint(&mut specs);
        let (host_prefix, host_label) = host.split_once(' ').unwrap_or((host, ""));
        Entry {
            operation: Operation {
                name,
                access: if flag('w') {
                    Access::Write
                } else {
                    Access::Read
                },
                returns_credentials: flag('c'),
                inferred: flag('i'),
                mapped: !actions.is_empty(),
                signed: !flag('n'),
                body: BodyRule {
                    unsigned_allowed: flag('u'),
                    event_stream_input: flag('e'),
                    streaming: flag('s'),
                    requires_length: flag('l'),
                },
                actions,
            },
            conditions: conditions.into(),
            needs: words(needs, ' ').map(Need::read).collect(),
            queries: words(queries, ' ').collect(),
            resources: specs.into(),
            host_prefix,
            host_label: source(host_label),
        }
    }
}

fn words(text: &'static str, separator: char) -> impl Iterator<Item = &'static str> {
    text.split(separator).filter(|word| !word.is_empty())
}

impl Need {
    fn read(text: &'static str) -> Self {
        match text.split_once(':') {
            Some(("h", name)) => Self::Header(name),
            Some(("q", name)) => Self::Query(name),
            _ => match text.split_once('=') {
                Some((name, value)) => Self::Literal(name, Some(value)),
                None => Self::Literal(text, None),
            },
        }
    }
}
