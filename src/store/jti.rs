//! How a used `jti` is remembered.

use aws_lc_rs::digest::{SHA256, digest};

use crate::domain::EnvironmentId;

/// How much of a `jti` its key begins with: as much as holds a `UUIDv7`'s time (RFC 9562 §5.7).
const PREFIX: usize = 13;

/// What stands for a client's `jti` in the database.
pub(super) type JtiKey = [u8; PREFIX + 16];

/// The key of a client's `jti`: its first 13 bytes, filled up with zeros, and 16 bytes of a SHA-256
/// over the client's id, which has a fixed length, and the `jti`.
///
/// The hash makes it unique and bounds it. 128 bits suffice: a client could only ever make two of
/// its own `jti` collide, which refuses the second, and to spoil another's it would have to hit one
/// that does not exist yet. The prefix is for speed only: where clients name their assertions by
/// time, as `UUIDv7` do, one batch's keys lie side by side, and the database writes one page instead
/// of one for each.
pub(super) fn jti_key(client: EnvironmentId, jti: &str) -> JtiKey {
    let mut bytes = client.to_string().into_bytes();
    bytes.extend_from_slice(jti.as_bytes());
    let mut key = [0; PREFIX + 16];
    for (to, from) in key[..PREFIX].iter_mut().zip(jti.as_bytes()) {
        *to = *from;
    }
    key[PREFIX..].copy_from_slice(&digest(&SHA256, &bytes).as_ref()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_on_the_client_and_the_jti() {
        let a = "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap();
        let b = "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap();
        assert_eq!(jti_key(a, "1"), jti_key(a, "1"));
        assert_ne!(jti_key(a, "1"), jti_key(a, "2"));
        assert_ne!(jti_key(a, "1"), jti_key(b, "1"));
        assert_ne!(jti_key(a, "1\0"), jti_key(a, "1"));
        assert_ne!(jti_key(a, &"é".repeat(40)), jti_key(a, &"é".repeat(41)));
    }

    #[test]
    fn lies_in_the_order_of_time() {
        let a = "0191e223-1c3c-7607-badf-303c98b52d2f".parse().unwrap();
        let b = "019527e4-75d5-704d-a5a4-a2b52cf56196".parse().unwrap();
        let early = jti_key(a, "0191e223-1c3c-7fff-badf-303c98b52d2f");
        let late = jti_key(b, "0191e223-1c3d-7000-badf-303c98b52d2f");
        assert!(early < late);
        let other = jti_key(a, "0191e223-1c3b-7fff-badf-303c98b52d2f");
        assert!(other < early);
    }
}
