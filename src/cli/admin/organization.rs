//! `idp admin org`.

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::Api;
use crate::{
    cli::failure::Outcome,
    domain::{Audience, Name, OrganizationId},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an organisation; prints its id
    #[command(after_help = "Example:\n  idp admin org create acme")]
    Create {
        /// What people call it
        name: Name,
        /// An audience that its environments may ask for; several are allowed [default: sts.amazonaws.com]
        #[arg(long, value_name = "A")]
        audience: Vec<Audience>,
    },
    /// List the organisations
    #[command(after_help = "Example:\n  idp admin org list")]
    List,
    /// Show one organisation
    #[command(after_help = "Example:\n  idp admin org show 0191e223-1c3c-7607-badf-303c98b52d2f")]
    Show {
        /// The organisation's id
        id: OrganizationId,
    },
    /// Replace the audiences that an organisation allows
    #[command(
        after_help = "Example:\n  idp admin org update 0191e223-1c3c-7607-badf-303c98b52d2f \
                            --audience sts.amazonaws.com --audience api://AzureADTokenExchange"
    )]
    Update {
        /// The organisation's id
        id: OrganizationId,
        /// An audience that its environments may ask for; several are allowed
        #[arg(long, value_name = "A", required = true)]
        audience: Vec<Audience>,
    },
}

impl Command {
    pub(super) async fn run(self, api: &Api<'_>) -> Outcome {
        match self {
            Self::Create { name, audience } => {
                let body = json!({ "name": name, "audiences": audience });
                let made = api.call(Method::POST, "/organizations", Some(body)).await?;
                api.made("organisation", &made)
            }
            Self::List => {
                let rows = api.list("/organizations").await?;
                api.table(&["id", "name", "audiences", "created_at"], &rows)
            }
            Self::Show { id } => {
                let path = format!("/organizations/{id}");
                api.show(&api.call(Method::GET, &path, None).await?)
            }
            Self::Update { id, audience } => {
                let path = format!("/organizations/{id}");
                let body = json!({ "audiences": audience });
                api.show(&api.call(Method::PATCH, &path, Some(body)).await?)
            }
        }
    }
}
