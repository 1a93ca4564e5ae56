//! Static publication: discovery and JWKS as objects for any https host, so that the server itself
//! can stay private.

use bytes::Bytes;

use super::Server;
use crate::{
    http,
    ports::{NewObject, ObjectError, ObjectStore},
};

/// Writes `.well-known/jwks.json` and `.well-known/openid-configuration` below a place that stands for
/// the issuer's URL: keys first, so that discovery never points at a set that is not there. Media type
/// and caching are those of the server. `wrote` is told each as it is there.
///
/// # Errors
/// See [`ObjectError`]. Each object is whole or as it was.
pub async fn publish(
    server: &Server,
    objects: &dyn ObjectStore,
    mut wrote: impl FnMut(&str),
) -> Result<(), ObjectError> {
    let service = &server.service;
    let discovery = http::discovery(
        service.issuer(),
        service.keys().algorithm(),
        &server.server_url,
    );
    for (name, body, cache_control) in [
        (
            ".well-known/jwks.json",
            service.keys().jwks().body.clone(),
            http::JWKS_CACHE,
        ),
        (
            ".well-known/openid-configuration",
            Bytes::from(discovery),
            http::DISCOVERY_CACHE,
        ),
    ] {
        let object = NewObject {
            name: name.to_owned(),
            body,
            content_type: "application/json",
            cache_control: Some(cache_control),
        };
        objects.put(object).await?;
        wrote(&objects.place(name));
    }
    Ok(())
}
