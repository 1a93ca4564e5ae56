//! What was answered is on the disk, however the server ends.

pub(crate) mod heavy;
