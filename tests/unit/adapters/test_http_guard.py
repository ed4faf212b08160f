"""Calls to services stay where they belong, whatever names, addresses and URLs say."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shiftwork_core.adapters import http_guard
from shiftwork_core.adapters.http_guard import ForbiddenAddress, Service, Unsendable, is_allowed
from shiftwork_core.adapters.named_services import Answer, NamedServices, NoAnswer

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::808:808",
          "::ffff:8.8.8.8"]  # fmt: skip
PRIVATE = ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1",
           "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "::1", "fc00::1",
           "fd12:3456::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
           "64:ff9b::a00:1"]  # fmt: skip
NOWHERE = ["169.254.169.254", "169.254.170.2", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe",
           "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1",
           "239.255.255.250", "ff02::1", "255.255.255.255", "240.0.0.1", "192.0.2.1",
           "198.18.0.1", "203.0.113.9", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
           "2002:808:808::1", "2001::1", "2001:0:7f00:1::", "fec0::1", "::7f00:1", "100::1",
           "64:ff9b:1::7f00:1", "3fff::1", "not an address", ""]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_any_service_may_be_at_a_public_address(address: str) -> None:
    assert is_allowed(address, is_private=False)
    assert is_allowed(address, is_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_only_a_service_that_is_declared_private_may_be_at_a_private_address(address: str) -> None:
    assert not is_allowed(address, is_private=False)
    assert is_allowed(address, is_private=True)


@pytest.mark.parametrize("address", NOWHERE)
def test_no_service_may_be_where_credentials_groups_and_reserved_addresses_are(
    address: str,
) -> None:
    assert not is_allowed(address, is_private=False)
    assert not is_allowed(address, is_private=True)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_the_same_however_ipv6_writes_it(number: int) -> None:
    plain = str(ip_address(number))
    for is_private in (False, True):
        expected = is_allowed(plain, is_private=is_private)
        for prefix in ("::ffff:", "64:ff9b::"):
            assert is_allowed(prefix + plain, is_private=is_private) is expected


# -- declarations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("https://crm.example.com", Service("s", True, "crm.example.com", None, "", False)),
        ("HTTP://crm:9000/v2/", Service("s", False, "crm", 9000, "/v2", False)),
        ("http://my_service.local.:80", Service("s", False, "my_service.local.", 80, "", False)),
        ({"url": "http://10.0.0.7"}, Service("s", False, "10.0.0.7", None, "", False)),
        (
            {"url": "https://[fd00::7]:8443/a/b", "private": True},
            Service("s", True, "[fd00::7]", 8443, "/a/b", True),
        ),
    ],
)
def test_a_service_is_declared_by_its_url_or_as_private(declared: Any, expected: Service) -> None:
    assert Service.of("s", declared) == expected


BAD_URLS = ["", "crm.example.com", "//crm.example.com", "ftp://crm.example.com", "http://",
            "http:///x", "http://user@crm.test", "http://user:pass@crm.test", "http://crm.test@",
            "http://crm.test\\@evil.test", "http://crm.test\\evil", "http:\\\\crm.test",
            "http://crm.test\t.evil.test", "http://crm.test\n", "http://crm.test\r\nHost: evil",
            " http://crm.test", "http://crm.test /x", "http://crm.test%00.evil.test",
            "http://crm%2etest", "http://crm.test?x=1", "http://crm.test#x", "http://crm.test/?x",
            "http://crm.test/a#b", "http://crm.test/../x", "http://crm.test/%2e%2e/x",
            "http://crm.test//x", "http://crm.test:", "http://crm.test:0", "http://crm.test:65536",
            "http://crm.test:80:90", "http://crm.test:8x", "http://2130706433/", "http://0x7f.1/",
            "http://0x7f000001", "http://017700000001", "http://127.1", "http://127.0.0.1.",
            "http://0177.0.0.1", "http://127.0.0.0x1", "http://256.0.0.1", "http://1.2.3.4.5",
            "http://[::1", "http://::1", "http://[fe80::1%25eth0]", "http://[::1]evil",
            "http://[v1.x]", "http://crm..test", "http://.crm.test", "http://-crm.test",
            "http://bücher.test", "http://crm。test", "http://ⓔvil.test", "http://" + "a" * 64,
            "http://" + "a." * 130 + "test", "javascript:alert(1)", "http://crm.test/\x00",
            "file:///etc/passwd", "unix:///var/run/docker.sock", "http+unix://x"]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_that_readers_may_take_for_another_is_refused(url: str) -> None:
    for declared in (url, {"url": url, "private": True}):
        with pytest.raises(Unsendable, match="declares service 's' wrongly"):
            Service.of("s", declared)


@pytest.mark.parametrize(
    "declared",
    [None, 1, [], {}, {"private": True}, {"url": "http://a", "private": "yes"},
     {"url": "http://a", "privat": True}, {"url": 1}, {"url": ["http://a"]}],
)  # fmt: skip
def test_a_declaration_of_another_form_is_refused(declared: Any) -> None:
    with pytest.raises(Unsendable, match="declares service 's' wrongly"):
        Service.of("s", declared)


# -- connections -----------------------------------------------------------------------------------


class Network:
    """A resolver that never gives the same answer twice, and connections that nobody takes."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers: Iterator[list[str]] = iter(answers)
        self.asked: list[Any] = []
        self.connected: list[str] = []
        self.given: list[str] = []

    def resolve(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        self.given += (found := next(self.answers, ["127.0.0.1"]))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    def connect(self, address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        self.connected.append(address[0])
        raise ConnectionRefusedError("nobody is there")

    def call(self, declared: Any, path: str = "/") -> Answer:
        services = NamedServices({"s": declared}, resolve=self.resolve)
        return services.call("s", "GET", path, headers={}, body=None, timeout_s=5, max_bytes=100)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network([])
    monkeypatch.setattr(http_guard, "create_connection", network.connect)
    return network


def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_called(
    network: Network,
) -> None:
    network.answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    with pytest.raises(NoAnswer):
        network.call("https://rebinding.test")
    assert (network.asked, network.connected) == (["rebinding.test"], ["93.184.216.34"])


def test_no_address_of_a_name_is_called_if_one_of_them_is_forbidden(network: Network) -> None:
    network.answers = iter([["93.184.216.34", "127.0.0.1"]])
    with pytest.raises(
        ForbiddenAddress, match=r"private address 127\.0\.0\.1, and is not declared"
    ):
        network.call("http://mixed.test")
    assert network.connected == []


def test_a_private_service_may_not_be_at_a_link_local_address_either(network: Network) -> None:
    network.answers = iter([["169.254.169.254"]])
    with pytest.raises(ForbiddenAddress, match=r"at 169\.254\.169\.254, where no service may be"):
        network.call({"url": "http://metadata.test", "private": True})
    assert network.connected == []


def test_every_address_is_tried_until_one_takes_the_connection(network: Network) -> None:
    network.answers = iter([["93.184.216.34", "8.8.8.8", "93.184.216.34"]])
    with pytest.raises(NoAnswer, match="took no connection"):
        network.call("http://crm.test")
    assert network.connected == ["93.184.216.34", "8.8.8.8"]


def test_a_name_that_does_not_exist_may_exist_later(network: Network) -> None:
    def resolve(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    network.resolve = resolve  # type: ignore[method-assign]
    with pytest.raises(NoAnswer) as raised:
        network.call("http://nobody.test")
    assert raised.value.reason == "NameResolutionError"


HOSTS = st.sampled_from(
    ["crm.test", "localhost", "127.0.0.1", "2130706433", "0x7f.1", "017700000001", "127.1", "[::1]",
     "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "[fe80::1]", "0", "0.0.0.0",
     "10.0.0.1", "100.64.0.1", "[2002:7f00:1::]", "crm.test.", "127.0.0.1.", "xn--bcher-kva.test",
     "bücher.test", "crm%00.test", "crm.test\\", "crm.test\t", "", "..", "rebinding.test"]
) | st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip))  # fmt: skip
PARTS = st.sampled_from(
    ["@", ":", "//", "\\", "?", "#", "%00", "%0d%0a", "\n", "\t", "..", "/", ";", " ", "user:pw@",
     "evil.test", "127.0.0.1", ":80", ":0", ":99999", "%2f", "%40", "\u2028", "\ud800", "."]
) | st.text(max_size=3)  # fmt: skip
URLS = st.builds(
    lambda scheme, before, host, after: scheme + "".join(before) + host + "".join(after),
    st.sampled_from(["http://", "https://", "HTTP://", "http:", "http:\\\\", "//", "ftp://", ""]),
    st.lists(PARTS, max_size=2),
    HOSTS,
    st.lists(PARTS, max_size=4),
) | st.builds("http://{}".format, HOSTS) | st.just("https://rebinding.test:8443/v2")  # fmt: skip
ANY = st.sampled_from(PUBLIC + PRIVATE + NOWHERE[:-2]) | st.ip_addresses().map(str)
#: What the resolver says the first time, the second, and so on: a name that moves begins well.
ANSWERS = st.lists(st.lists(ANY, max_size=3), max_size=3) | st.builds(
    lambda first, then: [first, *then],
    st.lists(st.sampled_from(PUBLIC), min_size=1, max_size=2),
    st.lists(st.lists(ANY, max_size=2), max_size=2),
)
PATHS = st.just("") | st.lists(PARTS, max_size=5).map("".join)


def test_no_url_path_or_resolver_leads_a_call_to_where_it_does_not_belong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: Counter[str] = Counter()

    @settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(url=URLS, path=PATHS, answers=ANSWERS)
    def check(url: str, path: str, answers: list[list[str]]) -> None:
        network = Network(answers)
        monkeypatch.setattr(http_guard, "create_connection", network.connect)
        with pytest.raises((Unsendable, NoAnswer)) as raised:
            network.call(url, "/" + path)
        for address in network.connected:
            assert address in network.given, "it is one that was checked"
            assert is_allowed(address, is_private=False)
        assert len(network.asked) <= 1
        # Nothing but the host of the URL goes to the resolver.
        assert all(host and not set(host) & set("@/\\?#% ") for host in network.asked)
        ends[type(raised.value).__name__] += 1
        ends["connected"] += bool(network.connected)

    check()
    assert min(ends[end] for end in ("Unsendable", "ForbiddenAddress", "connected")) >= 20, ends
