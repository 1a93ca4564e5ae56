"""Verifies a token as a relying party does that knows the issuer's URL and nothing else.

Arguments: issuer, audience, file with the token. One JSON object on standard output: the metadata, what
authlib finds wrong with it, and what PyJWT and authlib read in the token.
"""

import json
import sys
import urllib.request

import jwt
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata, get_well_known_url

REQUIRED = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"]


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def refused_by_pyjwt(token, key, algorithms, **changes):
    arguments = {"options": {"require": REQUIRED}, **changes}
    try:
        jwt.decode(token, key, algorithms=algorithms, **arguments)
    except jwt.InvalidTokenError as error:
        return type(error).__name__
    return None


def with_pyjwt(metadata, token, issuer, audience):
    algorithms = metadata["id_token_signing_alg_values_supported"]
    key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token).key
    exact = {"audience": audience, "issuer": issuer}
    claims = jwt.decode(
        token, key, algorithms=algorithms, options={"require": REQUIRED, "strict_aud": True}, **exact
    )
    head, body, signature = token.split(".")
    other = ("A" if signature[0] != "A" else "B") + signature[1:]
    late = {"require": REQUIRED, "verify_nbf": False, "verify_iat": False}
    return {
        "claims": claims,
        "other_audience": refused_by_pyjwt(
            token, key, algorithms, audience=audience + ".example", issuer=issuer
        ),
        "other_issuer": refused_by_pyjwt(
            token, key, algorithms, audience=audience, issuer=issuer + "/"
        ),
        "other_signature": refused_by_pyjwt(".".join([head, body, other]), key, algorithms, **exact),
        # As if it were read two hours later.
        "later": refused_by_pyjwt(token, key, algorithms, leeway=-7200, options=late, **exact),
    }


def with_authlib(metadata, token, issuer, audience):
    keys = JsonWebKey.import_key_set(fetch(metadata["jwks_uri"]))
    reader = JsonWebToken(metadata["id_token_signing_alg_values_supported"])
    exact = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": audience},
        "exp": {"essential": True},
    }
    claims = reader.decode(token, keys, claims_options=exact)
    claims.validate()
    return {"claims": dict(claims)}


def complaint(metadata):
    try:
        metadata.validate()
    except ValueError as error:
        return str(error)
    return None


def main():
    issuer, audience, token_file = sys.argv[1:]
    with open(token_file, encoding="ascii") as file:
        token = file.read().strip()
    metadata = fetch(get_well_known_url(issuer, external=True))
    assert metadata["issuer"] == issuer, metadata["issuer"]
    json.dump(
        {
            "metadata": metadata,
            "openid_complaint": complaint(OpenIDProviderMetadata(metadata)),
            "oauth_complaint": complaint(AuthorizationServerMetadata(metadata)),
            "pyjwt": with_pyjwt(metadata, token, issuer, audience),
            "authlib": with_authlib(metadata, token, issuer, audience),
        },
        sys.stdout,
    )


main()
