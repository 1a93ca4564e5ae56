//! The `idp` binary.

use idp::cli::{self, environment::Environment};

fn main() -> std::process::ExitCode {
    cli::forbid_core_dumps();
    // An error means that a provider is installed already, and there is only this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    cli::run(std::env::args_os(), Environment::from_process()).into()
}
