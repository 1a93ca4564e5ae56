//! `idp dev`: the whole system on loopback, and a login to watch.

use std::{path::PathBuf, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
    printer::Printer,
    runtime,
};
use crate::{
    client::{
        assume::assume_request,
        aws_files::CredentialsFile,
        decode::DecodedToken,
        enrol::enrol,
        identity::Identity,
        login::{Login, Retries},
        server::Server,
        token::{EnvironmentTokens, TokenSource as _},
    },
    config::{LogLevel, LogSettings},
    domain::{Audience, ExposeSecret as _, RoleArn, TokenLifetime},
    ports::StsCredentials,
    server::{Dev, DevDir, DevError, ROLE_ARN, stop_signal},
    upstream::{
        http::HttpSettings,
        sts::{AwsSts, StsSettings},
    },
};

/// Run the whole system on loopback and watch an environment log in
///
/// Issuer, database, a local STS at /sts, an organisation, a project, an enrolled environment and the
/// role `arn:aws:iam::000000000000:role/demo` that trusts it. Serves until it is stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  idp dev\n  . .idp-dev/env\n  aws sts get-caller-identity")]
pub struct Args {
    /// Where everything is kept; made where it is missing
    #[arg(long, value_name = "DIR", default_value = ".idp-dev")]
    dir: PathBuf,
    /// The loopback port; 0 for any free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
    /// Stop after the demonstration
    #[arg(long)]
    once: bool,
}

impl From<DevError> for Failure {
    fn from(error: DevError) -> Self {
        let busy = error.to_string().contains("cannot listen");
        let failure = Self::new(ExitCode::Other, error);
        if busy {
            failure.help("choose another port with --port, or any free one with --port 0")
        } else {
            failure
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let quiet = LogSettings {
        level: LogLevel::Warn,
        ..LogSettings::default()
    };
    let _log = runtime::log(context, quiet, None)?;
    runtime::block_on(async {
        let (clock, random) = (Arc::clone(&context.clock), Arc::clone(&context.random));
        let dev = Dev::prepare(&args.dir, args.port, clock, random).await?;
        dev.write_env()?;
        let demonstration = Demonstration::of(&dev, context);
        let signal = stop_signal().map_err(|error| Failure::new(ExitCode::Other, error))?;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(dev.run(stopped));
        let shown = demonstration.show().await;
        if shown.is_ok() && !args.once {
            context.printer.note(
                "serving until stopped; in another shell, source the file above and use idp and aws",
            );
            let mut signal = signal;
            drop(signal.wait_for(|stop| *stop).await);
        }
        stop.send_replace(true);
        let served = serving
            .await
            .map_err(|error| Failure::new(ExitCode::Other, error))?;
        shown?;
        Ok(served?)
    })?
}

/// What is shown once the server runs.
struct Demonstration<'a> {
    context: &'a Context,
    dir: DevDir,
    issuer: crate::domain::Issuer,
    sts_url: String,
    join_token: Option<crate::domain::SecretString>,
}

impl<'a> Demonstration<'a> {
    fn of(dev: &Dev, context: &'a Context) -> Self {
        Self {
            context,
            dir: dev.dir.clone(),
            issuer: dev.issuer.clone(),
            sts_url: dev.sts_url.clone(),
            join_token: dev.join_token.clone(),
        }
    }

    const fn printer(&self) -> Printer {
        self.context.printer
    }

    async fn show(&self) -> Outcome {
        self.printer().note(&format!("issuer {}", self.issuer));
        let tokens = self.environment().await?;
        let audience = Audience::sts();
        let token = tokens
            .token(&audience, TokenLifetime::from_secs(300), None)
            .await?;
        let decoded = DecodedToken::parse(token.token.expose_secret())
            .map_err(|error| Failure::new(ExitCode::Other, error))?;
        self.printer().note("its token, as AWS sees it:");
        if !self.printer().json {
            self.printer().line(&decoded.to_json())?;
        }
        let credentials = self.log_in(&tokens, &audience).await?;
        self.printer().note(&format!(
            "credentials of {} expire at {}",
            credentials.assumed_role_arn, credentials.expires_at
        ));
        self.printer().note(&format!(
            "profile default in {}",
            self.dir.credentials().display()
        ));
        self.printer()
            .note(&format!("to use it:  . {}", self.dir.env().display()));
        if self.printer().json {
            let summary = self.summary(&decoded, &credentials);
            self.printer().line(&summary.to_string())?;
        }
        Ok(())
    }

    /// The enrolled environment; enrols it where it is not.
    async fn environment(&self) -> Outcome<EnvironmentTokens> {
        let path = self.dir.identity();
        let http = self.context.http();
        if let Some(join_token) = &self.join_token {
            let url = self
                .issuer
                .as_str()
                .parse()
                .map_err(|error| Failure::new(ExitCode::Other, anyhow::Error::new(error)))?;
            let server = Server {
                http: &http,
                url: &url,
                clock: &*self.context.clock,
            };
            let identity = enrol(server, join_token, &self.context.patience()).await?;
            identity.save(&path)?;
            self.printer()
                .note(&format!("environment {} enrolled", identity.environment_id));
        }
        let identity = Identity::load(&path)?;
        let key = identity.key(&path)?;
        if self.join_token.is_none() {
            let note = format!("environment {}", identity.environment_id);
            self.printer().note(&note);
        }
        Ok(EnvironmentTokens {
            identity,
            key,
            file: path,
            http,
            clock: Arc::clone(&self.context.clock),
            random: Arc::clone(&self.context.random),
            patience: self.context.patience(),
        })
    }

    async fn log_in(
        &self,
        tokens: &EnvironmentTokens,
        audience: &Audience,
    ) -> Outcome<StsCredentials> {
        let role: RoleArn = ROLE_ARN
            .parse()
            .map_err(|error| Failure::new(ExitCode::Other, anyhow::Error::new(error)))?;
        let sts = AwsSts::load(StsSettings {
            region: Some(role.partition().default_region().to_owned()),
            endpoint_url: Some(self.sts_url.clone()),
            profile: None,
            partition: role.partition(),
            http: HttpSettings::default(),
        })
        .await;
        let session_name = tokens.identity.environment_id.to_string();
        let request = assume_request(role, session_name, 3600, None, Vec::new())
            .map_err(|error| Failure::new(ExitCode::Other, error))?;
        let login = Login {
            tokens,
            sts: &sts,
            random: &*self.context.random,
            retries: Retries::default(),
            on_wait: &|_| (),
        };
        let credentials = login
            .run(audience, &request)
            .await
            .map_err(|error| Failure::new(ExitCode::Sts, error))?;
        let path = self.dir.credentials();
        let file = CredentialsFile::locate(|name| {
            (name == "AWS_SHARED_CREDENTIALS_FILE").then(|| path.clone().into_os_string())
        })?;
        file.write_credentials(&super::login::default_profile()?, &credentials)?;
        Ok(credentials)
    }

    fn summary(&self, decoded: &DecodedToken, credentials: &StsCredentials) -> Value {
        json!({
            "issuer": self.issuer,
            "token": serde_json::from_str::<Value>(&decoded.to_json()).unwrap_or_default(),
            "role_arn": ROLE_ARN,
            "assumed_role_arn": credentials.assumed_role_arn,
            "expires_at": credentials.expires_at.to_string(),
            "credentials_file": self.dir.credentials(),
            "env_file": self.dir.env(),
            "sts_url": self.sts_url,
        })
    }
}
