//! How much memory the server takes, and whether that grows with the tokens that it mints.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use idp::domain::SigningAlgorithm;

use support::{
    environments::Size,
    load::Load,
    report::{Bound, figure, finish},
    site::Site,
};

/// Mints whose requests are made at a time: an assertion holds for two minutes.
const CHUNK: usize = 10_000;

const MINTS: usize = 100_000;

fn main() {
    if !support::wanted() {
        return;
    }
    let site = Site::new(SigningAlgorithm::Rs256);
    let environments = site.fill(Size {
        organizations: 100,
        environments: 2_000,
        minting: 2_000,
        records: 0,
    });
    let server = site.serve();
    let resident = || server.memory("VmRSS");
    figure("rss_at_start_mib", resident(), Bound::None);
    let mut half = 0.0;
    for minted in (CHUNK..=MINTS).step_by(CHUNK) {
        Load::once(site.address, 64, environments.requests(CHUNK)).send();
        if minted == MINTS / 2 {
            half = resident();
        }
    }
    let end = resident();
    figure("rss_after_50k_mints_mib", half, Bound::None);
    figure("rss_after_100k_mints_mib", end, Bound::AtMost(50.0));
    figure(
        "rss_growth_second_50k_mints_mib",
        end - half,
        Bound::AtMost(2.0),
    );
    figure("rss_peak_mib", server.memory("VmHWM"), Bound::None);
    finish(&[]);
}
