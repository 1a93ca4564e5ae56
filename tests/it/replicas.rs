//! Several servers on one PostgreSQL database.

mod deploy;
mod heavy;
mod reseal;
mod shared;
mod world;
