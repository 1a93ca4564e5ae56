//! How much of a session's room policies, tags and source identity take.

use super::Refusal;

/// What the policies' plaintext may have.
const ROOM: usize = 2048;

/// The packed size in percent. AWS packs policies and tags in a binary form of its own; this counts
/// their characters against the 2,048 that the policies' plaintext may have.
pub(super) fn size(
    policy: Option<&str>,
    policy_arns: &[&str],
    tags: &[(String, String)],
    source_identity: Option<&str>,
) -> Result<usize, Refusal> {
    let policies =
        policy.map_or(0, str::len) + policy_arns.iter().map(|arn| arn.len()).sum::<usize>();
    let tags: usize = tags
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let source_identity = source_identity.map_or(0, str::len);
    let percent = ((policies + tags + source_identity) * 100).div_ceil(ROOM);
    if percent > 100 {
        return Err(Refusal::new(
            "PackedPolicyTooLarge",
            400,
            format!(
                "Packed policy consumes {percent}% of allotted space, please use smaller policy."
            ),
            "session policies, tags and source identity are too long together",
        ));
    }
    Ok(percent)
}
