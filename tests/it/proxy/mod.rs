//! The signing proxy.

mod commands;
mod engine;
mod ways_in;
