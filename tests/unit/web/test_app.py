import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Code, GatewayError
from gateway.web.app import access_of, create_app

Call = Callable[..., Any]


SAFE = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY"}


@pytest.mark.parametrize("path", ["/", "/docs", "/nowhere", "/health/live", "/openapi.json", "/ws/gateway.wsdl", "/api/v1/messages?x=1"])
def test_every_answer_has_the_safety_headers(call: Call, path: str) -> None:
    answer = call("GET", path)

    assert SAFE.items() <= answer.headers.items()
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(("method", "path", "allow"), [
    ("DELETE", "/api/v1/messages", "GET, HEAD, OPTIONS"),
    ("PUT", "/api/v1/documents", "OPTIONS, POST"),
    ("PUT", "/ws", "GET, HEAD, OPTIONS, POST"),
    ("TRACE", "/", "GET, HEAD, OPTIONS"),
    ("GET", "/api/v1/documents", "OPTIONS, POST"),
    ("BREW", "/health/live", "GET, HEAD, OPTIONS"),
])  # fmt: skip
def test_other_methods_are_refused_and_told_what_is_allowed(call: Call, method: str, path: str, allow: str) -> None:
    answer = call(method, path)

    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.json["errors"][0]["code"] == "web.method"


@pytest.mark.parametrize(("path", "allow"), [("/ws", "GET, HEAD, OPTIONS, POST"), ("/api/v1/documents", "OPTIONS, POST")])
def test_options_tells_what_is_allowed(call: Call, path: str, allow: str) -> None:
    answer = call("OPTIONS", path, headers=[("origin", "http://evil.vn"), ("access-control-request-method", "POST")])

    assert (answer.status, answer.headers["allow"], answer.body) == (204, allow, b"")
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("path", ["/", "/ws/gateway.wsdl", "/health/ready", "/api/v1/messages"])
def test_head_is_get_without_its_body(call: Call, path: str) -> None:
    head, get = call("HEAD", path), call("GET", path)

    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(get.body))


def test_unknown_path_is_a_problem_in_both_languages(call: Call) -> None:
    answer = call("GET", "/nowhere")

    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json["errors"][0]["message_vi"] == answer.json["detail"]
    assert answer.json["errors"][0]["message_en"]


def test_landing_page_names_the_addresses_and_nothing_elsewhere(call: Call) -> None:
    page = call("GET", "/", host="gw.vn").body.decode()

    assert all(f"http://gw.vn{path}" in page for path in ("/ws", "/ws/gateway.wsdl", "/docs", "/health/ready", "/metrics"))
    assert "Cổng kết nối" in page
    assert "<script" not in page
    assert page.count("http") == page.count("http://gw.vn")


def test_landing_page_does_not_repeat_markup(call: Call) -> None:
    assert b"<svg" not in call("GET", "/", host='"><svg onload=x>').body


def test_interface_is_described_with_examples(call: Call) -> None:
    document = call("GET", "/openapi.json").json

    post = document["paths"]["/api/v1/documents"]["post"]
    assert "<Envelope>" in post["requestBody"]["content"]["application/xml"]["example"]
    assert "application/problem+json" in post["responses"]["422"]["content"]
    assert post["security"]
    assert "HTTPValidationError" not in json.dumps(document)


def test_every_operation_tells_its_refusals_as_problems(call: Call) -> None:
    document = call("GET", "/openapi.json").json

    for methods in (m for path, m in document["paths"].items() if path.startswith("/api/")):
        for operation in methods.values():
            refused = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
            assert {"400", "401", "403", "503"} <= refused.keys()
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in refused.values())


def test_description_page_shows_every_operation_without_scripts(call: Call) -> None:
    document, page = call("GET", "/openapi.json").json, call("GET", "/docs").body.decode()

    assert all(path in page for path in document["paths"])
    assert all(name in page for name in document["components"]["schemas"])
    assert "<script" not in page
    assert "cdn" not in page
    assert "&lt;Envelope&gt;" in page


def test_reference_page_lists_every_path_and_metric(call: Call) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "rest.md").read_text("utf-8")

    paths = call("GET", "/openapi.json").json["paths"]
    metrics = re.findall(r"# TYPE (nsw_(?!events_created)\w+) (?:counter|gauge)", call("GET", "/metrics").body.decode())

    assert metrics
    assert [name for name in (*paths, *metrics) if f"{name}`" not in page] == []


def test_style_is_served(call: Call) -> None:
    assert call("GET", "/pages.css").headers["content-type"].startswith("text/css")


def test_wrong_key_file_keeps_the_application_from_starting(tmp_path: Path, rehub: Call) -> None:
    path = tmp_path / "keys"
    path.write_text("nonsense", "utf-8")

    with pytest.raises(GatewayError) as refused:
        create_app(rehub(api_keys=path))

    assert refused.value.code is Code.RULES


def test_guard_is_up_with_keys_or_client_certificates(tmp_path: Path, rehub: Call) -> None:
    path = tmp_path / "keys"
    path.write_text("", "utf-8")

    guards = [access_of(rehub(**changes)).guarded for changes in ({}, {"api_keys": path}, {"tls_client_ca": tmp_path})]

    assert guards == [False, True, True]
