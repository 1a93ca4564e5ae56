//! Administrator tokens in an administrator's hands: `idp admin token`, with the server running.

use super::{installation::Installation, ran::Ran};

#[test]
fn tokens_are_made_listed_and_revoked() {
    let installation = Installation::running("ES256");
    let organization = installation.run("admin org create acme").ok();
    let organization = organization.text().to_owned();
    let made = installation
        .run(&format!(
            "admin token create --name ci --org {organization} --expires-in 90d --json"
        ))
        .ok()
        .json();
    assert!(
        made["admin_token"]
            .as_str()
            .unwrap()
            .starts_with("idp_admin_")
    );
    assert_eq!(made["organization_id"], organization);
    let id = made["id"].as_str().unwrap();
    let listed = installation.run("admin token list").ok();
    for says in ["ID", "EXPIRES_AT", "REVOKED_AT", "bootstrap", "ci", id] {
        assert!(listed.stdout.contains(says), "{}", listed.stdout);
    }
    let holder = |arguments: &str| {
        let mut command = installation.idp(arguments);
        command.env("IDP_ADMIN_TOKEN", made["admin_token"].as_str().unwrap());
        Ran::of(&mut command)
    };
    let project = format!("admin project create web --org {organization}");
    holder(&project).ok();
    holder("admin org create other").exits(4);
    holder("admin token create")
        .exits(4)
        .says(&["for one organisation", "--org"]);
    holder(&format!(
        "admin token create --org {organization} --expires-in 91d"
    ))
    .exits(4)
    .says(&["would outlive", "--expires-in"]);
    installation.run(&format!("admin token revoke {id}")).ok();
    holder(&project).exits(4).says(&["was revoked"]);
    holder(&project).exits(4);
    let listed = installation.run("admin token list --json").ok().json();
    assert!(listed[1]["revoked_at"].is_string(), "{listed}");
    installation
        .run("admin token revoke 019527e4-75d5-704d-a5a4-a2b52cf56199")
        .exits(4)
        .says(&["no such administrator token"]);
    installation
        .run("admin token create --expires-in 90")
        .exits(2)
        .says(&["30d"]);
}

#[test]
fn a_lost_token_is_replaced_on_the_servers_machine() {
    let installation = Installation::running("ES256");
    installation
        .local("admin bootstrap")
        .exits(4)
        .says(&["--replace"]);
    let fresh = installation.local("admin bootstrap --replace").ok();
    assert!(fresh.text().starts_with("idp_admin_"));
    installation
        .run("admin org list")
        .exits(4)
        .says(&["was revoked"]);
}
