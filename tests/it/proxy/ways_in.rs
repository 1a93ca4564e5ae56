//! How requests reach the signing proxy, and what never gets in. The engine behind the door is one that
//! says what it was given.

mod certificates;
mod door;
mod refused;
mod taken;
