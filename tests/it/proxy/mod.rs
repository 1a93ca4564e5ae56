//! The signing proxy.

mod commands;
mod engine;
mod log;
mod ways_in;
