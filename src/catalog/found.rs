//! The resources of a request, gathered.

use std::collections::{HashMap, hash_map::Entry};

use super::{Resource, body::Malformed, kind::anything, resource::ResourceActions};

/// The resources of a request, each once.
#[derive(Default)]
pub(super) struct Found {
    list: Vec<Resource>,
    by_arn: HashMap<String, Vec<usize>>,
}

impl Found {
    /// The most resources of a request that are judged: `DeleteObjects` takes as many keys.
    const MOST: usize = 1_000;
    /// The longest ARN, in bytes: twice a key of Amazon S3, the longest name that there is.
    const LONGEST: usize = 2_048;

    pub(super) fn add(&mut self, resource: Resource) -> Result<(), Malformed> {
        if resource.arn.len() > Self::LONGEST {
            return Err(Malformed(format!(
                "it names something in more than {} bytes, which no ARN has",
                Self::LONGEST
            )));
        }
        match self.by_arn.entry(resource.arn.clone()) {
            Entry::Occupied(mut same) => {
                if same.get().iter().any(|at| self.list[*at] == resource) {
                    return Ok(());
                }
                same.get_mut().push(self.list.len());
            }
            Entry::Vacant(free) => {
                free.insert(vec![self.list.len()]);
            }
        }
        if self.list.len() == Self::MOST {
            return Err(Malformed(format!(
                "it names more than {} resources, too many to judge; send smaller requests",
                Self::MOST
            )));
        }
        self.list.push(resource);
        Ok(())
    }

    /// All of them; where there are none, something of which nothing is known.
    pub(super) fn list(mut self) -> Vec<Resource> {
        if self.list.is_empty() {
            self.list.push(anything(ResourceActions::All));
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::{super::kind::Maker, *};

    fn named(arn: &str) -> Resource {
        let mut made = Maker::new(ResourceActions::All);
        made.text(arn);
        made.done()
    }

    #[test]
    fn each_is_judged_once_and_not_too_many_are() {
        let mut found = Found::default();
        for at in 0..Found::MOST {
            found.add(named(&at.to_string())).unwrap();
            found.add(named("0")).unwrap();
        }
        let Malformed(why) = found.add(named("one more")).unwrap_err();
        assert!(why.contains("more than 1000 resources"), "{why}");
        assert_eq!(found.list().len(), Found::MOST);
        let long = "x".repeat(Found::LONGEST + 1);
        assert!(Found::default().add(named(&long)).is_err());
        assert_eq!(Found::default().list()[0].arn(), "*");
    }
}
