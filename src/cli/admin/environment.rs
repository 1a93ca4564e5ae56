//! `idp admin environment`.

use clap::Subcommand;
use http::Method;
use ipnet::IpNet;
use serde_json::{Map, Value, json};

use super::{Api, join_token, network, something, text};
use crate::{
    cli::failure::Outcome,
    domain::{EnvironmentId, Name, OrganizationId, ProjectId, RoleArn},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an environment; prints its join token
    #[command(
        after_help = "Example:\n  idp admin environment create ci --org 0191e223-1c3c-7607-badf-303c98b52d2f \
                            --project 019527e4-75d5-704d-a5a4-a2b52cf56198 > join-token"
    )]
    Create {
        /// What people call it
        name: Name,
        /// The organisation's id
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        /// The project's id
        #[arg(long, value_name = "ID")]
        project: Option<ProjectId>,
        /// The network that the join token may be used from, such as 10.0.0.0/8 [default: any]
        #[arg(long, value_name = "NETWORK", value_parser = network)]
        cidr: Option<IpNet>,
    },
    /// List an organisation's environments
    #[command(
        after_help = "Example:\n  idp admin environment list --org 0191e223-1c3c-7607-badf-303c98b52d2f"
    )]
    List {
        /// The organisation's id
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
        /// Of this project only
        #[arg(long, value_name = "ID")]
        project: Option<ProjectId>,
    },
    /// Show one environment
    #[command(
        after_help = "Example:\n  idp admin environment show 019527e4-75d5-704d-a5a4-a2b52cf56196"
    )]
    Show {
        /// The environment's id
        id: EnvironmentId,
    },
    /// Rename an environment, or name the roles that its tokens may be pinned to
    #[command(after_help = "Examples:\n  idp admin environment update \
                            019527e4-75d5-704d-a5a4-a2b52cf56196 --name build\n  idp admin environment \
                            update 019527e4-75d5-704d-a5a4-a2b52cf56196 \
                            --role-arn arn:aws:iam::123456789012:role/ci")]
    Update {
        /// The environment's id
        id: EnvironmentId,
        /// What people call it
        #[arg(long)]
        name: Option<Name>,
        /// A role that it may assume while its organisation pins tokens to roles; several are allowed
        #[arg(long, value_name = "ARN")]
        role_arn: Vec<RoleArn>,
        /// Let it ask for any role again
        #[arg(long, conflicts_with = "role_arn")]
        any_role: bool,
    },
    /// End a quarantine: the environment's present key gets tokens again
    ///
    /// An environment is quarantined when a key is used that it had replaced: there are two holders of
    /// its identity, and one of them may be a thief or a restored copy. After the release the present
    /// key is valid, and the key that caused the quarantine is not: its next use causes another one.
    /// Where you cannot tell whose the present key is, do not release: make a join token
    /// (`idp admin join-token create`) and enrol the environment again, which ends all its keys.
    #[command(
        after_help = "Example:\n  idp admin environment release 019527e4-75d5-704d-a5a4-a2b52cf56196"
    )]
    Release {
        /// The environment's id
        id: EnvironmentId,
    },
    /// Stop an environment for good: it gets no tokens from the moment that this returns
    #[command(
        after_help = "Example:\n  idp admin environment stop 019527e4-75d5-704d-a5a4-a2b52cf56196"
    )]
    Stop {
        /// The environment's id
        id: EnvironmentId,
    },
}

impl Command {
    pub(super) async fn run(self, api: &Api<'_>) -> Outcome {
        match self {
            Self::Create {
                name,
                org,
                project,
                cidr,
            } => {
                let path = format!("/organizations/{org}/environments");
                let body = json!({ "name": name, "project_id": project, "cidr": cidr });
                let made = api.call(Method::POST, &path, Some(body)).await?;
                let environment = &made["environment"];
                api.context.printer.note(&format!(
                    "made environment {}; its subject is {}",
                    text(environment, "id"),
                    text(environment, "subject")
                ));
                join_token::print(api, &made)
            }
            Self::List { org, project } => {
                let filter = project
                    .map(|id| format!("?project_id={id}"))
                    .unwrap_or_default();
                let path = format!("/organizations/{org}/environments{filter}");
                let rows = api.list(&path).await?;
                api.table(&["id", "name", "state", "project_id", "enrolled_at"], &rows)
            }
            Self::Show { id } => {
                let path = format!("/environments/{id}");
                api.show(&api.call(Method::GET, &path, None).await?)
            }
            Self::Update {
                id,
                name,
                role_arn,
                any_role,
            } => {
                let mut body = Map::new();
                if let Some(name) = name {
                    body.insert("name".to_owned(), json!(name));
                }
                if any_role {
                    body.insert("role_arns".to_owned(), Value::Null);
                } else if !role_arn.is_empty() {
                    body.insert("role_arns".to_owned(), json!(role_arn));
                }
                let body = something(body, "--name, --role-arn or --any-role")?;
                let path = format!("/environments/{id}");
                api.show(&api.call(Method::PATCH, &path, Some(body)).await?)
            }
            Self::Release { id } => {
                let path = format!("/environments/{id}/release");
                let released = api.call(Method::POST, &path, None).await?;
                api.context.printer.note(&format!(
                    "environment {id} is released: its present key {}, in place since {}, gets tokens \
                     again; a key that it replaced stays ended, and its use quarantines the environment \
                     again; if the present key may be a thief's, make a join token and enrol anew",
                    text(&released, "kid"),
                    text(&released, "enrolled_at")
                ));
                if api.context.printer.json {
                    api.context.printer.line(&released.to_string())?;
                }
                Ok(())
            }
            Self::Stop { id } => {
                let path = format!("/environments/{id}/stop");
                let stopped = api.call(Method::POST, &path, None).await?;
                let note = format!("environment {id} is stopped: it gets no tokens any more");
                api.context.printer.note(&note);
                if api.context.printer.json {
                    api.context.printer.line(&stopped.to_string())?;
                }
                Ok(())
            }
        }
    }
}
