//! Taking objects apart, with the place of everything that is wrong.

use crate::iam::{
    error::Problem,
    json::{Kind, Member, Node},
};

/// Where an element stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Its JSON path; empty for the document itself.
    pub(super) path: String,
    /// Its first byte.
    pub(super) at: usize,
}

impl Place {
    pub(super) fn document(node: &Node) -> Self {
        Self {
            path: String::new(),
            at: node.at,
        }
    }

    pub(super) fn member(&self, name: &str, at: usize) -> Self {
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        };
        Self { path, at }
    }

    pub(super) fn item(&self, index: usize, at: usize) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            at,
        }
    }

    pub(super) fn wrong(&self, problem: impl Into<String>, cure: impl Into<String>) -> Problem {
        let path = if self.path.is_empty() {
            "the policy"
        } else {
            &self.path
        };
        Problem::element(self.at, path, problem, cure)
    }
}

/// The members of an object that are still to be read.
pub(super) struct Members {
    pub(super) place: Place,
    left: Vec<Member>,
}

impl Members {
    /// The members of an object in which none is there twice.
    pub(super) fn of(place: Place, node: Node) -> Result<Self, Problem> {
        let Kind::Object(left) = node.kind else {
            return Err(place
                .wrong(
                    format!("it is {}, not an object", node.kind_name()),
                    "write {\"name\": value, …}",
                )
                .aws("Syntax errors in policy."));
        };
        for (index, member) in left.iter().enumerate() {
            if left[..index]
                .iter()
                .any(|earlier| earlier.name == member.name)
            {
                return Err(place.member(&member.name, member.at).wrong(
                    "it is there twice, and only one would count",
                    "merge the two into one",
                ));
            }
        }
        Ok(Self { place, left })
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<(Place, Node)> {
        let index = self.left.iter().position(|member| member.name == name)?;
        let member = self.left.remove(index);
        Some((self.place.member(name, member.at), member.value))
    }

    /// Where a member would stand that is missing.
    pub(super) fn missing(&self, name: &str) -> Place {
        self.place.member(name, self.place.at)
    }

    /// Takes out a member that has to be a string.
    pub(super) fn take_string(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.take(name) {
            None => Ok(None),
            Some((place, node)) => match node.kind {
                Kind::String(text) => Ok(Some(text)),
                _ => Err(place
                    .wrong(format!("it is {}", node.kind_name()), "write a string")
                    .aws("Syntax errors in policy.")),
            },
        }
    }

    /// Exactly one of two members; `true` where it is the second.
    pub(super) fn take_one_of(
        &mut self,
        plain: &str,
        negated: &str,
        aws: &'static str,
    ) -> Result<(Place, Node, bool), Problem> {
        match (self.take(plain), self.take(negated)) {
            (Some((place, node)), None) => Ok((place, node, false)),
            (None, Some((place, node))) => Ok((place, node, true)),
            (None, None) => Err(self
                .missing(plain)
                .wrong("it is missing", format!("write {plain} or {negated}"))
                .aws(aws)),
            (Some(_), Some((place, _))) => Err(place
                .wrong(format!("{plain} is there too"), "keep one of the two")
                .aws("Syntax errors in policy.")),
        }
    }

    /// What is left, in order.
    pub(super) fn rest(self) -> impl Iterator<Item = (Place, String, Node)> {
        let place = self.place;
        self.left.into_iter().map(move |member| {
            (
                place.member(&member.name, member.at),
                member.name,
                member.value,
            )
        })
    }

    /// Refuses what is left; `known`: the names that there can be.
    pub(super) fn nothing_left(&self, cure: &str, known: &[&str]) -> Result<(), Problem> {
        let Some(member) = self.left.first() else {
            return Ok(());
        };
        let near = known
            .iter()
            .find(|name| crate::iam::operator::distance(name, &member.name) <= 2);
        Err(self
            .place
            .member(&member.name, member.at)
            .wrong(
                "there is no such element",
                near.map_or_else(|| cure.to_owned(), |name| format!("write {name}")),
            )
            .aws("Syntax errors in policy."))
    }
}

/// A string or a non-empty list of them, each with its place.
pub(super) fn strings(place: &Place, node: Node) -> Result<Vec<(Place, String)>, Problem> {
    let wrong = |place: &Place, problem: String| {
        place
            .wrong(problem, "write a string or a list of strings")
            .aws("Syntax errors in policy.")
    };
    match node.kind {
        Kind::String(text) => Ok(vec![(place.clone(), text)]),
        Kind::Array(items) if items.is_empty() => Err(wrong(place, "the list is empty".to_owned())),
        Kind::Array(items) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| {
                let at = place.item(index, item.at);
                match item.kind {
                    Kind::String(text) => Ok((at, text)),
                    _ => Err(wrong(&at, format!("the list holds {}", item.kind_name()))),
                }
            })
            .collect(),
        _ => Err(wrong(place, format!("it is {}", node.kind_name()))),
    }
}

/// A node for a message: a string in quotes, of others their kind.
pub(super) fn show(node: &Node) -> String {
    match &node.kind {
        Kind::String(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
        _ => node.kind_name().to_owned(),
    }
}
