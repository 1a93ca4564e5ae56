//! `idp proxy ca`.

use std::fmt::Write as _;

use serde_json::json;

use crate::{
    cli::{
        context::Context,
        failure::{Failure, Outcome},
    },
    proxy::Authority,
};

/// Show the proxy's certificate authority, made on first use
///
/// Its certificates are good for AWS's domains alone: name constraints forbid every other. Near its end a
/// successor is made, which programs trust for months before it signs; both are printed then.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  idp proxy ca\n  idp proxy ca --print > idp-proxy-ca.pem")]
pub(super) struct Args {
    /// Print the certificates, PEM
    #[arg(long)]
    print: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let printer = context.printer;
    let state = super::state(context)?;
    let authorities = state.authorities(&*context.clock, &*context.random)?;
    let all = authorities.all();
    if args.print {
        if printer.json {
            return Err(Failure::usage("--json contradicts --print"));
        }
        let pem: String = all.iter().map(Authority::pem).collect();
        return printer.data(&pem);
    }
    let (ca, bundle) = (state.path("ca.pem"), state.path("bundle.pem"));
    if printer.json {
        let list: Vec<_> = all
            .iter()
            .map(|one| {
                json!({
                    "name": one.name(),
                    "sha256_fingerprint": one.fingerprint(),
                    "not_after": one.not_after().to_string(),
                })
            })
            .collect();
        let json = json!({ "ca_file": ca, "bundle_file": bundle, "authorities": list });
        return printer.line(&json.to_string());
    }
    let mut text = String::new();
    for one in all {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "{}, until {}\n  SHA-256 {}",
            one.name(),
            one.not_after(),
            one.fingerprint()
        );
    }
    let _ = writeln!(
        text,
        "certificate {}\nwith the system's {}",
        ca.display(),
        bundle.display()
    );
    printer.text(&text)
}
