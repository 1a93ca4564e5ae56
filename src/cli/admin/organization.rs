//! `idp admin org`.

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Map, Value, json};

use super::{Api, something};
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
    /// Rename an organisation, replace the audiences that it allows, choose its claims for AWS
    #[command(
        after_help = "Examples:\n  idp admin org update 0191e223-1c3c-7607-badf-303c98b52d2f \
                            --audience sts.amazonaws.com --audience api://AzureADTokenExchange\n  \
                            idp admin org update 0191e223-1c3c-7607-badf-303c98b52d2f \
                            --session-tags on --source-identity on --role-pin on"
    )]
    Update {
        /// The organisation's id
        id: OrganizationId,
        /// What people call it
        #[arg(long)]
        name: Option<Name>,
        /// An audience that its environments may ask for; several are allowed
        #[arg(long, value_name = "A")]
        audience: Vec<Audience>,
        /// Whether tokens carry ids and names as AWS session tags
        #[arg(long, value_name = "on|off")]
        session_tags: Option<Switch>,
        /// Whether tokens carry the environment's id as AWS source identity
        #[arg(long, value_name = "on|off")]
        source_identity: Option<Switch>,
        /// Whether tokens are good for the one role that they were asked for
        #[arg(long, value_name = "on|off")]
        role_pin: Option<Switch>,
    },
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
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
            Self::Update {
                id,
                name,
                audience,
                session_tags,
                source_identity,
                role_pin,
            } => {
                let claims = [
                    ("session_tags", session_tags),
                    ("source_identity", source_identity),
                    ("role_pin", role_pin),
                ];
                let claims: Map<_, _> = claims
                    .into_iter()
                    .filter_map(|(name, switch)| {
                        Some((name.to_owned(), json!(switch? == Switch::On)))
                    })
                    .collect();
                let mut body = Map::new();
                if let Some(name) = name {
                    body.insert("name".to_owned(), json!(name));
                }
                if !audience.is_empty() {
                    body.insert("audiences".to_owned(), json!(audience));
                }
                if !claims.is_empty() {
                    body.insert("aws_claims".to_owned(), Value::Object(claims));
                }
                let flags = "--name, --audience, --session-tags, --source-identity or --role-pin";
                let body = something(body, flags)?;
                let path = format!("/organizations/{id}");
                api.show(&api.call(Method::PATCH, &path, Some(body)).await?)
            }
        }
    }
}
