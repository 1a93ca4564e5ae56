//! What the tests of several subjects share: child processes that see nothing of the machine's own
//! settings and do not outlive their test, servers to talk to, PostgreSQL, and Python.

mod postgres;
mod process;
mod python;
mod wait;

pub(crate) use postgres::Postgres;
pub(crate) use process::{Running, clean_command};
pub(crate) use python::{
    Moto, catalog_python, infrastructure_python, moto_server, python, python_json, python_tool,
};
pub(crate) use wait::{free_port, wait_until};
