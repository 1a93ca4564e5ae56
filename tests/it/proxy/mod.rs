//! The signing proxy.

mod check;
mod commands;
mod engine;
mod log;
mod ways_in;
