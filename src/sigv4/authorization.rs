//! The `Authorization` header.

use super::SignatureError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The access key id.
    pub access_key_id: String,
    /// What the signature is for.
    pub scope: CredentialScope,
    /// The names of the signed headers: lower case, sorted, none twice.
    pub signed_headers: Vec<String>,
    /// The signature.
    pub(super) signature: [u8; 32],
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorization")
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}

/// `DATE/REGION/SERVICE/aws4_request`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialScope {
    /// `YYYYMMDD`.
    pub date: String,
    /// The region.
    pub region: String,
    /// The service's signing name.
    pub service: String,
}

impl std::fmt::Display for CredentialScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        )
    }
}

impl Authorization {
    /// Takes the header's value apart. Errors: [`SignatureError::IncompleteSignature`], which names
    /// the part that is missing or malformed.
    pub fn parse(header: &str) -> Result<Self, SignatureError> {
        let incomplete = |text: String| SignatureError::IncompleteSignature(text);
        let rest = header
            .strip_prefix(ALGORITHM)
            .filter(|rest| rest.starts_with([' ', '\t']))
            .ok_or_else(|| incomplete(format!("Authorization header requires '{ALGORITHM}'.")))?;
        let fields = Fields::read(rest)?;
        let part = |name: &str, value: Option<&'_ str>| {
            value
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
                .ok_or_else(|| {
                    incomplete(format!("Authorization header requires '{name}' parameter."))
                })
        };
        let (access_key_id, scope) = credential_parts(&part("Credential", fields.credential)?)?;
        let signed_headers = header_names(&part("SignedHeaders", fields.signed_headers)?)?;
        let mut bytes = [0; 32];
        let signature = part("Signature", fields.signature)?;
        // A text that is not 64 hex digits cannot match; it is not told apart from one that does
        // not.
        hex::decode_to_slice(signature, &mut bytes)
            .map_err(|_| SignatureError::SignatureDoesNotMatch)?;
        Ok(Self {
            access_key_id,
            scope,
            signed_headers,
            signature: bytes,
        })
    }
}

/// The parts of the header behind its algorithm.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) credential: Option<&'a str>,
    pub(super) signed_headers: Option<&'a str>,
    pub(super) signature: Option<&'a str>,
}

impl<'a> Fields<'a> {
    pub(super) fn read(rest: &'a str) -> Result<Self, SignatureError> {
        let incomplete = |text: String| SignatureError::IncompleteSignature(text);
        let mut fields = Self::default();
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or_else(|| {
                incomplete(
                    "a part of the Authorization header is not a valid key=value pair \
                     (missing equal-sign)."
                        .to_owned(),
                )
            })?;
            let slot = match name {
                "Credential" => &mut fields.credential,
                "SignedHeaders" => &mut fields.signed_headers,
                "Signature" => &mut fields.signature,
                // Unknown parts are no part of what is verified.
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(incomplete(format!(
                    "Authorization header has '{name}' twice."
                )));
            }
        }
        Ok(fields)
    }
}

fn credential_parts(text: &str) -> Result<(String, CredentialScope), SignatureError> {
    let fields: Vec<_> = text.split('/').collect();
    match fields.as_slice() {
        [key, date, region, service, "aws4_request"]
            if fields.iter().all(|field| !field.is_empty()) =>
        {
            Ok((
                (*key).to_owned(),
                CredentialScope {
                    date: (*date).to_owned(),
                    region: (*region).to_owned(),
                    service: (*service).to_owned(),
                },
            ))
        }
        _ => Err(SignatureError::IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/aws4_request."
                .to_owned(),
        )),
    }
}

fn header_names(text: &str) -> Result<Vec<String>, SignatureError> {
    let names: Vec<_> = text.split(';').map(str::to_owned).collect();
    let ascending = names.windows(2).all(|pair| pair[0] < pair[1]);
    let well_formed = names
        .iter()
        .all(|name| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
    if ascending && well_formed {
        Ok(names)
    } else {
        Err(SignatureError::IncompleteSignature(
            "SignedHeaders must be lower-case header names, sorted, separated by ';', none twice."
                .to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "AWS4-HMAC-SHA256 Credential=ASIAX/20250225/us-east-1/sts/aws4_request, \
        SignedHeaders=host;x-amz-date, \
        Signature=0000000000000000000000000000000000000000000000000000000000000001";

    #[test]
    fn takes_the_header_apart() {
        let header = Authorization::parse(GOOD).unwrap();
        assert_eq!(header.access_key_id, "ASIAX");
        assert_eq!(
            header.scope.to_string(),
            "20250225/us-east-1/sts/aws4_request"
        );
        assert_eq!(header.signed_headers, ["host", "x-amz-date"]);
        assert_eq!(header.signature[31], 1);
        assert_eq!(Authorization::parse(&GOOD.replace(", ", ",")), Ok(header));
    }

    #[test]
    fn names_the_part_that_is_wrong_and_never_the_signature() {
        for (header, says) in [
            (String::new(), "AWS4-HMAC-SHA256"),
            ("Bearer x".to_owned(), "AWS4-HMAC-SHA256"),
            (GOOD.replace("Credential=", ""), "missing equal-sign"),
            (GOOD.replace("Credential", "Cred"), "'Credential'"),
            (GOOD.replace("SignedHeaders", "Sh"), "'SignedHeaders'"),
            (GOOD.replace("Signature", "Sig"), "'Signature'"),
            (GOOD.replace("/sts", ""), "5 slash-delimited"),
            (GOOD.replace("/sts", "/"), "5 slash-delimited"),
            (GOOD.replace("aws4_request", "aws4"), "5 slash-delimited"),
            (GOOD.replace("host;x-amz-date", "x-amz-date;host"), "sorted"),
            (GOOD.replace("host;", "Host;"), "lower-case"),
            (GOOD.replace("host;", "host;host;"), "none twice"),
            (format!("{GOOD}, Signature=00"), "twice"),
        ] {
            let error = Authorization::parse(&header).unwrap_err();
            assert_eq!(error.code(), "IncompleteSignature", "{header}");
            assert!(error.to_string().contains(says), "{header}: {error}");
            assert!(!error.to_string().contains("00000001"), "{error}");
        }
        assert_eq!(
            Authorization::parse(&GOOD.replace("01", "0g")),
            Err(SignatureError::SignatureDoesNotMatch)
        );
    }

    proptest! {
        #[test]
        fn no_header_panics(header in "(AWS4-HMAC-SHA256 )?.{0,80}") {
            drop(Authorization::parse(&header));
        }
    }
}
