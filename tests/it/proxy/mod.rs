//! The signing proxy.

mod check;
mod clients;
mod commands;
mod engine;
mod log;
mod ways_in;
