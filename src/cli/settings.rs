//! The server's settings, for every command that takes `--config`.

use std::{collections::BTreeSet, fs, path::PathBuf};

use clap::CommandFactory as _;

use super::{
    Cli,
    context::Context,
    environment::Environment,
    exit::ExitCode,
    failure::{Failure, Outcome},
};
use crate::{
    config::{Examine, SETTINGS, Settings, closest, variable},
    server::examine,
};

/// Variables that commands look up by themselves; the others stand for flags or settings.
const LOOKED_UP: [&str; 8] = [
    "IDP_ADMIN_TOKEN",
    "IDP_CACHE_DIR",
    "IDP_HOME",
    "IDP_JOIN_TOKEN",
    "IDP_KEY_PASSPHRASE",
    "IDP_LOG",
    "IDP_ROTATE",
    "IDP_URL",
];

/// What the project's own tests look up.
const OF_TESTS: &str = "IDP_TEST_";

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
        self.read(context, &|_| Vec::new())
    }

    /// The same, and opens the files that the settings name, as the server's start does.
    pub(super) fn load_examined(&self, context: &Context) -> Outcome<Settings> {
        self.read(context, &examine)
    }

    fn read(&self, context: &Context, examine: Examine<'_>) -> Outcome<Settings> {
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
        Settings::load_examined(file, &lookup, examine)
            .map_err(|errors| Failure::new(ExitCode::Usage, errors))
    }
}

/// What is said of each `IDP_…` variable that is set and that nothing reads: its name is misspelt, or it is
/// somebody else's.
pub(super) fn unknown_variables(env: &Environment) -> Vec<String> {
    let known = known_variables();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut unknown: Vec<&str> = env
        .names()
        .filter_map(|name| name.to_str())
        .filter(|name| name.starts_with("IDP_") && !name.starts_with(OF_TESTS))
        .filter(|name| !known.contains(*name) && !is_of_kubernetes(name))
        .collect();
    unknown.sort_unstable();
    unknown
        .into_iter()
        .map(|name| {
            let meant = closest(name, &names).map_or_else(
                || "unset it".to_owned(),
                |meant| format!("did you mean {meant}?"),
            );
            format!("environment variable {name} is not a setting; {meant}")
        })
        .collect()
}

fn known_variables() -> BTreeSet<String> {
    let mut known: BTreeSet<String> = LOOKED_UP.iter().map(|name| (*name).to_owned()).collect();
    known.extend(SETTINGS.iter().map(|setting| variable(setting.name)));
    let mut waiting = vec![Cli::command()];
    while let Some(command) = waiting.pop() {
        let flags = command.get_arguments().filter_map(clap::Arg::get_env);
        known.extend(flags.filter_map(|name| Some(name.to_str()?.to_owned())));
        waiting.extend(command.get_subcommands().cloned());
    }
    known
}

/// Kubernetes sets such variables for every service, and one of them may be called `idp`
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
fn is_of_kubernetes(name: &str) -> bool {
    let has_port = name.split_once("_PORT").is_some_and(|(_, rest)| {
        let mut parts = rest.split('_');
        rest.is_empty()
            || parts.next() == Some("")
                && parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
                && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    });
    has_port || name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn misspelt_variables_are_told_from_all_others() {
        let set = |names: &[&str]| {
            let env: Environment = names.iter().map(|name| (*name, "x")).collect();
            unknown_variables(&env)
        };
        assert_eq!(
            set(&["IDP_KEYS_ALGORITM", "IDP_NO_SUCH_THING", "HOME"]),
            [
                "environment variable IDP_KEYS_ALGORITM is not a setting; did you mean IDP_KEYS_ALGORITHM?",
                "environment variable IDP_NO_SUCH_THING is not a setting; unset it",
            ]
        );
        let nothing: [String; 0] = [];
        assert_eq!(
            set(&[
                "IDP_KEYS_ALGORITHM",
                "IDP_CONFIG",
                "IDP_AWS_ROLE_ARN",
                "IDP_PROXY_RULES",
                "IDP_HOME",
                "IDP_TEST_CHAOS_MINTS",
                "IDP_SERVICE_HOST",
                "IDP_SERVICE_PORT",
                "IDP_SERVICE_PORT_HTTPS",
                "IDP_PORT",
                "IDP_PORT_8443_TCP",
                "IDP_PORT_8443_TCP_ADDR",
                "IDP_OPS_PORT_9000_TCP_PROTO",
            ]),
            nothing
        );
        assert_eq!(set(&["IDP_PORTS", "IDP_PORT_X_TCP"]).len(), 2);
    }

    #[test]
    fn every_variable_that_the_program_names_is_known() {
        fn look(dir: &Path, found: &mut BTreeSet<String>) {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    look(&path, found);
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap_or_default();
                // What stands before the tests of a file.
                let text = text.split("#[cfg(test)]").next().unwrap_or_default();
                for (at, _) in text.match_indices("\"IDP_") {
                    let name: String = text[at + 1..]
                        .chars()
                        .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                        .collect();
                    if text[at + 1 + name.len()..].starts_with('"') {
                        found.insert(name);
                    }
                }
            }
        }
        let mut found = BTreeSet::new();
        look(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut found,
        );
        found.retain(|name| name != "IDP_" && name != OF_TESTS);
        assert!(found.contains("IDP_HOME") && found.contains("IDP_PROXY_RULES"));
        let known = known_variables();
        let unknown: Vec<_> = found.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
