//! The local STS over HTTP: the record of AWS's answers, attacks, and sessions at work.

mod attacks;
mod cases;
mod chains;
mod keys;
mod sessions;
mod world;
