//! Terraform: the modules, and the text that uses them. No provider is downloaded: what needs one is
//! parsed and formatted, and the trust policy is made without any.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{ACCOUNT, ISSUER, ORG, PROJECT, Place, idp, in_repository, trust_policy, variants};
use crate::{e2e::ran::Ran, support::clean_command};

/// The binary. A test returns early where there is none.
///
/// # Panics
///
/// Where there is none though `CI` is set.
#[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
fn terraform() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths)
        .flat_map(|path| [path.join("terraform"), path.join("tofu")])
        .find(|file| file.is_file());
    if found.is_none() {
        let ci = std::env::var("CI").unwrap_or_default();
        assert!(
            matches!(ci.as_str(), "" | "0" | "false"),
            "CI is set, but neither terraform nor tofu is on the path"
        );
        eprintln!("skipped: neither terraform nor tofu is on the path");
    }
    found
}

fn command(terraform: &Path, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = clean_command(terraform);
    command
        .args(arguments)
        .current_dir(directory)
        .env("CHECKPOINT_DISABLE", "1")
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .env("TF_IN_AUTOMATION", "1");
    command
}

fn run(terraform: &Path, directory: &Path, arguments: &[&str]) -> Ran {
    Ran::of(&mut command(terraform, directory, arguments))
}

/// A copy of the repository's modules and examples, which tests may write into.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
        }
    }
}

#[test]
fn modules_and_examples_are_formatted_and_hold_together() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    copy(&in_repository("terraform"), &place.path("t"));
    run(
        &terraform,
        &place.path("t"),
        &["fmt", "-check", "-diff", "-recursive"],
    )
    .ok();
    for directory in [
        "modules/oidc-provider",
        "modules/role",
        "modules/trust-policy",
        "examples/environments",
        "examples/cross-account",
    ] {
        let directory = place.path("t").join(directory);
        run(&terraform, &directory, &["get"]).ok();
        run(&terraform, &directory, &["providers"]).ok();
    }
}

#[test]
fn the_module_renders_the_generators_policies() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    copy(&in_repository("terraform"), &place.path("t"));
    let mut root = String::new();
    for (index, variant) in variants().iter().enumerate() {
        let _ = write!(
            root,
            "module \"v{index}\" {{\n  source = \"./t/modules/trust-policy\"\n  issuer = \"{ISSUER}\"\n  \
             provider_arn = \"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com\"\n  \
             organization_id = \"{ORG}\"\n{}}}\noutput \"v{index}\" {{\n  value = module.v{index}.json\n}}\n",
            attributes(variant)
        );
    }
    place.write("main.tf", &root);
    let directory = place.path("");
    run(&terraform, &directory, &["init", "-input=false"]).ok();
    run(&terraform, &directory, &["validate"]).ok();
    run(
        &terraform,
        &directory,
        &["apply", "-input=false", "-auto-approve"],
    )
    .ok();
    let outputs = run(&terraform, &directory, &["output", "-json"])
        .ok()
        .json();
    for (index, variant) in variants().iter().enumerate() {
        let text = outputs[format!("v{index}")]["value"].as_str().unwrap();
        let rendered: Value = serde_json::from_str(text).unwrap();
        assert_eq!(rendered, trust_policy(variant), "{variant:?}");
    }
}

/// The module's variables for the command's flags.
fn attributes(variant: &[&str]) -> String {
    let mut text = String::new();
    let (mut ips, mut vpces) = (Vec::new(), Vec::new());
    let mut flags = variant.iter();
    while let Some(flag) = flags.next() {
        let mut value = || flags.next().unwrap();
        let _ = match *flag {
            "--project" => writeln!(text, "  project_id = \"{}\"", value()),
            "--environment" => writeln!(text, "  environment_id = \"{}\"", value()),
            "--session-tags" => writeln!(text, "  session_tags = true"),
            "--source-identity" => writeln!(text, "  source_identity = true"),
            "--require-role-pin" => writeln!(text, "  require_role_pin = true"),
            "--source-ip" => {
                ips.push(*value());
                Ok(())
            }
            "--source-vpce" => {
                vpces.push(*value());
                Ok(())
            }
            other => panic!("{other}"),
        };
    }
    let _ = writeln!(text, "  source_ips = {ips:?}\n  source_vpces = {vpces:?}");
    text
}

