//! The tables of `docs/ARCHITECTURE.md`, which are the rule that the code is held to.

use std::collections::{BTreeMap, BTreeSet};

/// What the document allows.
#[derive(Debug)]
pub(crate) struct Tables {
    /// For every room, the rooms it may import.
    pub(crate) rooms: BTreeMap<String, BTreeSet<String>>,
    /// For every crate that not everyone may use, the rooms that may. A name that ends in `*` stands
    /// for all crates that begin so.
    pub(crate) crates: Vec<(String, BTreeSet<String>)>,
}

impl Tables {
    /// Reads the table whose head is `| room | holds | may import |` and the one whose head is
    /// `| crate | only in |`. Names stand in backticks; `nothing`, `all` and `all but` stand without.
    pub(crate) fn parse(document: &str) -> Result<Self, String> {
        let rows = rows(document, &["room", "holds", "may import"])?;
        let all: BTreeSet<String> = rows
            .iter()
            .map(|row| one_name(&row[0]))
            .collect::<Result<_, _>>()?;
        let mut rooms = BTreeMap::new();
        for row in &rows {
            let room = one_name(&row[0])?;
            let mut allowed = rooms_in(&row[2], &all)?;
            allowed.remove(&room);
            if rooms.insert(room, allowed).is_some() {
                return Err(format!("{} has two rows", row[0]));
            }
        }
        let crates = self::rows(document, &["crate", "only in"])?
            .iter()
            .map(|row| {
                let allowed = rooms_in(&row[1], &all)?;
                Ok(names(&row[0])?
                    .into_iter()
                    .map(move |name| (name, allowed.clone())))
            })
            .collect::<Result<Vec<_>, String>>()?
            .into_iter()
            .flatten()
            .collect();
        Ok(Self { rooms, crates })
    }
}

/// The rows below the head, as trimmed cells.
fn rows(document: &str, head: &[&str]) -> Result<Vec<Vec<String>>, String> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(
            inner
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect(),
        )
    };
    let rows: Vec<Vec<String>> = document
        .lines()
        .skip_while(|line| cells(line).as_deref().is_none_or(|found| found != head))
        .skip(2)
        .map_while(cells)
        .collect();
    if rows.is_empty() {
        return Err(format!("no table with the head {head:?}"));
    }
    match rows.iter().find(|row| row.len() != head.len()) {
        Some(row) => Err(format!(
            "a row of {head:?} has {} cells: {row:?}",
            row.len()
        )),
        None => Ok(rows),
    }
}

/// The rooms that a cell names.
fn rooms_in(cell: &str, all: &BTreeSet<String>) -> Result<BTreeSet<String>, String> {
    let known = |cell: &str| -> Result<BTreeSet<String>, String> {
        let named: BTreeSet<String> = names(cell)?.into_iter().collect();
        match named.iter().find(|name| !all.contains(*name)) {
            Some(name) => Err(format!("{cell:?} names {name}, which has no row")),
            None => Ok(named),
        }
    };
    match cell {
        "nothing" => Ok(BTreeSet::new()),
        "all" => Ok(all.clone()),
        _ => match cell.strip_prefix("all but ") {
            Some(rest) => Ok(all.difference(&known(rest)?).cloned().collect()),
            None => known(cell),
        },
    }
}

/// The names of a cell that holds nothing but names in backticks, with commas between.
fn names(cell: &str) -> Result<Vec<String>, String> {
    cell.split(',')
        .map(|name| {
            name.trim()
                .strip_prefix('`')
                .and_then(|name| name.strip_suffix('`'))
                .filter(|name| !name.is_empty() && !name.contains('`'))
                .map(str::to_owned)
                .ok_or_else(|| format!("{cell:?} is not a list of names in backticks"))
        })
        .collect()
}

fn one_name(cell: &str) -> Result<String, String> {
    match names(cell)?.as_slice() {
        [name] => Ok(name.clone()),
        _ => Err(format!("{cell:?} is not one name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "
Text.

| room | holds | may import |
|---|---|---|
| `a` | things | nothing |
| `b` | other things | `a` |
| `c` | more | all but `d` |
| `d` | the rest | all |

| crate | only in |
|---|---|
| `x`, `y_*` | `b`, `c` |
";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn the_document_is_the_rule() {
        let tables = Tables::parse(DOCUMENT).unwrap();
        assert_eq!(tables.rooms["a"], set(&[]));
        assert_eq!(tables.rooms["b"], set(&["a"]));
        assert_eq!(tables.rooms["c"], set(&["a", "b"]));
        assert_eq!(tables.rooms["d"], set(&["a", "b", "c"]));
        assert_eq!(
            tables.crates,
            [
                ("x".to_owned(), set(&["b", "c"])),
                ("y_*".to_owned(), set(&["b", "c"]))
            ]
        );
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for (from, to) in [
            ("| room | holds", "| rooms | holds"),
            ("`b` | other things | `a`", "`b` | other things | a"),
            ("`b` | other things | `a`", "`b` | other things | `z`"),
            (
                "`b` | other things | `a`",
                "`b` | other things | `a`, perhaps",
            ),
            ("| `b` | other things |", "| `a` | other things |"),
            ("| `a` | things | nothing |", "| `a` | things |"),
            ("| crate | only in |", "| library | only in |"),
        ] {
            let changed = DOCUMENT.replace(from, to);
            assert_ne!(changed, DOCUMENT);
            Tables::parse(&changed).unwrap_err();
        }
    }
}
