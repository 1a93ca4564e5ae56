//! Several servers on one PostgreSQL database.

mod heavy;
mod shared;
mod world;
