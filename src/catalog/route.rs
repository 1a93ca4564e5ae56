//! Paths of REST operations: a literal segment before a label, a label before a greedy one.

use std::collections::HashMap;

/// The paths of a service, for each method.
#[derive(Default)]
pub(super) struct Routes {
    methods: HashMap<&'static str, Node>,
}

#[derive(Default)]
struct Node {
    literals: HashMap<&'static str, Node>,
    label: Option<Box<Node>>,
    greedy: Option<Box<Node>>,
    operations: Vec<usize>,
}

/// For each label of a path the first segment that it took, and the one behind its last.
pub(super) type Captures = Vec<(usize, usize)>;

impl Routes {
    /// Adds an operation at a path such as `/{Bucket}/{Key+}`.
    pub(super) fn insert(&mut self, method: &'static str, path: &'static str, operation: usize) {
        let mut node = self.methods.entry(method).or_default();
        for segment in path.split('/').skip(1) {
            let label = segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            node = match label {
                None => node.literals.entry(segment).or_default(),
                Some(name) if name.ends_with('+') => node.greedy.get_or_insert_default(),
                Some(_) => node.label.get_or_insert_default(),
            };
        }
        node.operations.push(operation);
    }

    /// Tries the operations whose path fits, those of the most literal path first, until `accept` takes one.
    pub(super) fn find(
        &self,
        method: &str,
        segments: &[&str],
        mut accept: impl FnMut(&[usize], &Captures) -> bool,
    ) {
        if let Some(root) = self.methods.get(method) {
            let mut captures = Captures::with_capacity(4);
            root.walk(segments, 0, &mut captures, &mut accept);
        }
    }
}

impl Node {
    fn walk(
        &self,
        segments: &[&str],
        at: usize,
        captures: &mut Captures,
        accept: &mut dyn FnMut(&[usize], &Captures) -> bool,
    ) -> bool {
        let Some(segment) = segments.get(at) else {
            return !self.operations.is_empty() && accept(&self.operations, captures);
        };
        if let Some(next) = self.literals.get(segment)
            && next.walk(segments, at + 1, captures, accept)
        {
            return true;
        }
        if let Some(next) = &self.label
            && !segment.is_empty()
        {
            captures.push((at, at + 1));
            if next.walk(segments, at + 1, captures, accept) {
                return true;
            }
            captures.pop();
        }
        if let Some(next) = &self.greedy {
            // What follows a greedy label in a path is more literal than more of the label.
            for end in at + 1..=segments.len() {
                captures.push((at, end));
                if next.walk(segments, end, captures, accept) {
                    return true;
                }
                captures.pop();
            }
        }
        false
    }
}
