//! The signing proxy.

mod ways_in;
