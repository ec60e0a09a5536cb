"""Verifies signatures by libxmlsec1, which shares nothing with what makes them but libxml2."""

import xmlsec
from lxml import etree


def verifies(content: bytes, certificate: bytes) -> bool:
    """Whether the document was signed with the key of this certificate, and is what was signed."""
    root = etree.fromstring(content)
    manager = xmlsec.KeysManager()
    manager.load_cert_from_memory(certificate, xmlsec.constants.KeyDataFormatPem, xmlsec.constants.KeyDataTypeTrusted)
    context = xmlsec.SignatureContext(manager)
    node = xmlsec.tree.find_node(root, xmlsec.constants.NodeSignature)
    if node is None:
        return False
    try:
        context.verify(node)
    except xmlsec.Error:
        return False
    return True
