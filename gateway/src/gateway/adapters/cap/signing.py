"""Signs CAP documents by an enveloped XML signature (section 3.3.4.1 of CAP 1.2)."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.signer import XMLSigner

from gateway.adapters.cap.names import Element


class Signer:
    """Signs with the private key of a PEM file, and adds the certificate for it that stands in the same file."""

    def __init__(self, file: Path) -> None:
        """Read both. Raises SystemExit that says what is wrong with the file, and nothing of what it holds."""
        try:
            content = file.read_bytes()
            key = serialization.load_pem_private_key(content, None)
            self._certificates = x509.load_pem_x509_certificates(content)
        except (OSError, ValueError, TypeError) as error:
            # A password that is needed is a TypeError.
            raise SystemExit(f"GATEWAY_CAP_KEY_FILE: {file} has no key and certificate that can be read: {type(error).__name__}") from None
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise SystemExit(f"GATEWAY_CAP_KEY_FILE: the key in {file} must be an RSA or an elliptic curve one")
        if key.public_key() != self._certificates[0].public_key():
            raise SystemExit(f"GATEWAY_CAP_KEY_FILE: the first certificate in {file} is not for the key")
        self._key = key
        self._method = SignatureMethod.RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else SignatureMethod.ECDSA_SHA256
        # By which signatures of one key are told from those of another.
        self.mark = self._certificates[0].fingerprint(hashes.SHA256()).hex()[:16]

    def sign(self, document: Element) -> Element:
        """Return the document with its signature, as its last element."""
        method = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
        signer = XMLSigner(signature_algorithm=self._method, c14n_algorithm=method)
        return signer.sign(document, key=self._key, cert=self._certificates)
