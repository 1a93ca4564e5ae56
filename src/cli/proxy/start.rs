//! What `serve` and `exec` have in common: the arguments of a proxy, and putting it together.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, sync::Arc};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::rules;
use crate::{
    cli::{context::Context, failure::Outcome},
    client::{
        login::Retries,
        sessions::{SessionSettings, WebIdentitySessions},
    },
    domain::{Partition, RoleArn},
    policy::Rules,
    proxy::{
        Limits, ProxyKey,
        upstream::{UpstreamOverride, UpstreamSettings},
    },
    server::{Proxy, ProxyParts, ProxySettings, ProxyState},
    upstream::sts::{AwsSts, StsSettings},
};

/// The region of requests that name none, where nothing names one.
const DEFAULT_REGION: &str = "us-east-1";

#[derive(Debug, clap::Args)]
#[expect(
    clippy::doc_markdown,
    reason = "clap shows these comments as they are written"
)]
pub(super) struct ProxyArgs {
    /// File with the rules: what requests may do, and which role signs them
    #[arg(
        long,
        value_name = "FILE",
        env = "IDP_PROXY_RULES",
        hide_env_values = true
    )]
    rules: PathBuf,
    /// Role that signs what no role of the file is for
    #[arg(
        long,
        value_name = "ARN",
        env = "IDP_AWS_ROLE_ARN",
        hide_env_values = true
    )]
    role_arn: Option<RoleArn>,
    /// Region of requests that name none [default: the file's, AWS_REGION, us-east-1]
    #[arg(
        long,
        value_name = "REGION",
        env = "IDP_PROXY_REGION",
        hide_env_values = true
    )]
    region: Option<String>,
    /// Length of the roles' sessions in seconds, 900 to 43200
    #[arg(long, value_name = "S", default_value_t = 3600,
          value_parser = clap::value_parser!(u32).range(900..=43200),
          env = "IDP_PROXY_DURATION_SECONDS", hide_env_values = true)]
    duration_seconds: u32,
    /// PEM file of CA certificates to trust beside the system's, for AWS
    #[arg(
        long,
        value_name = "FILE",
        env = "IDP_PROXY_UPSTREAM_CA",
        hide_env_values = true
    )]
    upstream_ca: Option<PathBuf>,
    /// Another place for a host: HOST=ADDRESS:PORT or HOST=URL; HOST may be *.DOMAIN or *
    #[arg(
        long,
        value_name = "HOST=PLACE",
        env = "IDP_PROXY_UPSTREAM",
        hide_env_values = true,
        value_delimiter = ','
    )]
    upstream: Vec<UpstreamOverride>,
    /// Address of STS [env: AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL")]
    sts_endpoint_url: Option<String>,
}

/// Everything that is known before a proxy is started.
pub(super) struct Start {
    pub(super) rules: Rules,
    pub(super) region: String,
    args: ProxyArgs,
}

impl ProxyArgs {
    /// The same once more, for another process.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec!["--rules".into(), self.rules.clone().into()];
        let mut push = |name: &str, value: OsString| all.extend([name.into(), value]);
        push(
            "--duration-seconds",
            self.duration_seconds.to_string().into(),
        );
        if let Some(arn) = &self.role_arn {
            push("--role-arn", arn.to_string().into());
        }
        if let Some(region) = &self.region {
            push("--region", region.into());
        }
        if let Some(file) = &self.upstream_ca {
            push("--upstream-ca", file.into());
        }
        for one in &self.upstream {
            push("--upstream", one.to_string().into());
        }
        if let Some(url) = &self.sts_endpoint_url {
            push("--sts-endpoint-url", url.into());
        }
        all
    }

    /// Reads the rules.
    pub(super) fn read(self, context: &Context) -> Outcome<Start> {
        let rules = rules::load(&self.rules, self.role_arn.as_ref())?;
        for finding in rules.findings() {
            context.printer.warn(&finding.to_string());
        }
        let mut region = self
            .region
            .clone()
            .or_else(|| rules.default_region().map(str::to_owned));
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            if region.is_none() {
                region = context.env.text(name)?.map(str::to_owned);
            }
        }
        let region = region.unwrap_or_else(|| DEFAULT_REGION.to_owned());
        Ok(Start {
            rules,
            region,
            args: self,
        })
    }
}

/// Lets this process have as many files open as it may: each connection takes two, and where a service
/// manager sets nothing else, 1,024 are what it begins with.
pub(super) fn raise_open_files() {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    // Where the system refuses, the proxy takes fewer connections.
    let _ = setrlimit(Resource::Nofile, raised);
}

fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

impl Start {
    /// Puts a proxy together that listens on `listen`.
    pub(super) async fn prepare(
        self,
        listen: SocketAddr,
        ops_listen: Option<SocketAddr>,
        public_dir: Option<PathBuf>,
        (state, key): (ProxyState, ProxyKey),
        context: &Context,
    ) -> Outcome<Proxy> {
        let Self {
            rules,
            region,
            args,
        } = self;
        let identity = context.identity()?;
        let environment = identity.environment_id.to_string();
        let tokens = context.tokens(identity)?;
        context.renew_key(&tokens).await;
        let partition = rules.roles().next().map(|role| role.arn().partition());
        let sts = AwsSts::load(StsSettings {
            region: Some(region),
            endpoint_url: args.sts_endpoint_url,
            profile: None,
            partition: partition.unwrap_or(Partition::Aws),
            http: context.env.aws_http_settings(),
        })
        .await;
        let credentials = WebIdentitySessions::new(
            Arc::new(tokens),
            Arc::new(sts),
            Arc::clone(&context.clock),
            Arc::clone(&context.random),
            SessionSettings {
                session_name: rules.session_name().unwrap_or(&environment).to_owned(),
                duration_secs: args.duration_seconds,
                retries: Retries::default(),
            },
        );
        let settings = ProxySettings {
            listen,
            ops_listen,
            upstream: UpstreamSettings {
                extra_roots: args.upstream_ca,
                overrides: args.upstream,
                ..UpstreamSettings::default()
            },
            limits: Limits::default().within(open_files()),
            public_dir,
        };
        let parts = ProxyParts {
            environment: environment.into(),
            rules,
            key,
            credentials: Arc::new(credentials),
            state,
            clock: Arc::clone(&context.clock),
            random: Arc::clone(&context.random),
        };
        Ok(Proxy::prepare(settings, parts).await?)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: ProxyArgs,
    }

    #[test]
    fn arguments_are_handed_on_as_they_were() {
        let given = [
            "idp",
            "--rules=my rules.toml",
            "--role-arn=arn:aws:iam::123456789012:role/agent",
            "--region=eu-central-1",
            "--duration-seconds=900",
            "--upstream-ca=ca.pem",
            "--upstream=*.amazonaws.com=127.0.0.1:8443,s3.amazonaws.com=http://[::1]:5000",
            "--upstream=*=https://vpce.example",
            "--sts-endpoint-url=http://127.0.0.1:1",
        ];
        for given in [&given[..], &given[..2]] {
            let read = Cli::parse_from(given).args;
            let handed = std::iter::once("idp".into()).chain(read.arguments());
            let again = Cli::parse_from(handed).args;
            assert_eq!(format!("{read:?}"), format!("{again:?}"));
        }
    }
}
