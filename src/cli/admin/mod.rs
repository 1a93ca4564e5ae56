//! `idp admin`: administration over the API, and the first administrator token.

mod audit;
mod database;
mod environment;
mod join_token;
mod key;
mod organization;
mod project;
mod token;

use std::sync::Arc;

use clap::Subcommand;
use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    runtime,
    settings::ConfigArgs,
};
use crate::{
    client::{
        admin::Admin,
        server::{Server, ServerError, ServerUrl},
    },
    domain::{ExposeSecret as _, SecretString},
    server::{bootstrap_admin, replace_admin},
};

/// Administer a server: needs `IDP_URL` and `IDP_ADMIN_TOKEN`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  export IDP_URL=https://idp.example.com IDP_ADMIN_TOKEN=\"$(cat admin-token)\"\n  \
                  idp admin org create acme"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the first administrator token, once
    #[command(
        after_help = "Example:\n  idp admin bootstrap --config idp.toml > admin-token\n\n\
                      Where it is lost:\n  idp admin bootstrap --replace --config idp.toml > admin-token"
    )]
    Bootstrap(BootstrapArgs),
    /// Organisations: the tenants
    #[command(
        subcommand,
        visible_alias = "organization",
        after_help = "Example:\n  idp admin org create acme"
    )]
    Org(organization::Command),
    /// Projects: groups of environments
    #[command(
        subcommand,
        after_help = "Example:\n  idp admin project list --org 0191e223-1c3c-7607-badf-303c98b52d2f"
    )]
    Project(project::Command),
    /// Environments: the identities that get tokens
    #[command(
        subcommand,
        visible_alias = "env",
        after_help = "Example:\n  idp admin environment list --org 0191e223-1c3c-7607-badf-303c98b52d2f"
    )]
    Environment(environment::Command),
    /// Join tokens: one-time invitations for an environment
    #[command(
        subcommand,
        after_help = "Example:\n  idp admin join-token create 019527e4-75d5-704d-a5a4-a2b52cf56196 > join-token"
    )]
    JoinToken(join_token::Command),
    /// Administrator tokens: who may administer what
    #[command(
        subcommand,
        after_help = "Example:\n  idp admin token create --name ci --expires-in 90d > admin-token"
    )]
    Token(token::Command),
    /// The database of an installation: works on it directly, not over the API
    #[command(
        subcommand,
        after_help = "Example:\n  idp admin database copy --from sqlite:/var/lib/idp/idp.db --to postgres://idp@db.example.com/idp"
    )]
    Database(database::Command),
    /// The issuer's keys
    #[command(subcommand, after_help = "Example:\n  idp admin key list")]
    Key(key::Command),
    /// The audit log: who did what
    #[command(subcommand, after_help = "Example:\n  idp admin audit tail --follow")]
    Audit(audit::Command),
}

#[derive(Debug, clap::Args)]
struct BootstrapArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where it was lost or stolen: make another one, and revoke all others that reach everything
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: Args, context: &Context) -> Outcome {
    match args.command {
        Command::Bootstrap(args) => bootstrap(&args, context),
        Command::Org(command) => api(context, async |api| command.run(&api).await),
        Command::Project(command) => api(context, async |api| command.run(&api).await),
        Command::Environment(command) => api(context, async |api| command.run(&api).await),
        Command::JoinToken(command) => api(context, async |api| command.run(&api).await),
        Command::Token(command) => api(context, async |api| command.run(&api).await),
        Command::Key(command) => key::run(command, context),
        Command::Audit(command) => audit::run(command, context),
        Command::Database(command) => command.run(context),
    }
}

fn bootstrap(args: &BootstrapArgs, context: &Context) -> Outcome {
    let settings = args.config.load(context)?;
    let clock = Arc::clone(&context.clock);
    let token = if args.replace {
        runtime::block_on(replace_admin(&settings, clock, &*context.random))??
    } else {
        runtime::block_on(bootstrap_admin(&settings, clock, &*context.random))??.ok_or_else(|| {
            Failure::new(
                ExitCode::Refused,
                anyhow::anyhow!("this installation has an administrator token already"),
            )
            .help(
                "it was printed once, by the first `idp admin bootstrap`, and only its hash is kept; \
                 where it is lost, `idp admin bootstrap --replace` makes another one and revokes it",
            )
        })?
    };
    context.printer.note(
        "an administrator token for everything; it is shown this once, keep it in a safe place",
    );
    if context.printer.json {
        let json = json!({ "admin_token": token.expose_secret() });
        return context.printer.line(&json.to_string());
    }
    context.printer.line(token.expose_secret())
}

