//! What was answered is on the disk, however the server ends.

mod heavy;
