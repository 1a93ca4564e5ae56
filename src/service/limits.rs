//! How often a caller may come: token buckets (GCRA) for each address and for each client, in a
//! bounded amount of memory.
//!
//! An address pays only for requests that prove nothing, because many environments may share one. A
//! client pays only once it has proved its key, so that nobody else can use up what is its own.

use std::{
    convert::Infallible,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter, clock::Clock as GovernorClock, middleware::NoOpMiddleware, nanos::Nanos,
    state::StateStore,
};
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::{
    config::{LimitSettings, RateLimit},
    domain::{AdminTokenId, Clock, EnvironmentId, JoinTokenId, Timestamp},
};

/// How many callers of a kind are remembered, some 200 bytes each. Half of the places are for those that
/// came more than once. Who is forgotten begins with a full bucket when it comes again.
const CAPACITY: usize = 20_000;

/// Come back later; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", retry_after.as_secs())]
pub struct Limited {
    /// After how long; whole seconds, at least one.
    pub retry_after: Duration,
}

/// Who proved a key, or holds a token that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    Environment(EnvironmentId),
    Administrator(AdminTokenId),
    JoinToken(JoinTokenId),
}

/// The buckets.
pub struct Limits {
    addresses: Option<Limiter<IpAddr>>,
    callers: Option<Limiter<Caller>>,
}

impl Limits {
    pub(super) fn new(settings: &LimitSettings, clock: &Arc<dyn Clock>) -> Self {
        let steady = Steady::new(clock.clone());
        Self {
            addresses: settings
                .address
                .map(|rate| Limiter::new(rate, steady.clone())),
            callers: settings.client.map(|rate| Limiter::new(rate, steady)),
        }
    }

    /// Whether the address may try again; costs it nothing.
    ///
    /// # Errors
    /// It has failed too often of late.
    pub fn admits(&self, address: IpAddr) -> Result<(), Limited> {
        check(self.addresses.as_ref(), block(address), false)
    }

    /// The address has sent a request that proved nothing.
    pub fn charge(&self, address: IpAddr) {
        // Who is past the limit already cannot be charged more, and is refused by `admits`.
        let _ = check(self.addresses.as_ref(), block(address), true);
    }

    /// Whether the caller may do one thing more; costs it nothing.
    pub(super) fn admits_caller(&self, caller: Caller) -> Result<(), Limited> {
        check(self.callers.as_ref(), caller, false)
    }

    /// The caller has done one thing more.
    pub(super) fn charge_caller(&self, caller: Caller) {
        // Of many at once the last may find nothing left; the next is refused by `admits_caller`.
        let _ = check(self.callers.as_ref(), caller, true);
    }
}

fn check<K>(limiter: Option<&Limiter<K>>, key: K, keep: bool) -> Result<(), Limited>
where
    K: Copy + Hash + Eq + Send + Sync + 'static,
{
    limiter.map_or(Ok(()), |limiter| limiter.check(key, keep))
}

/// What one subscriber has for itself: an IPv4 address, or the /64 that an IPv6 address is in.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

struct Limiter<K>
where
    K: Copy + Hash + Eq + Send + Sync + 'static,
{
    rate: RateLimiter<Attempt<K>, Buckets<K>, Steady, NoOpMiddleware<Nanos>>,
    #[cfg(test)]
    buckets: Arc<Cache<K, Arc<AtomicU64>>>,
    clock: Steady,
}

impl<K> Limiter<K>
where
    K: Copy + Hash + Eq + Send + Sync + 'static,
{
    fn new(limit: RateLimit, clock: Steady) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        let buckets = Buckets(Arc::new(remembered()));
        Self {
            #[cfg(test)]
            buckets: buckets.0.clone(),
            rate: RateLimiter::new(quota, buckets, clock.clone()),
            clock,
        }
    }

    fn check(&self, key: K, keep: bool) -> Result<(), Limited> {
        self.rate
            .check_key(&Attempt { key, keep })
            .map_err(|until| {
                let wait = until.wait_time_from(self.clock.now());
                Limited {
                    retry_after: Duration::from_secs(wait.as_secs() + 1),
                }
            })
    }
}

/// A cache of [`CAPACITY`] places. A number of shards that divides it keeps it exact.
fn remembered<K: Hash + Eq, V: Clone>() -> Cache<K, V> {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(CAPACITY)
        .weight_capacity(CAPACITY as u64)
        .shards(32)
        .hot_allocation(0.5)
        .ghost_allocation(1.0)
        .build();
    match options {
        Ok(options) => Cache::with_options(
            options,
            UnitWeighter,
            DefaultHashBuilder::default(),
            DefaultLifecycle::default(),
        ),
        // Only a capacity that is missing is an error.
        Err(_) => Cache::new(CAPACITY),
    }
}

/// A look at a bucket, or a draught from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Attempt<K> {
    key: K,
    keep: bool,
}

/// The state of each bucket: the time, in nanoseconds since the start, at which it is full again.
struct Buckets<K>(Arc<Cache<K, Arc<AtomicU64>>>);

