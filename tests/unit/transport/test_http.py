import socket
import struct
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from ssl import SSLContext, TLSVersion
from string import Formatter
from threading import Barrier, Thread
from typing import Any

import pycurl
import pytest

from gateway.errors import Problem, Unavailable, explain, remedy
from gateway.model import Reply, Request
from gateway.testing.partners import BUFFER, Conversation, answering, cut, partner, refusing
from gateway.transport.http import HEADER_BYTES, SESSIONS, TEXTS, HttpTransport

SECOND = timedelta(seconds=1)
PATIENCE = 5 * SECOND
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def send(transport: HttpTransport, place: str, *, scheme: str = "http", timeout: timedelta = PATIENCE, **values: Any) -> Reply:
    return transport.send(Request(**{"endpoint": f"{scheme}://{place}/ws", "action": "", "body": b"<a/>"} | values), timeout=timeout)


def text_of(transport: HttpTransport, place: str, *, scheme: str = "http") -> str:
    with pytest.raises(Unavailable) as caught:
        send(transport, place, scheme=scheme)
    return caught.value.problems[0].text


def keeping(seen: list[bytes], answer: bytes = OK) -> Conversation:
    """Answer request after request on one connection, noting what came with the number of the connection."""

    def talk(connection: socket.socket, count: int) -> None:
        while request := connection.recv(BUFFER):
            seen.append(b"%d " % count + request)
            connection.sendall(answer)

    return talk


# --- requests and answers ------------------------------------------------------------------------------------------


def test_a_second_request_uses_the_kept_connection() -> None:
    seen: list[bytes] = []
    with partner(keeping(seen)) as place, HttpTransport() as transport:
        send(transport, place)
        send(transport, place)

    assert [request[:2] for request in seen] == [b"1 ", b"1 "]


