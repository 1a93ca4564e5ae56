//! What the tests of several subjects share: child processes that see nothing of the machine's own
//! settings and do not outlive their test, servers to talk to, PostgreSQL, Python and Node.js.

mod node;
mod postgres;
mod process;
mod python;
mod wait;

pub(crate) use node::node;
pub(crate) use postgres::Postgres;
pub(crate) use process::{Running, clean_command};
pub(crate) use python::{
    MiniStack, Moto, catalog_python, infrastructure_python, ministack_server, moto_server, python,
    python_json, python_tool,
};
pub(crate) use wait::{free_port, wait_until};
