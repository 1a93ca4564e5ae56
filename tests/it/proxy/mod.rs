//! The signing proxy.

mod engine;
mod ways_in;