#[test]
fn what_would_trust_too_many_is_refused() {
    let Some(terraform) = terraform() else { return };
    for (attributes, says) in [
        ("", "Nobody is trusted"),
        (
            "provider_arn = \"arn:aws:iam::123456789012:oidc-provider/idp.example.com\"",
            "without a condition on sub",
        ),
        (
            "trusted_principal_arns = [\"arn:aws:iam::222233334444:root\"]",
            "give external_id too",
        ),
        (
            "trusted_principal_arns = [\"*\"]\n  external_id = \"abc\"",
            "without wildcards",
        ),
        ("organization_id = \"*\"", "lower-case UUID"),
        (
            "trusted_principal_arns = [\"arn:aws:iam::222233334444:root\"]\n  external_id = \"abc\"\n  \
             source_ips = [\"10.0.0.0/8\"]\n  source_vpces = [\"vpce-0123456789\"]",
            "exclude each other",
        ),
    ] {
        let place = Place::new();
        copy(
            &in_repository("terraform/modules/trust-policy"),
            &place.path("m"),
        );
        place.write(
            "main.tf",
            &format!("module \"m\" {{\n  source = \"./m\"\n  {attributes}\n}}\noutput \"o\" {{\n  value = module.m.json\n}}\n"),
        );
        let directory = place.path("");
        run(&terraform, &directory, &["init", "-input=false"]).ok();
        let ran = run(
            &terraform,
            &directory,
            &["plan", "-input=false", "-no-color"],
        )
        .exits(1);
        let said: Vec<_> = ran.stderr.split_whitespace().collect();
        let said = said.join(" ");
        assert!(said.contains(says), "{attributes}: {said}");
    }
}

#[test]
fn the_printed_text_is_formatted_and_uses_the_modules_on_demand() {
    let Some(terraform) = terraform() else { return };
    let place = Place::new();
    copy(&in_repository("terraform"), &place.path("t"));
    let actions = place.text("actions.txt");
    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com");
    for more in [
        vec![],
        vec!["--provider-arn", &provider],
        vec![
            "--project",
            PROJECT,
            "--session-tags",
            "--source-identity",
            "--role-name",
            "ci",
            "--max-session-duration",
            "7200",
            "--permission-boundary",
            "arn:aws:iam::123456789012:policy/boundary",
            "--managed-policy",
            "arn:aws:iam::aws:policy/ReadOnlyAccess",
            "--actions",
            &actions,
            "--source-ip",
            "203.0.113.0/24",
        ],
    ] {
        let base = ["aws", "terraform", "--issuer", ISSUER, "--org", ORG];
        for modules in [&[][..], &["--modules", "./t/modules"]] {
            let text = idp(&[&base[..], modules, &more].concat()).ok().stdout;
            place.write("main.tf", &text);
            let directory = place.path("");
            let mut format = command(
                &terraform,
                &directory,
                &["fmt", "-check", "-diff", "main.tf"],
            );
            Ran::of(format.stdin(Stdio::null())).ok();
            run(&terraform, &directory, &["get"]).ok();
            run(&terraform, &directory, &["providers"]).ok();
        }
    }
}

#[test]
fn the_printed_text_loads_nothing_from_elsewhere_by_itself() {
    let base = ["aws", "terraform", "--issuer", ISSUER, "--org", ORG];
    let text = idp(&base).ok().stdout;
    for part in ["module", " source ", "git::", "://github.com"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("resource \"aws_iam_openid_connect_provider\" \"idp\""));
    assert!(text.contains("Federated = aws_iam_openid_connect_provider.idp.arn"));

    let provider = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com");
    let second = idp(&[&base[..], &["--provider-arn", &provider]].concat())
        .ok()
        .stdout;
    assert!(!second.contains("openid_connect_provider"), "{second}");
    assert!(second.contains(&format!("Federated = \"{provider}\"")));
    let other = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/other.example.com");
    idp(&[&base[..], &["--provider-arn", &other]].concat())
        .exits(2)
        .says(&["is not the provider of"]);

    let modules = "git::https://example.com/idp.git//terraform/modules";
    idp(&[&base[..], &["--modules", modules]].concat())
        .ok()
        .says(&["names no version"]);
    let pinned = format!("{modules}?ref=0123456789012345678901234567890123456789");
    let pinned = idp(&[&base[..], &["--modules", &pinned]].concat()).ok();
    assert_eq!(pinned.stderr, "");
}
