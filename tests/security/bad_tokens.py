"""Tokens that prove nothing: each as the `authorization` that carries it, by what is wrong with it."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm

from security.tokens import ROOM, Signer, encode

DAY = 24 * 3600


class Bad(NamedTuple):
    """`problem` is what RaiseAlert says of it."""

    make: Callable[[Signer], str]
    problem: str = "UNVERIFIABLE"


def bearer(make: Callable[[Signer], str], problem: str = "UNVERIFIABLE") -> Bad:
    return Bad(lambda signer: f"Bearer {make(signer)}", problem)


def good(signer: Signer, **claims: object) -> str:
    """The token of somebody who may do much, so that a hole would show."""
    return signer.sign("mallory", "dispatcher", "supervisor", "admin", **{"agency": ROOM, **claims})  # pyright: ignore[reportArgumentType]


def claims_of(signer: Signer, **others: object) -> bytes:
    claims = signer.claims("mallory", roles=["dispatcher", "supervisor", "admin"], agency=ROOM) | others
    return json.dumps({name: value for name, value in claims.items() if value is not ...}).encode()


def with_claims(**others: object) -> Callable[[Signer], str]:
    """Signed by the issuer, with these claims instead; `...` leaves one out."""
    return lambda signer: signer.sign_raw(signer.header(), claims_of(signer, **others))


def with_header(**others: object) -> Callable[[Signer], str]:
    return lambda signer: signer.sign_raw(signer.header(**others), claims_of(signer))


def with_raw(header: bytes | None, content: bytes | None) -> Callable[[Signer], str]:
    return lambda signer: signer.sign_raw(header or signer.header(), content or claims_of(signer))


def unsigned(algorithm: str) -> Callable[[Signer], str]:
    return lambda signer: f"{encode(signer.header(alg=algorithm))}.{encode(claims_of(signer))}."


def by_secret(secret: Callable[[Signer], bytes]) -> Callable[[Signer], str]:
    """HS256 over something that everybody knows."""

    def make(signer: Signer) -> str:
        signing = f"{encode(signer.header(alg='HS256'))}.{encode(claims_of(signer))}"
        return f"{signing}.{encode(hmac.digest(secret(signer), signing.encode(), 'sha256'))}"

    return make


def by_other_key(curve: ec.EllipticCurve, algorithm: str, **header: object) -> Callable[[Signer], str]:
    def make(signer: Signer) -> str:
        return jwt.encode(json.loads(claims_of(signer)), ec.generate_private_key(curve), algorithm, {"kid": signer.kid, **header})

    return make


def by_rsa(signer: Signer) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return jwt.encode(json.loads(claims_of(signer)), key, "RS256", {"kid": signer.kid})


def by_embedded_key(signer: Signer) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return jwt.encode(json.loads(claims_of(signer)), key, "ES256", {"kid": signer.kid, "jwk": public})


def by_der_signature(signer: Signer) -> str:
    signing = f"{encode(signer.header())}.{encode(claims_of(signer))}"
    return f"{signing}.{encode(signer.key.sign(signing.encode(), ec.ECDSA(hashes.SHA256())))}"


def changed(change: Callable[[str, str, str], str]) -> Callable[[Signer], str]:
    """A good token with a part of it changed."""
    return lambda signer: change(*good(signer).split("."))


def flip(part: str) -> str:
    raw = bytearray(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    raw[len(raw) // 2] ^= 1
    return encode(bytes(raw))


def pem(signer: Signer) -> bytes:
    return signer.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def promoted(header: str, _: str, signature: str) -> str:
    content = {"iss": "https://issuer.test/dev", "aud": "siaga", "sub": "mallory", "roles": ["admin"], "exp": int(time.time()) + DAY}
    return f"{header}.{encode(json.dumps(content).encode())}.{signature}"


def _find() -> Iterator[tuple[str, Bad]]:
    yield "a scheme alone", Bad(lambda _: "Bearer")
    yield "a scheme and a space", Bad(lambda _: "Bearer .")
    yield "another scheme", Bad(lambda _: "Basic bWFsbG9yeTpzZWNyZXQ=")
    yield "no scheme", Bad(good)
    yield "the scheme twice", Bad(lambda signer: f"Bearer Bearer {good(signer)}")
    yield "two tokens", Bad(lambda signer: f"Bearer {good(signer)}, Bearer {good(signer)}")
    yield "text", bearer(lambda _: "let-me-in")
    yield "dots alone", bearer(lambda _: "..")
    yield "two parts", bearer(changed(lambda header, content, _: f"{header}.{content}"))
    yield "four parts", bearer(changed(lambda header, content, signature: f"{header}.{content}.{signature}.x"))
    yield "five parts, as if encrypted", bearer(changed(lambda header, content, signature: f"{header}.{content}.x.y.{signature}"))
    yield "longer than 8 kB", bearer(lambda signer: good(signer, padding="x" * 8192))
    yield "almost as long as all headers may be", bearer(lambda signer: good(signer, padding="x" * 20000))
    for name in ("none", "None", "NONE", "nOnE", ""):
        yield f"unsigned, algorithm {name!r}", bearer(unsigned(name))
    yield "unsigned, no key id", bearer(lambda signer: encode(b'{"alg":"none"}') + f".{encode(claims_of(signer))}.")
    yield "HS256 by the public key", bearer(by_secret(pem))
    yield "HS256 by the public JWK", bearer(by_secret(lambda signer: json.dumps(signer.public).encode()))
    yield "HS256 by nothing", bearer(by_secret(lambda _: b""))
    yield "HS256 by a guess", bearer(by_secret(lambda _: b"secret"))
    yield "another key under the issuer's id", bearer(by_other_key(ec.SECP256R1(), "ES256"))
    yield "another curve under the issuer's id", bearer(by_other_key(ec.SECP384R1(), "ES384"))
    yield "RSA under the issuer's id", bearer(by_rsa)
    yield "a key in the token", bearer(by_embedded_key)
    yield "a key at an address", bearer(by_other_key(ec.SECP256R1(), "ES256", jku="http://127.0.0.1:1/keys", x5u="http://127.0.0.1:1/keys"))
    yield "an unknown key id", bearer(with_header(kid="somebody-elses"))
    yield "a key id that is a path", bearer(with_header(kid="../../../../dev/null"))
    yield "a key id that is SQL", bearer(with_header(kid="x' UNION SELECT 'secret"))
    yield "a key id that is a number", bearer(with_header(kid=1))
    yield "a key id that is a list", bearer(with_header(kid=["x"]))
    yield "no key id", bearer(with_raw(b'{"alg":"ES256"}', None))
    yield "an algorithm in lower case", bearer(with_header(alg="es256"))
    yield "another algorithm's name", bearer(with_header(alg="EdDSA"))
    yield "an algorithm that is a list", bearer(with_header(alg=["ES256"]))
    yield "an unknown critical header", bearer(with_header(crit=["siaga"], siaga=True))
    yield "a critical header that is none", bearer(with_header(crit=[]))
    yield "a detached payload", bearer(with_header(b64=False, crit=["b64"]))
    yield "a header that is a list", bearer(with_raw(b"[]", None))
    yield "a header that is no JSON", bearer(with_raw(b"{", None))
    yield "a header that is no text", bearer(with_raw(b"\xff\xfe\x00", None))
    yield "a header nested too deep", bearer(with_raw(b'{"kid":' + b"[" * 2500 + b"]" * 2500 + b"}", None))
    yield "a payload nested too deep", bearer(with_raw(None, b'{"sub":' + b"[" * 2500 + b"]" * 2500 + b"}"))
    yield "no signature", bearer(changed(lambda header, content, _: f"{header}.{content}."))
    yield "half a signature", bearer(changed(lambda header, content, signature: f"{header}.{content}.{signature[:43]}"))
    yield "a signature of zeros", bearer(changed(lambda header, content, _: f"{header}.{content}.{encode(bytes(64))}"))
    yield "a signature in another form", bearer(by_der_signature)
    yield "a signature with one bit changed", bearer(changed(lambda header, content, signature: f"{header}.{content}.{flip(signature)}"))
    yield "the signature of another token", bearer(lambda signer: f"{good(signer).rsplit('.', 1)[0]}.{good(signer, x=1).rsplit('.', 1)[1]}")
    yield "a changed payload", bearer(changed(promoted))
    yield "a payload with one bit changed", bearer(changed(lambda header, content, signature: f"{header}.{flip(content)}.{signature}"))
    yield "a payload that is a list", bearer(with_raw(None, b"[]"))
    yield "a payload that is no JSON", bearer(with_raw(None, b"{"))
    yield "a payload that is no text", bearer(with_raw(None, b"\xff\xfe"))
    yield "expired a minute ago", bearer(lambda signer: good(signer, exp=int(time.time()) - 60), "EXPIRED")
    yield "expired 91 days ago", bearer(lambda signer: good(signer, exp=int(time.time()) - 91 * DAY), "EXPIRED")
    yield "expired before all time", bearer(lambda signer: good(signer, exp=-1), "EXPIRED")
    yield "no expiry", bearer(with_claims(exp=...))
    for name, value in {"text": "tomorrow", "nothing": None, "true": True, "a list": [1]}.items():
        yield f"an expiry that is {name}", bearer(with_claims(exp=value))
    for word in (b"NaN", b"Infinity", b"-Infinity", b"1e999"):
        for claim in (b"exp", b"nbf", b"iat"):
            yield f"{claim.decode()} is {word.decode()}", bearer(with_unnumber(claim, word))
    yield "not valid yet", bearer(with_claims(nbf=int(time.time()) + DAY), "NOT_YET_VALID")
    yield "issued tomorrow", bearer(with_claims(iat=int(time.time()) + DAY), "NOT_YET_VALID")
    yield "a start that is text", bearer(with_claims(nbf="now"))
    yield "another issuer", bearer(with_claims(iss="https://issuer.test/other"), "FOREIGN")
    yield "no issuer", bearer(with_claims(iss=...))
    yield "an issuer that is a list", bearer(with_claims(iss=["https://issuer.test/dev"]), "FOREIGN")
    yield "another audience", bearer(with_claims(aud="siaga-test"), "FOREIGN")
    yield "other audiences", bearer(with_claims(aud=["other", "siaga "]), "FOREIGN")
    yield "no audience", bearer(with_claims(aud=...))
    yield "an empty list of audiences", bearer(with_claims(aud=[]))
    yield "an audience that is an object", bearer(with_claims(aud={"siaga": 1}), "FOREIGN")
    yield "nobody", bearer(with_claims(sub=...))
    yield "an empty subject", bearer(with_claims(sub=""))
    yield "a subject that is a number", bearer(with_claims(sub=1))
    yield "roles in one word", bearer(with_claims(roles="admin"))
    yield "roles in an object", bearer(with_claims(roles={"admin": True}))
    yield "an agency that is a list", bearer(with_claims(agency=[ROOM]))
    yield "a name that is a number", bearer(with_claims(name=1))


def with_unnumber(claim: bytes, word: bytes) -> Callable[[Signer], str]:
    """A time that JSON cannot say, but Python reads."""

    def make(signer: Signer) -> str:
        content = claims_of(signer, **{claim.decode(): "UNNUMBER"})
        return signer.sign_raw(signer.header(), content.replace(b'"UNNUMBER"', word))

    return make


BAD_TOKENS = dict(_find())
