"""The words of the standards: namespaces and media types."""

# lxml gives the type of what it makes no public name.
from lxml.etree import _Element as Element  # pyright: ignore[reportPrivateUsage]

__all__ = ["ATOM", "ATOM_TYPE", "CAP", "CAP_TYPE", "XML_LANG", "Element"]

CAP = "{urn:oasis:names:tc:emergency:cap:1.2}"
CAP_TYPE = "application/cap+xml"
ATOM = "{http://www.w3.org/2005/Atom}"
ATOM_TYPE = "application/atom+xml"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
