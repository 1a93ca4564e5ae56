//! `[limits]` and `[shutdown]`: how much of the server one caller, and all of them, can take.

use std::{num::NonZeroU32, time::Duration};

use ipnet::IpNet;

use super::Reader;

/// How often something may happen: `per_second` on average, `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many a second are given back.
    pub per_second: NonZeroU32,
    /// How many may come at once after a pause.
    pub burst: NonZeroU32,
}

/// `[limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Connections served at once; more are refused with 503.
    pub connections: usize,
    /// Token requests and enrolments worked on at once, signatures that wait included; more are
    /// refused with 503.
    pub signing_queue: usize,
    /// How long a request may take, its body included.
    pub request_timeout: Duration,
    /// How long a client may take for its request's head, or for its TLS handshake.
    pub header_timeout: Duration,
    /// Requests of one address (of one /64 in IPv6) that prove nothing; `None`: as many as they like.
    pub address: Option<RateLimit>,
    /// Requests of one environment, or of one administrator, that proved its key or token.
    pub client: Option<RateLimit>,
}

/// A rate as a constant.
const fn rate(per_second: u32, burst: u32) -> Option<RateLimit> {
    match (NonZeroU32::new(per_second), NonZeroU32::new(burst)) {
        (Some(per_second), Some(burst)) => Some(RateLimit { per_second, burst }),
        _ => None,
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            connections: 4096,
            signing_queue: 1024,
            request_timeout: Duration::from_secs(15),
            header_timeout: Duration::from_secs(10),
            address: rate(50, 1000),
            client: rate(50, 1000),
        }
    }
}

/// `[shutdown]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownSettings {
    /// How long readiness says no before the listeners close, so that a load balancer can take
    /// notice.
    pub delay: Duration,
    /// How long requests in flight may take to finish after that.
    pub timeout: Duration,
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            timeout: Duration::from_secs(20),
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> LimitSettings {
    let default = LimitSettings::default();
    let positive = |text: &str| number(text, 1, 1_000_000);
    LimitSettings {
        connections: reader
            .optional_with("limits.connections", positive)
            .unwrap_or(default.connections),
        signing_queue: reader
            .optional_with("limits.signing_queue", positive)
            .unwrap_or(default.signing_queue),
        request_timeout: reader
            .optional_with("limits.request_timeout", |text| seconds(text, 1))
            .unwrap_or(default.request_timeout),
        header_timeout: reader
            .optional_with("limits.header_timeout", |text| seconds(text, 1))
            .unwrap_or(default.header_timeout),
        address: read_rate(
            reader,
            ["limits.address_rate", "limits.address_burst"],
            default.address,
        ),
        client: read_rate(
            reader,
            ["limits.client_rate", "limits.client_burst"],
            default.client,
        ),
    }
}

pub(super) fn read_shutdown(reader: &mut Reader<'_>) -> ShutdownSettings {
    let default = ShutdownSettings::default();
    ShutdownSettings {
        delay: reader
            .optional_with("shutdown.delay", |text| seconds(text, 0))
            .unwrap_or(default.delay),
        timeout: reader
            .optional_with("shutdown.timeout", |text| seconds(text, 0))
            .unwrap_or(default.timeout),
    }
}

/// A rate of 0 turns the limit off.
fn read_rate(
    reader: &mut Reader<'_>,
    [rate_name, burst_name]: [&'static str; 2],
    default: Option<RateLimit>,
) -> Option<RateLimit> {
    let small = |text: &str, least| {
        let number = number(text, least, 1_000_000)?;
        u32::try_from(number).map_err(|error| error.to_string())
    };
    let per_second = reader
        .optional_with(rate_name, |text| small(text, 0))
        .or(default.map(|default| default.per_second.get()));
    let burst = reader
        .optional_with(burst_name, |text| small(text, 1))
        .or(default.map(|default| default.burst.get()));
    rate(per_second?, burst?)
}

fn number(text: &str, least: usize, most: usize) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("is not a number from {least} to {most}")),
    }
}

fn seconds(text: &str, least: usize) -> Result<Duration, String> {
    number(text, least, 300)
        .map(|secs| Duration::from_secs(secs as u64))
        .map_err(|_| format!("is not a number of seconds from {least} to 300"))
}

/// A network, or a single address.
pub(super) fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()))
        .map_err(|_| "is not a network; write it like \"10.0.0.0/8\" or \"10.1.2.3\"".to_owned())
}
