//! What the benchmarks share: the real server in a process of its own, environments that it knows, a load
//! generator that costs little, and the way figures are printed.

pub(crate) mod bare;
pub(crate) mod crypto;
pub(crate) mod demo;
pub(crate) mod environments;
pub(crate) mod load;
pub(crate) mod nginx;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod report;
pub(crate) mod route;
pub(crate) mod site;
pub(crate) mod upstream;

/// Whether Cargo runs this as a benchmark. `cargo test --benches` and nextest start the program too, and
/// measure nothing.
pub(crate) fn wanted() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The middle one of some numbers; of an even count the upper of the two.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
