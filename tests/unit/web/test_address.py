import pytest

from gateway.web.address import base_url, is_loopback, local_host, same_origin, url_of


@pytest.mark.parametrize(("host", "url"), [
    ("127.0.0.1", "http://127.0.0.1:80"),
    ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104  # compared
    ("", "http://127.0.0.1:80"),
    ("::", "http://[::1]:80"),
    ("gw.vn", "http://gw.vn:80"),
])  # fmt: skip
def test_listening_address_is_told_as_one_that_can_be_called(host: str, url: str) -> None:
    assert url_of("http", host, 80) == url


@pytest.mark.parametrize(("host", "local"), [("127.3.4.5", True), ("::1", True), ("10.0.0.1", False), ("localhost", False), ("", False)])
def test_loopback_is_judged_by_address(host: str, local: bool) -> None:  # noqa: FBT001  # the case's expectation
    assert is_loopback(host) is local


@pytest.mark.parametrize(("origin", "host", "same"), [
    (b"http://gw.vn", b"gw.vn", True),
    (b"https://GW.vn:8443", b"gw.vn:8443", True),
    (b"http://gw.vn:81", b"gw.vn:80", False),
    (b"http://evil-gw.vn", b"gw.vn", False),
    (b"null", b"gw.vn", False),
    (b"http://gw.vn", None, False),
])  # fmt: skip
def test_origin_is_the_host_that_was_called(origin: bytes, host: bytes | None, same: bool) -> None:  # noqa: FBT001  # the case's expectation
    assert same_origin(origin, host) is same


def test_name_that_only_begins_like_this_machine_is_not_its() -> None:
    assert [local_host(h) for h in (b"localhost:80", b"localhost.evil.vn", b"127.0.0.1.nip.io", None)] == [True, False, False, False]


def test_base_url_without_host_is_the_connections_own() -> None:
    scope = {"scheme": "https", "headers": [], "server": ("::1", 8443)}

    assert base_url(scope, None) == "https://[::1]:8443"
    assert base_url({"headers": []}, "") == "http://localhost"
