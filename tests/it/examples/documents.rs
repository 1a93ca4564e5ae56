//! `docs/OPERATIONS.md` says what the code does.

use idp::config::{SETTINGS, variable};

use super::{observation::alerts, text};

/// The rows of the table below that head, as trimmed cells.
fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let rows = page
        .lines()
        .skip_while(|line| *line != head)
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let inner = line.trim_matches('|');
        inner
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    })
    .collect()
}

#[test]
fn the_page_lists_every_setting_as_it_is() {
    let page = text("docs/OPERATIONS.md");
    let rows = table(&page, "| setting | variable | default | meaning |");
    let listed: Vec<_> = rows
        .iter()
        .map(|row| (row[0].clone(), row[1].clone(), row[2].clone()))
        .collect();
    let expected: Vec<_> = SETTINGS
        .iter()
        .map(|setting| {
            let default = match setting.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            (
                format!("`{}`", setting.name),
                format!("`{}`", variable(setting.name)),
                default,
            )
        })
        .collect();
    assert_eq!(listed, expected);
    assert!(rows.iter().all(|row| row[3].len() > 10));
}

#[test]
fn the_page_says_what_to_do_about_every_alert() {
    let page = text("docs/OPERATIONS.md");
    let answers = table(&page, "| alert | means | do |");
    let answered: Vec<_> = answers.iter().map(|row| row[0].clone()).collect();
    let Some(alerts) = alerts() else { return };
    let alerts: Vec<_> = alerts
        .into_iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    assert_eq!(answered, alerts);
}
