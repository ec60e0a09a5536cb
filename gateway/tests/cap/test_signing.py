"""Signatures: another program verifies them, nothing can be changed below them, and a wrong key file is told at the start."""

from pathlib import Path

import pytest
from cap_standard import CAP, read_document
from keys import KINDS, make_certificate, make_key, make_key_file, write_key
from lxml import etree
from test_documents import make_warning, texts
from verifying import verifies

from gateway.adapters.cap.documents import serialize, write_document
from gateway.adapters.cap.signing import Signer


def sign(folder: Path, kind: str) -> tuple[bytes, bytes]:
    path, certificate = make_key_file(folder, kind)
    warning = make_warning(english=texts("Flood <&> \u202e \N{FIRE}"))
    return serialize(Signer(path).sign(write_document(warning))), certificate


@pytest.mark.parametrize("kind", KINDS)
def test_another_program_verifies_it_and_it_is_still_a_document_by_the_schema(tmp_path: Path, kind: str) -> None:
    content, certificate = sign(tmp_path, kind)
    root = read_document(content)
    assert verifies(content, certificate)
    # It is the last element, signs the whole of the document, and carries the certificate.
    assert [etree.QName(each).localname for each in root][-1] == "Signature"
    assert [each.get("URI") for each in root.findall(".//ds:Reference", CAP)] == [""]
    held = "".join("".join(root.xpath("//ds:X509Certificate/text()", namespaces=CAP)).split())
    assert held == "".join(certificate.decode().split("-----")[2].split())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("said", "forged"), [(b"Severe", b"Minor"), (b"Flood", b"Sunny"), (b"31.71.01", b"31.71.02")])
def test_nothing_can_be_changed(tmp_path: Path, kind: str, said: bytes, forged: bytes) -> None:
    content, certificate = sign(tmp_path, kind)
    assert said in content
    changed = content.replace(said, forged, 1)
    # Something more, before the signature.
    more = content.replace(b"</info>", b"</info><info/>", 1)
    assert verifies(content, certificate)
    assert not verifies(changed, certificate)
    assert not verifies(more, certificate)


def test_the_signature_of_another_key_does_not_verify(tmp_path: Path) -> None:
    content, _ = sign(tmp_path, "ec")
    assert not verifies(content, make_certificate(make_key("ec")))
    assert not verifies(serialize(write_document(make_warning())), make_certificate(make_key("ec")))


def test_a_key_file_that_cannot_sign_is_told_and_nothing_of_it(tmp_path: Path) -> None:
    key, other = make_key("ec"), make_key("ec")
    strange = make_key("ed25519")
    wrong = {
        "no key": make_certificate(key),
        "no certificate": write_key(key),
        "nothing": b"",
        "a certificate for another key": write_key(key) + make_certificate(other),
        "a password": write_key(key, b"a password") + make_certificate(key),
        "another kind of key": write_key(strange) + make_certificate(strange),
        "a directory": None,
    }
    for label, content in wrong.items():
        path = tmp_path / label
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
        with pytest.raises(SystemExit, match="GATEWAY_CAP_KEY_FILE") as caught:
            Signer(path)
        assert "BEGIN" not in str(caught.value)
    with pytest.raises(SystemExit, match="GATEWAY_CAP_KEY_FILE"):
        Signer(tmp_path / "absent")


def test_the_first_certificate_is_the_keys_and_those_that_follow_come_along(tmp_path: Path) -> None:
    key, above = make_key("rsa"), make_key("rsa")
    path = tmp_path / "chain.pem"
    own = make_certificate(key)
    path.write_bytes(write_key(key) + own + make_certificate(above))
    content = serialize(Signer(path).sign(write_document(make_warning())))
    read_document(content)
    assert len(etree.fromstring(content).findall(".//ds:X509Certificate", CAP)) == 2
    assert verifies(content, own)
