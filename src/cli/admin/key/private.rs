//! `idp admin key export`, `import` and `reseal`: on the server's machine, never over the API.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::process::getuid;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    cli::{
        context::Context,
        exit::ExitCode,
        failure::{Failure, Outcome},
        input, runtime,
        settings::ConfigArgs,
    },
    client::{private_file::PrivateFileError, proxied::UnixUser},
    jose::{import_private_key, is_encrypted},
    server::{Vault, VaultError},
    service::{Operator, PrivateKeyRefusal},
};

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let code = match &error {
            VaultError::Refused(PrivateKeyRefusal::Absent(_) | PrivateKeyRefusal::Unfit(_)) => {
                ExitCode::Refused
            }
            VaultError::Backup(_) | VaultError::SameFile(_) => ExitCode::Usage,
            VaultError::Access(_) | VaultError::Exists(_) => ExitCode::NotWritten,
            _ => ExitCode::Other,
        };
        let exists = matches!(error, VaultError::Exists(_));
        let failure = Self::new(code, error);
        if exists {
            return failure.help("name a file that does not exist");
        }
        failure
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli::admin) struct Export {
    /// The key's kid
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli::admin) struct Import {
    /// An export, or a PEM private key
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli::admin) struct Reseal {
    /// The file of the new key-encryption key; made where it is missing
    #[arg(long, value_name = "FILE")]
    new_key_encryption_key_file: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, clap::Args)]
struct PassphraseArgs {
    #[arg(
        long,
        value_name = "FILE",
        help = "A file with the passphrase, or - for standard input; or set IDP_KEY_PASSPHRASE"
    )]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    fn read(&self, context: &Context) -> Outcome<Zeroizing<String>> {
        if let Some(path) = &self.passphrase_file {
            let text = input::read(path, "passphrase")?;
            return Ok(Zeroizing::new(
                text.trim_end_matches(['\r', '\n']).to_owned(),
            ));
        }
        match context.env.text("IDP_KEY_PASSPHRASE")? {
            Some(text) => Ok(Zeroizing::new(text.to_owned())),
            None => Err(Failure::usage("no passphrase")
                .help("name a file with --passphrase-file, or set IDP_KEY_PASSPHRASE")),
        }
    }
}

/// Who runs this, for the audit log.
fn operator(context: &Context) -> Outcome<Operator> {
    let uid = getuid().as_raw();
    Ok(Operator {
        uid,
        user: UnixUser::find(&uid.to_string()).ok().map(|user| user.name),
        sudo_user: context.env.text("SUDO_USER")?.map(str::to_owned),
    })
}

/// Runs `work` on the installation that the settings name.
fn with_vault<T>(
    config: &ConfigArgs,
    context: &Context,
    work: impl AsyncFnOnce(&Vault) -> Result<T, VaultError>,
) -> Outcome<T> {
    let settings = config.load(context)?;
    let operator = operator(context)?;
    let (clock, random) = (Arc::clone(&context.clock), Arc::clone(&context.random));
    runtime::block_on(async {
        let vault = Vault::open(settings, operator, clock, random).await?;
        let result = work(&vault).await;
        vault.close().await;
        Ok(result?)
    })?
}

pub(super) fn export_key(args: &Export, context: &Context) -> Outcome {
    let passphrase = args.passphrase.read(context)?;
    with_vault(&args.config, context, async |vault| {
        vault.export(&args.kid, &passphrase, &args.out).await
    })?;
    let file = args.out.display().to_string();
    context
        .printer
        .note(&format!("wrote key {} to {file}", args.kid));
    if context.printer.json {
        let json = json!({ "kid": args.kid, "file": file });
        return context.printer.line(&json.to_string());
    }
    Ok(())
}

pub(super) fn import_key(args: &Import, context: &Context) -> Outcome {
    let text = input::read(&args.file, "key")?;
    let encrypted = is_encrypted(&text);
    let passphrase = encrypted
        .then(|| args.passphrase.read(context))
        .transpose()?;
    let private =
        import_private_key(&text, passphrase.as_deref().map(String::as_str)).map_err(|error| {
            let place = shown(&args.file);
            Failure::new(ExitCode::Usage, anyhow::Error::new(error).context(place))
        })?;
    if !encrypted {
        refuse_exposed(&args.file)?;
    }
    let imported = with_vault(&args.config, context, async |vault| {
        vault.import(&private).await
    })?;
    let state = imported.state.as_str();
    context
        .printer
        .note(&format!("imported key {}; it is {state}", imported.kid));
    if let Some(replaced) = &imported.replaced {
        let note = format!("the pending key {replaced}, which never signed, is withdrawn");
        context.printer.note(&note);
    }
    if context.printer.json {
        let json = json!({
            "kid": imported.kid, "state": state, "replaced_kid": imported.replaced,
        });
        return context.printer.line(&json.to_string());
    }
    context.printer.line(&imported.kid)
}

/// Refuses a file that others can read, in which the key is as it is.
fn refuse_exposed(path: &Path) -> Outcome {
    let Ok(metadata) = fs::metadata(path) else {
        // Standard input.
        return Ok(());
    };
    let by_others = metadata.mode() & 0o077 != 0;
    if !(metadata.is_file() && by_others) {
        return Ok(());
    }
    let exposed = PrivateFileError::Exposed {
        path: path.to_owned(),
        mode: metadata.mode() & 0o7777,
    };
    let error = anyhow::Error::new(exposed).context(shown(path));
    Err(Failure::new(ExitCode::Other, error).help(format!(
        "whoever has read it can sign tokens of this issuer: if that may be somebody else, make another \
         key; otherwise run: chmod 600 {}",
        path.display()
    )))
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") {
        return "the key on standard input was not imported".to_owned();
    }
    format!("{} was not imported", path.display())
}

pub(super) fn reseal(args: &Reseal, context: &Context) -> Outcome {
    let new = &args.new_key_encryption_key_file;
    let done = with_vault(&args.config, context, async |vault| vault.reseal(new).await)?;
    let printer = &context.printer;
    let file = done.present_file.display();
    printer.note(&format!(
        "{} keys were sealed under the key in {}, {} were before",
        done.resealed,
        new.display(),
        done.already
    ));
    if !done.former_kept {
        printer.note(&format!(
            "{file} holds the new key only; keep {} as its backup, and destroy copies of the former key",
            new.display()
        ));
    } else if done.resealed > 0 {
        printer.note(
            "run this again in a minute: servers that run have changed over then, and it says \
                      whether the former key is needed any more",
        );
    } else {
        printer.note(&format!(
            "nothing is sealed under a former key: take it out of {file} on every replica"
        ));
    }
    if printer.json {
        let json = json!({
            "resealed": done.resealed, "already": done.already, "former_kept": done.former_kept,
        });
        return printer.line(&json.to_string());
    }
    Ok(())
}
