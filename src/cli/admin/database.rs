//! `idp admin database`.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        runtime,
    },
    domain::DatabaseUrl,
    store::{CopyError, CopyProgress, copy_database},
};

#[derive(Debug, Subcommand)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) enum Command {
    /// Move an installation from SQLite to an empty PostgreSQL database
    ///
    /// Stop the server first: what it records after the copy has begun is not in it. The copy is one
    /// transaction, kept only once all rows are counted and every audit chain is hashed again; an
    /// interrupted one leaves nothing. The key-encryption key is in a file of its own and has to be
    /// kept: name it in keys.encryption_key_file.
    #[command(
        after_help = "Example:\n  PGPASSWORD=… idp admin database copy --from sqlite:/var/lib/idp/idp.db \\\n      --to 'postgres://idp@db.example.com/idp?sslmode=verify-full'"
    )]
    Copy(CopyArgs),
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
        let Self::Copy(args) = self;
        let to = args.target()?;
        let mut shown = Shown::new(context);
        let copied = runtime::block_on(copy_database(
            &args.from,
            &to,
            &*context.clock,
            &mut |progress| shown.show(&progress),
        ))?;
        shown.bar.finish_and_clear();
        let copied = copied.map_err(explain)?;
        let rows: u64 = copied.tables.values().sum();
        context.printer.note(&format!(
            "copied {rows} rows to {to} and verified {} audit chains; now set database.url and \
             keys.encryption_key_file, and start the server",
            copied.chains
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
}

impl CopyArgs {
    fn target(&self) -> Outcome<DatabaseUrl> {
        if let Some(file) = &self.to_file {
            let text = fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))
                .map_err(|error| Failure::new(ExitCode::Usage, error))?;
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