impl<K> StateStore for Buckets<K>
where
    K: Copy + Hash + Eq + Send + Sync + 'static,
{
    type Key = Attempt<K>;

    fn measure_and_replace<T, F, E>(&self, attempt: &Self::Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let measure = |state: u64| f((state != 0).then(|| state.into()));
        if !attempt.keep {
            let state = self.0.get(&attempt.key);
            let state = state.map_or(0, |bucket| bucket.load(Ordering::Acquire));
            return measure(state).map(|(positive, _)| positive);
        }
        let Ok(bucket) = self
            .0
            .get_or_insert_with::<_, Infallible>(&attempt.key, || Ok(Arc::default()));
        let mut state = bucket.load(Ordering::Acquire);
        loop {
            let (positive, next) = measure(state)?;
            let next = next.as_u64();
            match bucket.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(positive),
                Err(other) => state = other,
            }
        }
    }
}

/// Time that only goes on: where the clock is set back it stands still for that one reading, so that
/// no caller is shut out for as long as the clock was set back by.
#[derive(Clone)]
struct Steady(Arc<SteadyState>);

struct SteadyState {
    clock: Arc<dyn Clock>,
    /// The last reading, and all that has passed so far.
    reading: Mutex<(Timestamp, Duration)>,
}

impl Steady {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let start = clock.now();
        Self(Arc::new(SteadyState {
            clock,
            reading: Mutex::new((start, Duration::ZERO)),
        }))
    }
}

impl GovernorClock for Steady {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let mut reading = self
            .0
            .reading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.now();
        let passed = reading.1.saturating_add(now.since(reading.0));
        *reading = (now, passed);
        passed.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SimulatedClock;

    fn limits(per_second: u32, burst: u32) -> (Arc<SimulatedClock>, Limits) {
        let clock = Arc::new(SimulatedClock::new(Timestamp::from_secs(1_740_514_245)));
        let rate = Some(RateLimit {
            per_second: per_second.try_into().unwrap(),
            burst: burst.try_into().unwrap(),
        });
        let settings = LimitSettings {
            address: rate,
            client: rate,
            ..LimitSettings::default()
        };
        let as_clock: Arc<dyn Clock> = clock.clone();
        (clock, Limits::new(&settings, &as_clock))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many requests an address gets through at once.
    fn burst(limits: &Limits, from: &str) -> usize {
        let from = address(from);
        let mut count = 0;
        while limits.admits(from).is_ok() {
            limits.charge(from);
            count += 1;
        }
        count
    }

    #[test]
    fn a_burst_then_the_rate() {
        let (clock, limits) = limits(2, 5);
        assert_eq!(burst(&limits, "192.0.2.1"), 5);
        assert_eq!(burst(&limits, "192.0.2.1"), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(burst(&limits, "192.0.2.1"), 2);
        clock.advance(Duration::from_hours(1));
        assert_eq!(burst(&limits, "192.0.2.1"), 5);
        assert_eq!(burst(&limits, "192.0.2.2"), 5, "an address of its own");
    }

    #[test]
    fn it_says_when_to_come_back_and_means_it() {
        let (clock, limits) = limits(1, 1);
        let from = address("192.0.2.1");
        limits.charge(from);
        let limited = limits.admits(from).unwrap_err();
        assert!(limited.retry_after >= Duration::from_secs(1), "{limited}");
        assert!(limited.retry_after <= Duration::from_secs(2), "{limited}");
        clock.advance(limited.retry_after);
        assert_eq!(limits.admits(from), Ok(()));
    }

    #[test]
    fn looking_costs_nothing() {
        let (_, limits) = limits(1, 3);
        for _ in 0..100 {
            limits.admits(address("192.0.2.1")).unwrap();
        }
        assert_eq!(burst(&limits, "192.0.2.1"), 3);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_address_is_its_own() {
        let (_, limits) = limits(1, 4);
        assert_eq!(burst(&limits, "2001:db8::1"), 4);
        assert_eq!(burst(&limits, "2001:db8::ffff:0:1"), 0);
        assert_eq!(burst(&limits, "2001:db8:0:1::1"), 4);
        assert_eq!(burst(&limits, "192.0.2.1"), 4);
        assert_eq!(burst(&limits, "::ffff:192.0.2.1"), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let (clock, limits) = limits(1, 1);
        let from = address("192.0.2.1");
        limits.charge(from);
        clock.set(Timestamp::from_secs(1));
        assert!(limits.admits(from).is_err());
        clock.advance(Duration::from_secs(2));
        assert_eq!(limits.admits(from), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory() {
        let (_, limits) = limits(1, 1);
        for number in 0..(3 * CAPACITY) {
            let network = (number as u128) << 64;
            limits.charge(Ipv6Addr::from_bits(network).into());
        }
        let store = &limits.addresses.as_ref().unwrap().buckets;
        assert!(store.len() <= CAPACITY, "{}", store.len());
        // One that is new is limited all the same.
        assert_eq!(burst(&limits, "192.0.2.1"), 1);
    }

    #[test]
    fn off_is_off() {
        let clock: Arc<dyn Clock> = Arc::new(SimulatedClock::new(Timestamp::from_secs(0)));
        let settings = LimitSettings {
            address: None,
            client: None,
            ..LimitSettings::default()
        };
        let limits = Limits::new(&settings, &clock);
        for _ in 0..10_000 {
            limits.charge(address("192.0.2.1"));
        }
        assert_eq!(limits.admits(address("192.0.2.1")), Ok(()));
    }
}
