"""The owner in a leaf certificate (source repository owner URI), for clients that want one."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

OWNER: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.16")
# gh compares with this prefix and what --owner says. Nobody's account is claimed by it: what such a
# name is worth is what the trusted root is worth.
_OWNERS: Final = "https://github.com/"


def claim(authority: x509.Certificate) -> bytes:
    """The organization of the authority, as the name after --owner."""
    (name,) = authority.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return f"{_OWNERS}{str(name.value).lower()}".encode()


def owner_of(leaf: x509.Certificate) -> str:
    """The last part of the owner's address, as after --owner; empty when the leaf names none."""
    for extension in leaf.extensions:
        if extension.oid == OWNER and isinstance(extension.value, x509.UnrecognizedExtension):
            return extension.value.value.decode("ascii", "ignore").rpartition("/")[2]
    return ""
