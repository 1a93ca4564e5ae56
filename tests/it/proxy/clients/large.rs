//! Bodies of any size: byte-exact, with flat memory. 256 MiB each way, or as many bytes as
//! `IDP_TEST_LARGE_BYTES` says.

use serde_json::Value;

use super::{
    bucket::Bucket,
    pattern,
    relay::Keyring,
    sdk,
    stage::{Stage, Way},
};
use crate::support::python;

/// By how much the proxy may grow, in MiB, whatever the size.
const GROWTH: f64 = 16.0;

fn size() -> u64 {
    std::env::var("IDP_TEST_LARGE_BYTES")
        .map_or(256 << 20, |text| text.parse().expect("a number of bytes"))
}

mod heavy {
    use super::*;

    #[test]
    fn large_bodies_pass_byte_by_byte_in_flat_memory() {
        if python().is_none() {
            return;
        }
        let (keys, bucket, size) = (Keyring::default(), Bucket::default(), size());
        let stage = Stage::new(&keys, bucket.server(&keys));
        // What the first transfer allocates for good.
        let small = (16_u64 << 20).to_string();
        sdk::boto(&stage, Way::Intercepted, "large.py", &[&small]).unwrap();
        let before = stage.memory("VmRSS");
        let text = size.to_string();
        let done: Value = sdk::boto(&stage, Way::Intercepted, "large.py", &[&text]).unwrap();
        let grown = stage.memory("VmHWM") - before;
        eprintln!("{size} bytes: {done}; VmRSS before {before:.1} MiB, VmHWM {grown:+.1} MiB");
        let stored = bucket.object(&format!("up/{size}")).unwrap();
        assert_eq!(stored.length, size);
        let wanted = pattern::sha256(size);
        assert_eq!(stored.sha256, wanted, "what went up");
        assert_eq!(done["down"], wanted, "what came down");
        assert!(grown < GROWTH, "{grown} MiB");
        let sizes = stage.answered(2, |record| {
            record["bytes_in"].as_u64() >= Some(size) || record["bytes_out"] == size
        });
        assert_eq!(sizes.len(), 2);
    }
}
