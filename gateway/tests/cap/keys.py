"""Keys and certificates for the tests of signatures."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID

KINDS = ("rsa", "ec")


def make_key(kind: str) -> CertificateIssuerPrivateKeyTypes:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else ed25519.Ed25519PrivateKey.generate()


def make_certificate(key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """One that it signed itself, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "siaga.example")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(30))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


def write_key(key: CertificateIssuerPrivateKeyTypes, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def make_key_file(folder: Path, kind: str) -> tuple[Path, bytes]:
    """A file as the setting names it, and the certificate in it."""
    key = make_key(kind)
    certificate = make_certificate(key)
    path = folder / f"{kind}.pem"
    path.write_bytes(write_key(key) + certificate)
    return path, certificate
