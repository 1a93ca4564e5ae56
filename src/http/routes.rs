//! What a path is for, told without the router: before it runs, and in few enough words for a label.

use url::Url;

use crate::domain::Issuer;

/// What is served at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Discovery,
    Jwks,
    Token,
    EnrollNonce,
    Enroll,
    Admin,
    Sts,
    Other,
}

impl Route {
    pub(super) const ALL: [Self; 8] = [
        Self::Discovery,
        Self::Jwks,
        Self::Token,
        Self::EnrollNonce,
        Self::Enroll,
        Self::Admin,
        Self::Sts,
        Self::Other,
    ];

    /// The label in metrics and logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::Token => "token",
            Self::EnrollNonce => "enroll_nonce",
            Self::Enroll => "enroll",
            Self::Admin => "admin",
            Self::Sts => "sts",
            Self::Other => "other",
        }
    }

    /// A document, which anybody may have as often as they like.
    pub(super) const fn is_document(self) -> bool {
        matches!(self, Self::Discovery | Self::Jwks)
    }

    /// Whether errors have `OAuth`'s shape there.
    pub(super) const fn is_oauth(self) -> bool {
        matches!(self, Self::Token | Self::EnrollNonce | Self::Enroll)
    }
}

/// The paths of one server.
pub(super) struct Routes {
    /// Without a slash at the end.
    bases: Vec<String>,
}

impl Routes {
    /// Below the path of the issuer, and of the address that environments reach.
    pub(super) fn new(issuer: &Issuer, server_url: &Url) -> Self {
        let mut bases = vec![
            issuer.path().to_owned(),
            server_url.path().trim_end_matches('/').to_owned(),
        ];
        bases.dedup();
        Self { bases }
    }

    pub(super) fn of(&self, path: &str) -> Route {
        self.bases
            .iter()
            .filter_map(|base| path.strip_prefix(base.as_str()))
            .find_map(|rest| match rest {
                "/.well-known/jwks.json" => Some(Route::Jwks),
                "/.well-known/openid-configuration" => Some(Route::Discovery),
                "/oauth2/token" => Some(Route::Token),
                "/enroll/nonce" => Some(Route::EnrollNonce),
                "/enroll" | "/enroll/rotate" => Some(Route::Enroll),
                _ => None,
            })
            .unwrap_or_else(|| {
                let below = |prefix: &str| {
                    path.strip_prefix(prefix)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                if below("/api/v1") {
                    Route::Admin
                } else if below("/sts") {
                    Route::Sts
                } else {
                    Route::Other
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_below_both_addresses() {
        let issuer = "https://idp.example.com/o/x".parse().unwrap();
        let routes = Routes::new(&issuer, &"https://inside.example/idp/".parse().unwrap());
        for (path, route) in [
            ("/o/x/.well-known/jwks.json", Route::Jwks),
            ("/idp/.well-known/openid-configuration", Route::Discovery),
            ("/idp/oauth2/token", Route::Token),
            ("/o/x/enroll", Route::Enroll),
            ("/o/x/enroll/rotate", Route::Enroll),
            ("/o/x/enroll/nonce", Route::EnrollNonce),
            ("/oauth2/token", Route::Other),
            ("/api/v1/keys", Route::Admin),
            ("/api/v1x", Route::Other),
            ("/sts/", Route::Sts),
            ("", Route::Other),
        ] {
            assert_eq!(routes.of(path), route, "{path}");
        }
    }
}
