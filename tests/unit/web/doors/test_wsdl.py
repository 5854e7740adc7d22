from collections.abc import Callable
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.mark.parametrize("path", ["/ws/gateway.wsdl", "/ws?wsdl", "/ws?WSDL", "/ws?wsdl=1", "/ws?singleWsdl"])
def test_gateway_wsdl_names_the_address_the_caller_used(call: Call, path: str) -> None:
    answer = call("GET", path, host="gw.customs.vn:8443")

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert b'location="http://gw.customs.vn:8443/ws"' in answer.body


def test_configured_address_goes_before_the_callers(calling: Callable[[Any], Call], rehub: Call) -> None:
    answer = calling(rehub(public_url="https://gw.example.vn/"))("GET", "/ws/gateway.wsdl", host="evil.example")

    assert b'location="https://gw.example.vn/ws"' in answer.body
    assert b"evil" not in answer.body


@pytest.mark.parametrize("host", ['a"b', "a/b", "a b", "a@b", "<x>", "a:99x", "a:123456", "-a", "", None, "a\x00b", "[::1"])
def test_host_that_is_none_is_not_repeated(call: Call, host: str | None) -> None:
    answer = call("GET", "/ws/gateway.wsdl", host=host)

    assert b'location="http://127.0.0.1:8080/ws"' in answer.body


@pytest.mark.parametrize("service", ["mard", "bnn"])
def test_service_wsdl_is_served_for_known_parties(call: Call, service: str) -> None:
    answer = call("GET", f"/ws/{service}.wsdl")

    assert answer.status == 200
    assert f"{service.capitalize()}Port".encode() in answer.body


@pytest.mark.parametrize("service", ["nobody", "MARD", "m" * 33, "../etc", "a&b", "%00"])
def test_unknown_service_has_no_wsdl(call: Call, service: str) -> None:
    answer = call("GET", f"/ws/{service}.wsdl")

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_door_without_wsdl_says_how_it_is_used(call: Call) -> None:
    answer = call("GET", "/ws")

    assert answer.status == 405
    assert "POST" in answer.json["detail"]
