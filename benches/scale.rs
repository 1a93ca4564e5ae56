//! What a token costs the server when its database is large, over what it costs when it is new.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts and times are far below 2^52"
)]

#[expect(dead_code, reason = "each benchmark uses its part of what they share")]
mod support;

use std::{fs, time::Instant};

use idp::domain::SigningAlgorithm;

use support::{
    environments::{Environments, Size},
    load::Load,
    median,
    process::Running,
    report::{Bound, dependency, figure, finish, note},
    site::Site,
};

const ROUNDS: usize = 5;

/// Mints of a round, by environments from all over the database.
const MINTS: usize = 6_000;

/// What is there in both: who mints, and their tenants.
const SMALL: Size = Size {
    organizations: 1_000,
    environments: 2_000,
    minting: 2_000,
    records: 0,
};

const LARGE: Size = Size {
    environments: 1_000_000,
    records: 5_000_000,
    ..SMALL
};

fn main() {
    if !support::wanted() {
        return;
    }
    let mut small = Installation::new(SMALL);
    let mut large = Installation::new(LARGE);
    let (mut ratios, mut smalls, mut larges) = (vec![], vec![], vec![]);
    for round in 0..=ROUNDS {
        let (small, large) = (small.cost(), large.cost());
        // The first one fills caches.
        if round > 0 {
            ratios.push(large / small);
            smalls.push(small);
            larges.push(large);
        }
    }
    figure("mint_scale_ratio", median(ratios), Bound::AtMost(1.2));
    figure("mint_cpu_us_empty", median(smalls), Bound::None);
    figure("mint_cpu_us_at_scale", median(larges), Bound::None);
    figure(
        "server_rss_mib_at_scale",
        large.server.memory("VmRSS"),
        Bound::None,
    );
    finish(&[dependency("libsqlite3-sys")]);
}

struct Installation {
    site: Site,
    environments: Environments,
    server: Running,
}

impl Installation {
    fn new(wanted: Size) -> Self {
        let start = Instant::now();
        let site = Site::new(SigningAlgorithm::Rs256);
        let environments = site.fill(wanted);
        let bytes = fs::metadata(site.database()).map_or(0, |file| file.len());
        note(&format!(
            "{} environments of {} organisations, {} audit records: {} MiB, filled in {:.0} s",
            wanted.environments,
            wanted.organizations,
            wanted.records,
            bytes >> 20,
            start.elapsed().as_secs_f64()
        ));
        Self {
            server: site.serve(),
            site,
            environments,
        }
    }

    /// CPU of a mint in microseconds.
    fn cost(&mut self) -> f64 {
        let load = Load::once(self.site.address, 64, self.environments.requests(MINTS));
        let before = self.server.cpu();
        load.send();
        self.server.cpu().saturating_sub(before).as_secs_f64() * 1e6 / MINTS as f64
    }
}
