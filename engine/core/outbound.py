"""Which addresses on the network we may ask for somebody who is no admin. Pure.

Whoever can name an address could have us ask what only this machine reaches: itself, its network,
a cloud's metadata. So an address is read strictly, and every IP that its name stands for is judged
by what it really leads to, also through IPv6 forms that carry an IPv4 address inside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from engine.core.errors import Malformed

Ip: TypeAlias = IPv4Address | IPv6Address

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<target>[/?][\x21\x24-\x5b\x5d-\x7e]*)?",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)
_PORTS: Final = {"https": 443, "http": 80}

# Not in the tables below: what a library calls global changes from release to release.
_V4_OWN: Final = tuple(
    map(
        IPv4Network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    )
)
_V4_NEVER: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "169.254.0.0/16",  # link-local: metadata of clouds
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_V6_OWN: Final = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_V6_GLOBAL: Final = IPv6Network("2000::/3")
_V6_NEVER: Final = tuple(
    map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20", "2620:4f:8000::/48"))
)
# Forms with an IPv4 address in them: (network, bits behind it).
_CARRIERS: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address as it was read. `host` is lower case, without brackets or a last dot.

    Attributes:
        target: path and query, at least `/`.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """As the header Host has it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"

    def shown(self, *, whole: bool) -> str:
        """For people; not whole where the path is a secret, as with chats."""
        return f"{self.scheme}://{self.authority}{self.target if whole else '/…'}"

    def at(self, ip: str) -> str:
        """The same address with the IP in the place of the name."""
        name = f"[{ip}]" if ":" in ip else ip
        return f"{self.scheme}://{name}:{self.port}{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Hosts that an admin lists: they may be asked over http, and lie in our own network.

    Attributes:
        hosts: `NAME` or `NAME:PORT`, lower case.
    """

    hosts: frozenset[str] = frozenset()

    def listed(self, address: Address) -> bool:
        return bool(self.hosts & {address.host, f"{address.host}:{address.port}"})


def read_address(text: str, allowed: Allowed, *, where: str) -> Address:
    """Read an address of somebody's, and say what can be said without asking a name server.

    Raises:
        Malformed: not an address to be asked; what it holds beyond its host is not repeated.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise Malformed(
            "expected https://HOST[:PORT]/PATH without name, password and fragment, found "
            f"{_beginning(text)!r}",
            where=where,
        )
    scheme, host = found["scheme"], found["host"].strip("[]").rstrip(".").lower()
    port = int(found["port"] or _PORTS[scheme])
    target = found["target"] or "/"
    address = Address(
        scheme=scheme,
        host=host,
        port=port,
        target=target if target.startswith("/") else f"/{target}",
    )
    if not host or not 1 <= port <= 65_535:
        raise Malformed(f"expected a host and a port, found {_beginning(text)!r}", where=where)
    if scheme == "http" and not allowed.listed(address):
        raise Malformed(
            f"expected https://, found http://{address.authority}: an admin may list this host "
            "under outbound.allowed_hosts",
            where=where,
        )
    if disguised(host):
        raise Malformed(
            f"expected a name or a plain IP address, found {host!r}, which is a number in disguise",
            where=where,
        )
    literal = _literal(host)
    why = "" if literal is None else refusal(literal, address, allowed)
    if why:
        raise Malformed(why, where=where)
    return address


def disguised(host: str) -> bool:
    """True for `2130706433`, `0x7f000001`, `0177.0.0.1`, `127.1`: C libraries read an IPv4 address
    there, and most filters don't."""
    if ":" in host or not all(_NUMBER.fullmatch(part) for part in host.split(".")):
        return False
    return _literal(host) is None


def refusal(ip: Ip, address: Address, allowed: Allowed) -> str:
    """Why this IP may not be asked for `address`, in one sentence; empty when it may."""
    listed = allowed.listed(address)
    if listed and _literal(address.host) == ip:
        return ""
    inner = leads_to(ip)
    if _within(inner, _V4_NEVER) or _never6(inner):
        return f"{address.host} leads to {_told(ip, inner)}, which is never asked"
    own = _within(inner, _V4_OWN) or _within(inner, _V6_OWN)
    if own and not listed:
        return (
            f"{address.host} leads to {_told(ip, inner)}, inside our own network: an admin may "
            "list this host under outbound.allowed_hosts"
        )
    return ""


def checked(ips: Iterable[str], address: Address, allowed: Allowed) -> tuple[str, tuple[str, ...]]:
    """(why none of them may be asked, the IPs to ask in this order). Every one has to be good: of
    a name that stands for several we could not say which one is asked in the end."""
    found: list[str] = []
    for text in ips:
        try:
            ip = ip_address(text.partition("%")[0])
        except ValueError:
            return f"{address.host} leads to {text!r}, which is no IP address", ()
        why = refusal(ip, address, allowed)
        if why:
            return why, ()
        found.append(str(ip))
    if not found:
        return f"{address.host} leads nowhere", ()
    return "", tuple(dict.fromkeys(found))


def leads_to(ip: Ip) -> Ip:
    """The IPv4 address that an IPv6 one carries, through however many layers; else itself."""
    if isinstance(ip, IPv4Address):
        return ip
    for network, behind in _CARRIERS:
        if ip in network:
            return IPv4Address((int(ip) >> behind) & 0xFFFF_FFFF)
    return ip


def _never6(ip: Ip) -> bool:
    if not isinstance(ip, IPv6Address) or _within(ip, _V6_OWN):
        return False
    return ip not in _V6_GLOBAL or _within(ip, _V6_NEVER)


def _within(ip: Ip, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(ip.version == network.version and ip in network for network in networks)


def _literal(host: str) -> Ip | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _told(ip: Ip, inner: Ip) -> str:
    return str(ip) if ip == inner else f"{ip} (that is {inner})"


def _beginning(text: str) -> str:
    """Scheme and host of what somebody wrote; what may be a secret is left out."""
    scheme, separator, rest = text.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme[:20]}{separator}{host[:80]}" if separator else text[:20]