def test_threads_at_the_same_time_have_sessions_of_their_own() -> None:
    together = Barrier(4)
    replies: list[int] = []

    def meet(connection: socket.socket, _count: int) -> None:
        connection.recv(BUFFER)
        together.wait(5)  # no answer before all four requests are here
        connection.sendall(OK)

    with partner(meet) as place, HttpTransport() as transport:
        threads = [Thread(target=lambda: replies.append(send(transport, place).status)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert replies == [200, 200, 200, 200]


def test_idle_sessions_are_bounded() -> None:
    with partner(keeping([])) as place, HttpTransport() as transport:
        sessions = [transport._taken() for _ in range(SESSIONS + 3)]
        for session in sessions:
            transport._put_back(session)

        assert len(transport._idle) == SESSIONS
        assert send(transport, place).status == 200


def test_soap_action_and_media_type_are_sent_by_default() -> None:
    seen: list[bytes] = []
    with partner(keeping(seen)) as place, HttpTransport() as transport:
        send(transport, place, action="urn:receive")

    head = seen[0].lower()
    assert b'\r\nsoapaction: "urn:receive"\r\n' in head
    assert b"\r\ncontent-type: text/xml; charset=utf-8\r\n" in head
    assert b"\r\nexpect:" not in head


def test_headers_of_the_request_win_whatever_their_case() -> None:
    seen: list[bytes] = []
    headers = {"Content-Type": 'application/soap+xml; action="urn:a"', "X-Empty": ""}
    with partner(keeping(seen)) as place, HttpTransport() as transport:
        send(transport, place, action="urn:b", headers=headers)

    assert seen[0].lower().count(b"content-type:") == 1
    assert b'content-type: application/soap+xml; action="urn:a"\r\n' in seen[0]
    assert b"soapaction" not in seen[0].lower()
    assert b"\r\nx-empty:" in seen[0]


def test_a_get_after_a_post_carries_no_body_and_a_post_after_it_does() -> None:
    seen: list[bytes] = []
    with partner(keeping(seen)) as place, HttpTransport() as transport:
        send(transport, place)
        send(transport, place, method="GET", body=b"")
        send(transport, place)

    assert [request.split(b" ")[1] for request in seen] == [b"POST", b"GET", b"POST"]
    assert [request.endswith(b"<a/>") for request in seen] == [True, False, True]


def test_a_large_body_is_sent_without_waiting_for_100() -> None:
    sizes: list[int] = []

    def reading(connection: socket.socket, _count: int) -> None:
        head, _, body = connection.recv(BUFFER).partition(b"\r\n\r\n")
        assert b"expect" not in head.lower()
        while len(body) < 3_000_000:
            body += connection.recv(BUFFER)
        sizes.append(len(body))
        connection.sendall(OK)

    with partner(reading) as place, HttpTransport() as transport:
        send(transport, place, body=b"x" * 3_000_000)

    assert sizes == [3_000_000]


def test_an_interim_answer_is_not_the_answer() -> None:
    with partner(answering(b"HTTP/1.1 103 Early Hints\r\nx-hint: 1\r\n\r\n", OK)) as place, HttpTransport() as transport:
        reply = send(transport, place)

    assert (reply.status, reply.body, "x-hint" in reply.headers) == (200, b"ok", False)


def test_a_header_that_comes_twice_is_joined() -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \r\ncontent-length: 0\r\n\r\n"
    with partner(answering(answer)) as place, HttpTransport() as transport:
        assert send(transport, place).headers["x-a"] == "1, 2"


def test_a_chunked_answer_is_whole() -> None:
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with partner(answering(answer)) as place, HttpTransport() as transport:
        assert send(transport, place).body == b"abcde"


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with partner(keeping([])) as place, refusing() as proxy, HttpTransport() as transport:
        monkeypatch.setenv("http_proxy", f"http://{proxy}")

        assert send(transport, place).status == 200


# --- limits and failures -------------------------------------------------------------------------------------------


def test_an_answer_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    with partner(keeping([])) as place, HttpTransport(reply_bytes=2) as enough, HttpTransport(reply_bytes=1) as too_little:
        assert send(enough, place).body == b"ok"
        assert text_of(too_little, place) == "transport.too-large"


def test_a_head_without_end_is_cut_off() -> None:
    line = b"x-a: " + b"y" * 1_000 + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\n" + line * (HEADER_BYTES // len(line) + 1) + b"\r\n"
    with partner(answering(head)) as place, HttpTransport() as transport:
        assert text_of(transport, place) == "transport.too-large"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"])
def test_an_answer_cut_short_is_a_reset(answer: bytes) -> None:
    with partner(answering(answer)) as place, HttpTransport() as transport:
        assert text_of(transport, place) == "transport.reset"


def test_a_problem_names_the_host_but_no_credentials_or_query() -> None:
    with refusing() as place, HttpTransport(pause=lambda _: None) as transport, pytest.raises(Unavailable) as caught:
        send(transport, place, endpoint=f"http://user:secret@{place}/ws?key=secret")

    problem = caught.value.problems[0]
    assert problem.values["host"] == place
    assert "secret" not in explain(problem, "vi") + explain(problem, "en") + str(caught.value)


def test_a_refused_connection_is_tried_three_times_within_two_seconds() -> None:
    pauses: list[float] = []
    with refusing() as place, HttpTransport(pause=pauses.append) as transport:
        assert text_of(transport, place) == "transport.refused"

    assert pauses == [0.2, 0.4]


def test_a_partner_that_comes_up_between_tries_gets_the_request() -> None:
    seen: list[bytes] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                keeping(seen)(connection, 1)

        def come_up(_seconds: float) -> None:
            listener.listen()
            Thread(target=serve, daemon=True).start()

        with HttpTransport(pause=come_up) as transport:
            reply = send(transport, f"127.0.0.1:{listener.getsockname()[1]}")

    assert (reply.status, len(seen)) == (200, 1)


def test_a_request_that_left_is_not_tried_again() -> None:
    pauses: list[float] = []
    seen: list[int] = []

    def count_and_cut(connection: socket.socket, count: int) -> None:
        seen.append(count)
        cut(connection, count)

    with partner(count_and_cut) as place, HttpTransport(pause=pauses.append) as transport:
        assert text_of(transport, place) == "transport.reset"

    assert (pauses, seen) == ([], [1])


def test_a_kept_connection_that_died_meanwhile_is_replaced() -> None:
    def first_closes(connection: socket.socket, count: int) -> None:
        connection.recv(BUFFER)
        connection.sendall(OK)
        if count > 1:
            connection.recv(BUFFER)
        else:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with partner(first_closes) as place, HttpTransport() as transport:
        send(transport, place)

        assert send(transport, place).status == 200


# --- TLS -------------------------------------------------------------------------------------------------------------


def test_a_trusted_server_is_spoken_to(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server"))
    with partner(keeping([]), tls=context) as place, HttpTransport(ca_file=authority.file) as transport:
        assert send(transport, place, scheme="https").status == 200


def test_a_server_of_another_authority_is_refused(authority: Any, stranger: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(stranger.issue("server"))
    with partner(keeping([]), tls=context) as place, HttpTransport(ca_file=authority.file) as transport:
        assert text_of(transport, place, scheme="https") == "transport.tls"


def test_the_system_authorities_do_not_vouch_for_a_test_server(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server"))
    with partner(keeping([]), tls=context) as place, HttpTransport() as transport:
        assert text_of(transport, place, scheme="https") == "transport.tls"


def test_a_certificate_for_another_host_is_refused(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server", address="127.0.0.2"))
    with partner(keeping([]), tls=context) as place, HttpTransport(ca_file=authority.file) as transport:
        assert text_of(transport, place, scheme="https") == "transport.tls"


def test_an_expired_certificate_is_refused(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server", until=datetime.now(UTC) - timedelta(days=1)))
    with partner(keeping([]), tls=context) as place, HttpTransport(ca_file=authority.file) as transport:
        assert text_of(transport, place, scheme="https") == "transport.tls"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # offering an old protocol is what is tested
def test_an_old_protocol_is_refused(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server"), highest=TLSVersion.TLSv1_1)
    with partner(keeping([]), tls=context) as place, HttpTransport(ca_file=authority.file) as transport:
        assert text_of(transport, place, scheme="https") == "transport.tls"


def test_a_client_certificate_is_presented(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server"), clients=authority.file)
    own = authority.issue("gateway")
    ours = {"client_certificate": own.certificate, "client_key": own.key, "ca_file": authority.file}
    with partner(keeping([]), tls=context) as place, HttpTransport(**ours) as transport:
        assert send(transport, place, scheme="https").status == 200


def test_without_a_client_certificate_a_mutual_server_refuses(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server"), clients=authority.file)
    with partner(keeping([]), tls=context) as place, HttpTransport(ca_file=authority.file) as transport:
        assert text_of(transport, place, scheme="https") in {"transport.tls", "transport.reset"}  # TLS 1.3 refuses after the handshake


def test_a_missing_authority_file_is_a_tls_problem(tmp_path: Path) -> None:
    with partner(keeping([])) as place, HttpTransport(ca_file=tmp_path / "none.pem") as transport:
        assert text_of(transport, place, scheme="https") == "transport.tls"


def test_plain_http_on_a_tls_port_is_no_http(authority: Any, server_context: Callable[..., SSLContext]) -> None:
    context = server_context(authority.issue("server"))
    with partner(keeping([]), tls=context) as place, HttpTransport() as transport:
        assert text_of(transport, place) in {"transport.reset", "transport.not-http"}


# --- the table of errors -------------------------------------------------------------------------------------------

ELSEWHERE = {  # codes of libcurl for what the transport never asks for, or which say nothing a partner's engineer could act on
    "E_ABORTED_BY_CALLBACK", "E_AGAIN", "E_ALREADY_COMPLETE", "E_BAD_CALLING_ORDER", "E_BAD_DOWNLOAD_RESUME",
    "E_BAD_FUNCTION_ARGUMENT", "E_BAD_PASSWORD_ENTERED", "E_CALL_MULTI_PERFORM", "E_CHUNK_FAILED", "E_CONV_FAILED", "E_CONV_REQD",
    "E_FAILED_INIT", "E_FILE_COULDNT_READ_FILE", "E_FUNCTION_NOT_FOUND", "E_HTTP_NOT_FOUND", "E_HTTP_PORT_FAILED",
    "E_HTTP_POST_ERROR", "E_HTTP_RANGE_ERROR", "E_HTTP_RETURNED_ERROR", "E_LIBRARY_NOT_FOUND", "E_LOGIN_DENIED", "E_MALFORMAT_USER",
    "E_NOT_BUILT_IN", "E_OK", "E_OUT_OF_MEMORY", "E_QUOTE_ERROR", "E_RANGE_ERROR", "E_READ_ERROR", "E_REMOTE_ACCESS_DENIED",
    "E_REMOTE_DISK_FULL", "E_REMOTE_FILE_EXISTS", "E_REMOTE_FILE_NOT_FOUND", "E_SHARE_IN_USE", "E_SSH", "E_TOO_MANY_REDIRECTS",
    "E_UNKNOWN_OPTION", "E_UPLOAD_FAILED", "E_URL_MALFORMAT_USER", "E_WRITE_ERROR",
}  # fmt: skip
OTHER_PROTOCOLS = ("E_FTP_", "E_LDAP_", "E_MULTI_", "E_RTSP_", "E_TELNET_", "E_TFTP_", "E_UNKNOWN_TELNET_")


def test_no_code_of_libcurl_is_forgotten() -> None:
    names = {name for name in dir(pycurl) if name.startswith("E_")}
    undecided = {
        name
        for name in names
        if getattr(pycurl, name) not in TEXTS and name not in ELSEWHERE and not name.startswith(OTHER_PROTOCOLS)
    }  # fmt: skip

    assert undecided == set()


def test_every_code_about_certificates_is_a_tls_problem() -> None:
    names = {name for name in dir(pycurl) if name.startswith(("E_SSL_", "E_PEER_", "E_USE_SSL"))}

    assert {TEXTS[getattr(pycurl, name)] for name in names} == {"transport.tls"}


@pytest.mark.parametrize("text", sorted({*TEXTS.values(), "transport.too-large", "transport.header", "transport.other"}))
def test_every_text_says_what_where_and_what_to_do(text: str) -> None:
    values = {"host": "a.vn:443", "seconds": "15", "limit": "10", "detail": "libcurl 1"}
    for language in ("vi", "en"):
        said = explain(Problem(text=text, values=values), language) + remedy(Problem(text=text, values=values), language)

        assert "a.vn:443" in said or text == "transport.address"
        assert "…" not in said
        assert remedy(Problem(text=text, values=values), language)


def test_the_texts_and_the_table_name_the_same_problems() -> None:
    entries = tomllib.loads((resources.files("gateway") / "texts" / "transport.toml").read_text("utf-8"))["transport"]
    fields = {field for entry in entries.values() for text in entry.values() for _, field, _, _ in Formatter().parse(text) if field}

    assert {f"transport.{name}" for name in entries} == {*TEXTS.values(), "transport.header", "transport.other"}
    assert fields <= {"host", "seconds", "limit", "detail"}


def test_request_s_own_limit_comes_before_the_transport_s() -> None:
    with partner(keeping([])) as place, HttpTransport() as transport:
        request = Request(endpoint=f"http://{place}/", action="", body=b"x", reply_bytes=1)

        with pytest.raises(Unavailable) as refused:
            transport.send(request, timeout=timedelta(seconds=5))

    assert refused.value.problems[0].text == "transport.too-large"
    assert refused.value.problems[0].values["limit"] == "1"
