//! What an exchange costs the local STS.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use support::{
    crypto::Crypto,
    demo::{Demo, ROLE_ARN},
    load::Load,
    median,
    report::{Bound, dependency, figure, finish},
};

const ROUNDS: usize = 5;

/// Exchanges of a round.
const EXCHANGES: usize = 10_000;

/// Tokens that are exchanged, each many times, as STS allows.
const TOKENS: usize = 16;

fn main() {
    if !support::wanted() {
        return;
    }
    let crypto = Crypto::new();
    let demo = Demo::start();
    let requests = (0..TOKENS).map(|_| exchange(&demo)).collect();
    let mut load = Load::once(demo.address, 64, requests);
    load.send();
    load.count = EXCHANGES;
    let (mut ratios, mut rates) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let before = demo.server.cpu();
        load.send();
        let cpu = demo.server.cpu().saturating_sub(before).as_secs_f64() / EXCHANGES as f64;
        ratios.push(crypto.measure().verify_rs256 / 1e6 / cpu);
        rates.push(1.0 / cpu);
    }
    figure(
        "sts_assume_per_core_ratio",
        median(ratios),
        Bound::AtLeast(0.3),
    );
    figure("sts_assume_per_core_per_s", median(rates), Bound::None);
    finish(&[dependency("aws-lc-rs")]);
}

fn exchange(demo: &Demo) -> Vec<u8> {
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={ROLE_ARN}\
         &RoleSessionName=bench&WebIdentityToken={}",
        demo.token()
    );
    format!(
        "POST /sts HTTP/1.1\r\nhost: {}\r\naccept: */*\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        demo.address,
        body.len()
    )
    .into_bytes()
}
