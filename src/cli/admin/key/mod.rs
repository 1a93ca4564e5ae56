//! `idp admin key`.

mod private;

use clap::Subcommand;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Api, api, text};
use crate::cli::{context::Context, failure::Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the issuer's keys that are not retired, and what becomes of them when
    #[command(after_help = "Example:\n  idp admin key list")]
    List,
    /// Let the pending key sign before its time
    #[command(after_help = "Example:\n  idp admin key rotate\n  idp admin key rotate --emergency")]
    Rotate {
        /// Now, rather than as soon as it has been published for long enough
        #[arg(long)]
        emergency: bool,
        /// Even where verifiers cannot know the pending key yet
        #[arg(long, requires = "emergency")]
        force: bool,
    },
    /// Withdraw a key at once, because somebody else may have it
    #[command(
        after_help = "Example:\n  idp admin key compromise vdr0Jvw5RFFUlf9Se1Go-X5gzX9Sy6N_ze03P9cLGe4"
    )]
    Compromise {
        /// The key's kid
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
    /// Write a private key to a file, under a passphrase (on the server)
    #[command(
        after_help = "Example:\n  idp admin key export KID --out key.jwe --passphrase-file passphrase --config idp.toml"
    )]
    Export(private::Export),
    /// Let a private key that was made elsewhere be the next to sign (on the server)
    #[command(after_help = "Example:\n  idp admin key import key.pem --config idp.toml")]
    Import(private::Import),
    /// Seal every private key under another key-encryption key (on the server)
    #[command(
        after_help = "Example:\n  idp admin key reseal --new-key-encryption-key-file new-key --config idp.toml"
    )]
    Reseal(private::Reseal),
}

pub(super) fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::List => api(context, async |api| list(&api).await),
        Command::Rotate { emergency, force } => {
            api(context, async |api| rotate(&api, emergency, force).await)
        }
        Command::Compromise { kid } => api(context, async |api| compromise(&api, &kid).await),
        Command::Export(args) => private::export_key(&args, context),
        Command::Import(args) => private::import_key(&args, context),
        Command::Reseal(args) => private::reseal(&args, context),
    }
}

async fn list(api: &Api<'_>) -> Outcome {
    let answer = api.call(Method::GET, "/keys", None).await?;
    let mut rows = answer["items"].as_array().cloned().unwrap_or_default();
    let printer = &api.context.printer;
    if !printer.json {
        for row in &mut rows {
            let age = age(row["age_seconds"].as_u64().unwrap_or(0));
            let when = text(row, "next_at");
            row["age"] = age.into();
            row["next"] = text(row, "next_state").into();
            row["when"] = when.into();
        }
    }
    let columns = ["kid", "algorithm", "state", "age", "next", "when"];
    api.table(&columns, &rows)?;
    let mut waits: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["waits_for"].as_str())
        .collect();
    waits.dedup();
    for waits in waits {
        printer.warn(waits);
    }
    for kid in answer["refused_kids"].as_array().into_iter().flatten() {
        let kid = kid.as_str().unwrap_or_default();
        printer.warn(&format!(
            "key {kid} is in the database and not published: nobody with the key-encryption key wrote \
             it as it is; find out who writes to the database, then run: idp admin key compromise {kid}"
        ));
    }
    let behind = answer["clock_behind_seconds"].as_u64().unwrap_or(0);
    if behind > 0 {
        printer.warn(&format!(
            "the server's clock is {behind} s behind a time that was seen before; correct it, or keys \
             rotate late"
        ));
    }
    Ok(())
}

/// The two largest units.
fn age(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

fn warn_all(api: &Api<'_>, answer: &Value) {
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        api.context
            .printer
            .warn(warning.as_str().unwrap_or_default());
    }
}

async fn rotate(api: &Api<'_>, emergency: bool, force: bool) -> Outcome {
    let body = json!({ "emergency": emergency, "force": force });
    let answer = api.call(Method::POST, "/keys/rotate", Some(body)).await?;
    warn_all(api, &answer);
    let (active, pending) = (text(&answer, "active_kid"), text(&answer, "pending_kid"));
    let printer = &api.context.printer;
    if printer.json {
        return printer.line(&answer.to_string());
    }
    if pending.is_empty() {
        printer.line(&format!("key {active} signs now"))
    } else if answer["rotated"] == true {
        printer.line(&format!("key {active} signs now; {pending} is next"))
    } else if answer["due_at"].is_null() {
        printer.line(&format!(
            "key {active} signs until {pending} was seen at the issuer's public address"
        ))
    } else {
        let due = text(&answer, "due_at");
        printer.line(&format!("key {active} signs until {due}, then {pending}"))
    }
}

async fn compromise(api: &Api<'_>, kid: &str) -> Outcome {
    let kid = utf8_percent_encode(kid, NON_ALPHANUMERIC);
    let path = format!("/keys/{kid}/compromise");
    let answer = api.call(Method::POST, &path, None).await?;
    warn_all(api, &answer);
    let printer = &api.context.printer;
    if printer.json {
        return printer.line(&answer.to_string());
    }
    let (kid, active) = (text(&answer, "kid"), text(&answer, "active_kid"));
    printer.line(&format!("key {kid} is withdrawn; key {active} signs"))?;
    let forgotten = text(&answer, "forgotten_at");
    printer.line(&format!(
        "verifiers forget it by {forgotten}, when their JWKS are too old to use"
    ))?;
    let stranded = text(&answer, "stranded_tokens");
    if stranded == "0" {
        return printer.line("no token that it signed is outstanding");
    }
    let latest = text(&answer, "latest_exp");
    printer.line(&format!(
        "{stranded} tokens that it signed are of no use any more; the last expires at {latest}"
    ))?;
    let rows = answer["organizations"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    api.table(&["organization_id", "tokens", "latest_exp"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        for (seconds, shown) in [(59, "0m"), (3_600, "1h 0m"), (90_061, "1d 1h")] {
            assert_eq!(age(seconds), shown);
        }
    }
}
