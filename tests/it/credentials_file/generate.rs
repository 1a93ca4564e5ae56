//! Files as people, tools and accidents make them.

use proptest::{collection::vec, prelude::*, sample::select};

/// Which of the two AWS files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Credentials,
    Config,
}

/// Every name of a setting that a generated file may hold, as both readers spell it.
pub(super) const NAMES: [&str; 14] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_security_token",
    "x_security_token_expires",
    "region",
    "output",
    "credential_process",
    "s3",
    "dynamodb",
    "role_arn",
    "x-other",
    "aws_account_id",
    "mfa_serial",
];

const SPELLINGS: [&str; 6] = [
    "AWS_ACCESS_KEY_ID",
    "Aws_Session_Token",
    "AWS_SECURITY_TOKEN",
    "Region",
    "X_Security_Token_Expires",
    "Credential_Process",
];

/// A file that both readers take, mostly: profiles that differ, settings that differ within them,
/// with comments, blank lines, odd spacing, continuations and nested blocks between.
pub(super) fn realistic(kind: Kind) -> impl Strategy<Value = String> {
    let names = ["default", "p", "q", "profile", "team/x@y", "P", "DEFAULT"];
    let profiles = Just(names.to_vec()).prop_shuffle();
    (
        vec(filler(), 0..3),
        profiles,
        vec(section_body(), 0..5),
        layout(),
    )
        .prop_map(move |(top, profiles, bodies, layout)| {
            let mut lines: Vec<String> = top;
            for (profile, (decoration, body)) in profiles.iter().zip(bodies) {
                lines.push(format!("{}{decoration}", header(kind, profile)));
                lines.extend(body);
            }
            layout.apply(&lines)
        })
}

fn header(kind: Kind, profile: &str) -> String {
    match kind {
        Kind::Config if profile != "default" => format!("[profile {profile}]"),
        _ => format!("[{profile}]"),
    }
}

fn section_body() -> impl Strategy<Value = (&'static str, Vec<String>)> {
    let names: Vec<_> = NAMES
        .into_iter()
        .chain(["AWS_SESSION_TOKEN", "Région"])
        .collect();
    let unique = Just(names).prop_shuffle().prop_map(|mut names| {
        let mut seen = Vec::new();
        names.retain(|name| {
            let fresh = !seen.contains(&name.to_lowercase());
            seen.push(name.to_lowercase());
            fresh
        });
        names
    });
    let decoration = select(vec!["", "", "", " # mine", "  ; x", " ", "\t"]);
    let body = (unique, vec((setting(), vec(filler(), 0..3)), 0..7)).prop_map(|(names, parts)| {
        let mut lines = Vec::new();
        for (name, ((between, value, below), fillers)) in names.into_iter().zip(parts) {
            lines.push(format!("{name}{between}{value}"));
            lines.extend(below);
            lines.extend(fillers);
        }
        lines
    });
    (decoration, body)
}

/// What stands between name and value, the value, and the lines that continue it.
fn setting() -> impl Strategy<Value = (&'static str, String, Vec<String>)> {
    let between = select(vec!["=", " = ", " =", "= ", "\t=\t", "   =  "]);
    let plain = value().prop_map(|value| (value, vec![]));
    let continued = (value(), vec(continuation(), 1..3));
    let nested = vec(
        select(vec![
            "  a = b",
            "\taddressing_style=path",
            "    x = y # z",
            "",
            "# c",
            "  # c = d",
        ]),
        1..4,
    )
    .prop_map(|lines| {
        (
            String::new(),
            lines.into_iter().map(str::to_owned).collect(),
        )
    });
    let value = prop_oneof![6 => plain, 1 => continued, 1 => nested];
    (between, value).prop_map(|(between, (value, below))| (between, value, below))
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9/+]{1,40}={0,2}",
        select(vec![
            "eu-west-1",
            "x # not a comment to botocore",
            "x#y",
            "\"quoted\"",
            "a = b : c",
            "%(x)s ${HOME}",
            "Müller チーム 🐱",
            "[not a header]",
            "/usr/bin/idp aws credential-process --role-arn arn:aws:iam::1:role/x",
            "trailing  ",
        ])
        .prop_map(str::to_owned),
    ]
}

