"""Where an address that a user names may lead, and where it may not, whatever it is dressed as."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adapters.guarded_http import AddressRefused, GuardedHttp, system_resolve
from engine.core.errors import AdapterFailed, Malformed
from engine.core.outbound import Allowed, checked, disguised, leads_to, read_address
from tests.hooks.kit import LOOPBACK, ROOT, HookHouse
from tests.hooks.receiver import Receiver

NOBODY = Allowed()
# Addresses of our own machine, network, cloud, or of nobody; as they are and inside IPv6.
TRAPS = (
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.168.1.1", "192.0.0.8", "198.18.0.1", "203.0.113.9",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fd12::1",
    "ff02::1", "fec0::1", "2001:db8::1", "2001::1", "2001:10::1", "100::1", "::7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "3fff::1", "5f00::1",
)  # fmt: skip
PUBLIC = ("93.184.216.34", "8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1",
          "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8")  # fmt: skip


def http(*ips: str, allowed: Allowed = NOBODY) -> GuardedHttp:
    """Every name leads to these."""
    return GuardedHttp(allowed, resolve=lambda host, port: ips)


@pytest.mark.parametrize("ip", TRAPS)
def test_a_name_that_leads_inside_is_refused(ip: str) -> None:
    with pytest.raises(AddressRefused, match=r"hook\.example leads to"):
        http(ip).check("https://hook.example/x", where="url")
    literal = f"[{ip}]" if ":" in ip else ip
    with pytest.raises(Malformed):
        read_address(f"https://{literal}/x", NOBODY, where="url")


@pytest.mark.parametrize("ip", TRAPS)
def test_one_bad_address_among_good_ones_is_enough(ip: str) -> None:
    with pytest.raises(AddressRefused):
        http("8.8.8.8", ip).check("https://hook.example/x", where="url")


@pytest.mark.parametrize("ip", PUBLIC)
def test_the_public_is_asked(ip: str) -> None:
    http(ip).check("https://hook.example/x", where="url")


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "017700000001", "127.0.1"]
)
def test_numbers_in_disguise_are_refused_before_they_are_looked_up(host: str) -> None:
    assert disguised(host)
    with pytest.raises(Malformed, match="a number in disguise"):
        read_address(f"https://{host}/x", NOBODY, where="url")
    # What the C library reads there is this machine; should a name lead there, it is refused too.
    with pytest.raises(AddressRefused):
        http(*(found for found in system_resolve(host, 443))).check("https://a.example", where="u")


@pytest.mark.parametrize(
    "url",
    [
        "http://hook.example/x", "ftp://hook.example", "https://u:p@hook.example/", "https://",
        "https://hook.example/#f", "//hook.example", "https://hook .example", "https://höok.example",
        "https://hook.example:0/", "https://hook.example:65536/", "https://[::1", "hook.example",
        "https://hook.example\\@127.0.0.1/", "https://127.0.0.1\t/", "https://localhost%2e/",
        "https://[fe80::1%25eth0]/", "https://@127.0.0.1/", "",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_address(url, NOBODY, where="url")
    assert "u:p" not in str(refused.value)


def test_an_admin_may_list_a_host_but_never_what_belongs_to_nobody() -> None:
    listed = Allowed(hosts=frozenset({"ci.internal", "10.0.0.7:8080"}))
    for ip in ("10.0.0.7", "127.0.0.1", "fd00::1", "::1"):
        http(ip, allowed=listed).check("http://ci.internal:8080/x", where="url")
    for ip in ("169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "64:ff9b::a9fe:a9fe"):
        with pytest.raises(AddressRefused, match="never asked"):
            http(ip, allowed=listed).check("https://ci.internal/x", where="url")
    http("10.0.0.7", allowed=listed).check("http://10.0.0.7:8080/", where="url")
    with pytest.raises(Malformed):
        http("10.0.0.7", allowed=listed).check("http://10.0.0.7:8081/", where="url")


def test_localhost_is_refused_at_creation(house: HookHouse) -> None:
    closed = GuardedHttp(NOBODY)
    house.desk._http = closed
    for url in ("https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x",
                "https://169.254.169.254/latest", "https://0x7f000001/"):  # fmt: skip
        with pytest.raises((Malformed, AddressRefused)):
            house.add(url)
    assert house.real.hooks() == ()


def test_a_name_that_leads_elsewhere_later_is_refused_at_delivery(
    house: HookHouse, receiver: Receiver
) -> None:
    """Rebinding: good when it was checked, ours when it is asked."""
    said = iter([["8.8.8.8"]])
    house.desk._http = house.postman._notifier = GuardedHttp(
        NOBODY, resolve=lambda host, port: next(said, ["127.0.0.1"])
    )
    house.add(f"https://rebound.example:{receiver.port}/in")
    house.desk.test("ci", ROOT)
    house.postman.start()
    house.until(house.settled)
    (row,) = house.rows()
    assert (row["outcome"], row["tries"], row["status"]) == ("DEAD", 1, 0)
    assert "rebound.example leads to 127.0.0.1" in row["note"]
    assert receiver.got == []


def test_the_judged_address_is_asked_and_not_looked_up_again(receiver: Receiver) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    listed = Allowed(hosts=frozenset({"ci.internal"}))
    guarded = GuardedHttp(listed, resolve=resolve)
    url = f"http://ci.internal:{receiver.port}/in"
    reply = guarded.ask("POST", url, headers={}, body=b"x", deadline_s=5, bytes_max=1_000)
    assert reply.status == 200 and asked == ["ci.internal"]
    assert receiver.got[0].headers["host"] == f"ci.internal:{receiver.port}"


def test_a_name_server_that_hangs_is_bounded() -> None:
    stuck = threading.Event()
    guarded = GuardedHttp(NOBODY, resolve=lambda host, port: [str(stuck.wait(30))])
    with pytest.raises(AdapterFailed, match="could not be looked up within"):
        guarded.ask("GET", "https://slow.example", headers={}, deadline_s=0.2, bytes_max=10)
    stuck.set()


@given(st.ip_addresses(v=4))
def test_what_carries_an_ipv4_address_is_judged_like_it(ip: IPv4Address) -> None:
    address = read_address("https://hook.example", NOBODY, where="url")
    plain, _ = checked([str(ip)], address, NOBODY)
    for carrier in (
        IPv6Address((0xFFFF << 32) | int(ip)),
        IPv6Address((0x64FF9B << 96) | int(ip)),
        IPv6Address((0x2002 << 112) | int(ip) << 80 | 1),
    ):
        assert leads_to(carrier) == ip
        inside, _ = checked([str(carrier)], address, NOBODY)
        assert bool(inside) == bool(plain), (carrier, ip)


@given(st.ip_addresses(v=6))
def test_nothing_that_python_calls_private_is_asked(ip: IPv6Address) -> None:
    address = read_address("https://hook.example", NOBODY, where="url")
    refused, found = checked([str(ip)], address, NOBODY)
    if ip.is_private or ip.is_loopback or ip.is_link_local or ip.is_multicast:
        assert refused and not found
    assert bool(refused) != bool(found)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_and_never_anything_else(text: str) -> None:
    try:
        address = read_address(text, LOOPBACK, where="url")
    except Malformed:
        return
    assert address.scheme in {"http", "https"} and 1 <= address.port <= 65_535
    assert address.target.startswith("/") and "@" not in address.authority
    again = f"{address.scheme}://{address.authority}{address.target}"
    assert read_address(again, LOOPBACK, where="url") == address


@given(st.from_regex(r"https?://[a-z0-9.:\[\]@\\%x-]{1,40}(/[a-z]{0,5})?", fullmatch=True))
def test_addresses_of_all_shapes_never_lead_inside(text: str) -> None:
    try:
        address = read_address(text, NOBODY, where="url")
    except Malformed:
        return
    try:
        literal = ip_address(address.host)
    except ValueError:
        return
    assert literal.is_global
