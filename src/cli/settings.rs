//! The server's settings, for every command that takes `--config`.

use std::{fs, path::PathBuf};

use super::{
    context::Context,
    exit::ExitCode,
    failure::{Failure, Outcome},
};
use crate::config::Settings;

/// Where the settings come from.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// The server's configuration file; every setting also as `IDP_…`
    #[arg(long, value_name = "FILE", env = "IDP_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// The settings of that file, for a command that does not always need one.
    pub(super) const fn named(file: PathBuf) -> Self {
        Self { config: Some(file) }
    }

    /// Reads and validates the settings; all mistakes are reported together.
    pub(super) fn load(&self, context: &Context) -> Outcome<Settings> {
        let text = self.config.as_ref().map(|path| {
            fs::read_to_string(path).map_err(|error| {
                let failure = Failure::new(
                    ExitCode::Usage,
                    anyhow::Error::new(error)
                        .context(format!("cannot read the configuration {}", path.display())),
                );
                failure.help("name the file with --config, or set IDP_… variables instead")
            })
        });
        let text = text.transpose()?;
        let file = self.config.as_deref().zip(text.as_deref());
        let lookup = |name: &str| context.env.text(name).ok().flatten().map(str::to_owned);
        Settings::load(file, &lookup).map_err(|errors| Failure::new(ExitCode::Usage, errors))
    }
}
