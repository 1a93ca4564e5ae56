//! `idp admin project`.

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::Api;
use crate::{
    cli::failure::Outcome,
    domain::{Name, OrganizationId, ProjectId},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a project; prints its id
    #[command(
        after_help = "Example:\n  idp admin project create web --org 0191e223-1c3c-7607-badf-303c98b52d2f"
    )]
    Create {
        /// What people call it
        name: Name,
        /// The organisation's id
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
    },
    /// List an organisation's projects
    #[command(
        after_help = "Example:\n  idp admin project list --org 0191e223-1c3c-7607-badf-303c98b52d2f"
    )]
    List {
        /// The organisation's id
        #[arg(long, value_name = "ID")]
        org: OrganizationId,
    },
    /// Show one project
    #[command(
        after_help = "Example:\n  idp admin project show 019527e4-75d5-704d-a5a4-a2b52cf56198"
    )]
    Show {
        /// The project's id
        id: ProjectId,
    },
    /// Rename a project
    #[command(
        after_help = "Example:\n  idp admin project update 019527e4-75d5-704d-a5a4-a2b52cf56198 --name website"
    )]
    Update {
        /// The project's id
        id: ProjectId,
        /// What people call it
        #[arg(long)]
        name: Name,
    },
}

impl Command {
    pub(super) async fn run(self, api: &Api<'_>) -> Outcome {
        match self {
            Self::Create { name, org } => {
                let path = format!("/organizations/{org}/projects");
                let body = json!({ "name": name });
                api.made("project", &api.call(Method::POST, &path, Some(body)).await?)
            }
            Self::List { org } => {
                let rows = api.list(&format!("/organizations/{org}/projects")).await?;
                api.table(&["id", "name", "created_at"], &rows)
            }
            Self::Show { id } => {
                let path = format!("/projects/{id}");
                api.show(&api.call(Method::GET, &path, None).await?)
            }
            Self::Update { id, name } => {
                let path = format!("/projects/{id}");
                let body = json!({ "name": name });
                api.show(&api.call(Method::PATCH, &path, Some(body)).await?)
            }
        }
    }
}