fn continuation() -> impl Strategy<Value = String> {
    select(vec![
        "  more",
        "\tmore = x",
        "    [x]",
        " \t x",
        "  x # y",
        "# c",
        "",
    ])
    .prop_map(str::to_owned)
}

fn filler() -> impl Strategy<Value = String> {
    select(vec![
        "",
        "",
        "# a comment",
        ";another",
        "#",
        "# ünï",
        "  ",
        "\t",
        "# [p]",
        "#k = v",
    ])
    .prop_map(str::to_owned)
}

/// Lines thrown together: most such files are refused by one reader or both.
pub(super) fn odd(kind: Kind) -> impl Strategy<Value = String> {
    let headers: Vec<String> = [
        "[p]",
        "[q]",
        "[ p ]",
        "[p ]",
        "[p] # x",
        "[p] x",
        "[p] ; ]",
        "[p]]",
        "[]",
        "[p",
        "[]=]",
        "[p#x]",
        "[DEFAULT]",
        "[default]",
        "[profile p]",
        "[profile  p]",
        "[profile \"p\"]",
        "[profile 'p]",
        "[profiles p]",
        "[profile default]",
        "[profile \\p]",
        "[\u{a0}p]",
        "[\tp]",
        "[profile\u{a0}p]",
        "[p\u{1c}]",
        "[P]",
        "[ü]",
        "[services x]",
        "[p=q]",
        "[p:q]",
    ]
    .map(str::to_owned)
    .to_vec();
    let names: Vec<_> = NAMES
        .into_iter()
        .chain(SPELLINGS)
        .chain([
            "",
            "a b",
            "\u{212A}ey",
            "aws_access_\u{212A}ey_id",
            "[x",
            "ﬁ",
            "a:b",
        ])
        .collect();
    let delimiters = vec![
        "=", "=", " = ", ":", ": ", "", " ", "\u{a0}= ", "=\u{a0}", " # = ", " ;= ",
    ];
    let setting =
        (select(names), select(delimiters), value()).prop_map(|(n, d, v)| format!("{n}{d}{v}"));
    let other = select(vec![
        "  k = v",
        "  # c",
        "  # c = d",
        "  ; c",
        "\u{a0}k = v",
        "\u{0c}",
        " \u{0c} k=v",
        "s3 =",
        "s3 = # c",
        "region =",
        "aws_session_token =",
        "  bare",
        "  a: b",
        "  = b",
        "  a=b\u{2028}c",
        "  a # = b",
        "\u{feff}",
        "k = v\rj = w",
        "k\r",
        "\r",
        "  [p]",
        "=",
        ":",
        "a=",
        "  x=\u{85}y",
        "\u{1c}",
    ])
    .prop_map(str::to_owned);
    let line = prop_oneof![3 => select(headers), 5 => setting, 3 => other, 2 => filler()];
    let first = select(match kind {
        Kind::Credentials => vec!["[p]", "[q]", "", "\u{feff}[p]", "# c"],
        Kind::Config => vec!["[profile p]", "[default]", "", "\u{feff}[default]", "# c"],
    });
    (first, vec(line, 0..7), layout()).prop_map(|(first, mut lines, layout)| {
        lines.insert(0, first.to_owned());
        layout.apply(&lines)
    })
}

/// How lines end.
#[derive(Clone, Debug)]
struct Layout {
    endings: Vec<&'static str>,
    final_newline: bool,
}

fn layout() -> impl Strategy<Value = Layout> {
    let endings = select(vec![
        vec!["\n"],
        vec!["\n"],
        vec!["\r\n"],
        vec!["\n", "\r\n", "\n"],
    ]);
    (endings, prop::bool::weighted(0.8)).prop_map(|(endings, final_newline)| Layout {
        endings,
        final_newline,
    })
}

impl Layout {
    fn apply(&self, lines: &[String]) -> String {
        let mut text = String::new();
        for (line, ending) in lines.iter().zip(self.endings.iter().cycle()) {
            text.push_str(line);
            text.push_str(ending);
        }
        if !self.final_newline {
            let end = text.trim_end_matches(['\r', '\n']).len();
            text.truncate(end);
        }
        text
    }
}