/// The administration API, ready to call.
pub(super) struct Api<'a> {
    context: &'a Context,
    admin: Admin<'a>,
}

impl Api<'_> {
    pub(super) async fn call(
        &self,
        method: http::Method,
        path: &str,
        body: Option<Value>,
    ) -> Outcome<Value> {
        self.admin.call(method, path, body).await.map_err(explain)
    }

    async fn list(&self, path: &str) -> Outcome<Vec<Value>> {
        self.admin.list(path).await.map_err(explain)
    }

    /// Prints a thing that was made: its id alone, so that scripts can keep it, or all of it as JSON.
    fn made(&self, what: &str, thing: &Value) -> Outcome {
        self.context
            .printer
            .note(&format!("made {what} {}", text(thing, "id")));
        if self.context.printer.json {
            return self.context.printer.line(&thing.to_string());
        }
        self.context.printer.line(&text(thing, "id"))
    }

    /// Prints one thing, a member a line.
    fn show(&self, thing: &Value) -> Outcome {
        if self.context.printer.json {
            return self.context.printer.line(&thing.to_string());
        }
        for name in thing
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
        {
            let line = format!("{name}: {}", text(thing, name));
            self.context.printer.line(&line)?;
        }
        Ok(())
    }

    /// Prints a listing as a table of these members.
    fn table(&self, columns: &[&str], rows: &[Value]) -> Outcome {
        if self.context.printer.json {
            return self
                .context
                .printer
                .line(&Value::from(rows.to_vec()).to_string());
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(columns.iter().map(|column| column.to_uppercase()));
        for row in rows {
            table.add_row(columns.iter().map(|column| text(row, column)));
        }
        for line in table.lines() {
            self.context.printer.line(line.trim())?;
        }
        Ok(())
    }
}

/// A member as text; `-` for one that is null.
fn text(thing: &Value, name: &str) -> String {
    match thing.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map_or_else(|| item.to_string(), str::to_owned)
            })
            .collect::<Vec<_>>()
            .join(", "),
        // Switches: the names of those that are on.
        Some(Value::Object(members)) if members.values().all(Value::is_boolean) => {
            let on: Vec<_> = members
                .iter()
                .filter(|(_, on)| **on == Value::Bool(true))
                .map(|(name, _)| name.as_str())
                .collect();
            if on.is_empty() {
                "none".to_owned()
            } else {
                on.join(", ")
            }
        }
        Some(other) => other.to_string(),
    }
}

/// The body of a change; one that would change nothing is a mistake.
fn something(body: Map<String, Value>, flags: &str) -> Outcome<Value> {
    if body.is_empty() {
        return Err(Failure::usage(format!(
            "there is nothing to change: pass {flags}"
        )));
    }
    Ok(Value::Object(body))
}

/// Reads a network for an argument.
fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .map_err(|_| "a network looks like 10.0.0.0/8 or 2001:db8::/32".to_owned())
}

pub(super) fn api<F>(context: &Context, work: F) -> Outcome
where
    F: AsyncFnOnce(Api<'_>) -> Outcome,
{
    let missing = |name: &str, what: &str| {
        Failure::usage(format!("{name} is not set")).help(format!("set it to {what}"))
    };
    let url: ServerUrl = context
        .env
        .text("IDP_URL")?
        .ok_or_else(|| {
            missing(
                "IDP_URL",
                "the server's address, such as https://idp.example.com",
            )
        })?
        .parse()
        .map_err(|error| Failure::usage(format!("IDP_URL: {error}")))?;
    let token = context.env.text("IDP_ADMIN_TOKEN")?.ok_or_else(|| {
        missing(
            "IDP_ADMIN_TOKEN",
            "an administrator token; `idp admin bootstrap` prints the first one",
        )
    })?;
    let token = token.trim();
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::usage(
            "IDP_ADMIN_TOKEN holds more than an administrator token: white space or characters \
             outside ASCII",
        )
        .help("set it to the one line that `idp admin bootstrap` printed"));
    }
    let token = SecretString::from(token);
    let http = context.http();
    context.block_on(work(Api {
        context,
        admin: Admin {
            server: Server {
                http: &http,
                url: &url,
                clock: &*context.clock,
            },
            token: &token,
        },
    }))?
}

fn explain(error: ServerError) -> Failure {
    match error {
        ServerError::Refused(ref refusal) if refusal.status == 401 => {
            Failure::new(ExitCode::Refused, error)
                .help("check IDP_ADMIN_TOKEN: the token is unknown to this server, has expired or was revoked")
        }
        ServerError::Refused(_) => Failure::new(ExitCode::Refused, error),
        other => other.into(),
    }
}
