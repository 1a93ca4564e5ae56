//! The signing proxy's engine between a client and an AWS of the test's own, which verifies every signature
//! and counts what reaches it.

mod aws;
mod bodies;
mod failures;
mod paths;
mod refused;
mod sdk;
mod signed;
mod world;
