//! `idp admin database`.

use std::path::PathBuf;

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        input, runtime,
    },
    domain::DatabaseUrl,
    store::{CopyError, CopyProgress, copy_database, reopen_database},
};

#[derive(Debug, Subcommand)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) enum Command {
    /// Move an installation from SQLite to an empty PostgreSQL database
    ///
    /// Stop the server first: a database in use is refused. The copy is one transaction, kept only once
    /// every row was compared and every audit chain hashed again; an interrupted one leaves nothing. From
    /// then on the source refuses to be served, and names the new address. The key-encryption key is in a
    /// file of its own and has to be kept: name it in keys.encryption_key_file.
    #[command(
        after_help = "Example:\n  PGPASSWORD=… idp admin database copy --from sqlite:/var/lib/idp/idp.db \\\n      --to 'postgres://idp@db.example.com/idp?sslmode=verify-full'"
    )]
    Copy(CopyArgs),
    /// Let an installation be served again that was copied elsewhere
    ///
    /// Give the copy up first: two servers with the same keys and histories of their own would answer for
    /// one issuer. What the copy has recorded since is not brought back.
    #[command(
        after_help = "Example:\n  idp admin database reopen --from sqlite:/var/lib/idp/idp.db"
    )]
    Reopen(ReopenArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ReopenArgs {
    /// The database that was copied: `sqlite:PATH`
    #[arg(long, value_name = "URL")]
    from: DatabaseUrl,
}

#[derive(Debug, clap::Args)]
pub(super) struct CopyArgs {
    /// The database to copy: `sqlite:PATH`
    #[arg(long, value_name = "URL")]
    from: DatabaseUrl,
    /// The empty database to fill: `postgres://USER@HOST/DATABASE`, without a password
    #[arg(long, value_name = "URL", required_unless_present = "to_file")]
    to: Option<DatabaseUrl>,
    /// A file with the address of the database to fill, which may hold a password
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    to_file: Option<PathBuf>,
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Outcome {
        match self {
            Self::Copy(args) => args.run(context),
            Self::Reopen(args) => args.run(context),
        }
    }
}

impl ReopenArgs {
    fn run(&self, context: &Context) -> Outcome {
        let reopened = runtime::block_on(reopen_database(&self.from))?;
        let moved = reopened.map_err(explain)?.moved;
        let printer = context.printer;
        match &moved {
            None => printer.note(&format!(
                "{} was not moved; it can be served as before",
                self.from
            )),
            Some((to, at)) => printer.note(&format!(
                "{} can be served again; it was moved to {to} on {at}: see to it that nobody serves from \
                 there",
                self.from
            )),
        }
        if printer.json {
            let json = json!({
                "moved_to": moved.as_ref().map(|(to, _)| to),
                "moved_at": moved.as_ref().map(|(_, at)| at.to_string()),
            });
            return printer.line(&json.to_string());
        }
        Ok(())
    }
}

impl CopyArgs {
    fn run(&self, context: &Context) -> Outcome {
        let to = self.target()?;
        let mut shown = Shown::new(context);
        let copied = runtime::block_on(copy_database(
            &self.from,
            &to,
            &*context.clock,
            &mut |progress| shown.show(&progress),
        ))?;
        shown.bar.finish_and_clear();
        let copied = copied.map_err(explain)?;
        let rows: u64 = copied.tables.values().sum();
        context.printer.note(&format!(
            "copied {rows} rows to {to}, compared each, and verified {} audit chains; now set database.url \
             and keys.encryption_key_file, and start the server. {} is not served any more",
            copied.chains, self.from
        ));
        if context.printer.json {
            let json = json!({ "tables": copied.tables, "audit_chains": copied.chains });
            return context.printer.line(&json.to_string());
        }
        for (table, rows) in &copied.tables {
            context.printer.line(&format!("{table}: {rows}"))?;
        }
        Ok(())
    }

    fn target(&self) -> Outcome<DatabaseUrl> {
        if let Some(file) = &self.to_file {
            let text = input::read(file, "target's address")?;
            return text.trim().parse().map_err(|error| {
                Failure::usage(format!("the content of {} {error}", file.display()))
            });
        }
        match &self.to {
            Some(to) if to.has_password() => Err(Failure::usage(
                "--to holds a password, which everybody on this machine can read in the list of \
                 processes",
            )
            .help("set PGPASSWORD, use ~/.pgpass, or write the address into a file for --to-file")),
            Some(to) => Ok(to.clone()),
            None => Err(Failure::usage("name the target with --to or --to-file")),
        }
    }
}

fn explain(error: CopyError) -> Failure {
    let code = match error {
        CopyError::Direction(_) => ExitCode::Usage,
        CopyError::Target(_) => ExitCode::Unreachable,
        _ => ExitCode::Other,
    };
    Failure::new(code, error)
}

/// Progress on standard error: a bar on a terminal, elsewhere a line a table.
struct Shown<'a> {
    context: &'a Context,
    bar: ProgressBar,
    /// What is being shown; `None` before the first report.
    current: Option<String>,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context) -> Self {
        let bar = if context.printer.quiet {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(0)
        };
        if let Ok(style) = ProgressStyle::with_template("{msg:20} {bar:30} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        Self {
            context,
            bar,
            current: None,
        }
    }

    fn show(&mut self, progress: &CopyProgress) {
        let name = progress.table.as_deref().unwrap_or("audit chains");
        if self.current.as_deref() != Some(name) {
            if self.bar.is_hidden() {
                let what = format!("{name}: {} rows", progress.total);
                self.context.printer.note(&what);
            }
            self.bar.reset();
            self.bar.set_message(name.to_owned());
            self.bar.set_length(progress.total);
            self.current = Some(name.to_owned());
        }
        self.bar.set_position(progress.done);
    }
}
