"""What every Transport promises, with partners that behave and misbehave in the ways of the field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from gateway.errors import Code, Unavailable
from gateway.model import Reply, Request
from gateway.ports import Transport

from .checks import raised, same

TIMEOUT = timedelta(seconds=5)
ECHO = "echo"  # answers 200 with "METHOD ACTION BODY" and a header X-Partner: Mixed Case
ERROR = "error"  # answers 500 with the body "trouble"
MOVED = "moved"  # answers 302 to the echo
FAILURES: Mapping[str, str] = {  # a partner that does this -> the text that says so
    "refused": "transport.refused",
    "unknown-host": "transport.dns",
    "silent": "transport.timeout",  # takes the request and does not answer in time
    "reset": "transport.reset",  # takes the connection and cuts it
    "endless": "transport.too-large",  # answers more than any limit
    "not-http": "transport.not-http",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A transport among partners: `endpoints` has one for each behaviour named above; `patience` is what a silent one outlasts."""

    transport: Transport
    endpoints: Mapping[str, str]
    patience: timedelta = TIMEOUT

    def send(self, behaviour: str, request: Request) -> Reply:
        """Send to the partner that behaves so."""
        return self.transport.send(replace(request, endpoint=self.endpoints[behaviour]), timeout=self.patience)


REQUEST = Request(endpoint="", action="urn:receive", body="<a>Chứng nhận</a>".encode())


def carries_method_action_and_body(bench: Bench) -> None:
    """The partner sees what the adapter wrote, and the answer comes back whole."""
    reply = bench.send(ECHO, REQUEST)

    same((reply.status, reply.body), (200, "POST urn:receive <a>Chứng nhận</a>".encode()))


def carries_every_byte_value(bench: Bench) -> None:
    """Bodies are bytes; nothing is decoded on the way."""
    every_byte = bytes(range(256)) * 300

    same(bench.send(ECHO, replace(REQUEST, body=every_byte)).body, b"POST urn:receive " + every_byte)


def sends_nothing_with_a_get(bench: Bench) -> None:
    """A GET has no body."""
    same(bench.send(ECHO, replace(REQUEST, method="GET", action="", body=b"")).body, b"GET  ")


def names_reply_headers_in_lower_case(bench: Bench) -> None:
    """Header names come in lower case, values as they are."""
    same(bench.send(ECHO, REQUEST).headers.get("x-partner"), "Mixed Case")


def gives_an_error_status_as_an_answer(bench: Bench) -> None:
    """An HTTP error is an answer: the adapter reads it."""
    reply = bench.send(ERROR, REQUEST)

    same((reply.status, reply.body), (500, b"trouble"))


def follows_no_redirect(bench: Bench) -> None:
    """A partner's address changes in its data, never by an answer."""
    same(bench.send(MOVED, REQUEST).status, 302)


def _fails_with(behaviour: str, text: str) -> Callable[[Bench], None]:
    def check(bench: Bench) -> None:
        error = raised(Unavailable, partial(bench.send, behaviour, REQUEST))
        same((error.code, [problem.text for problem in error.problems]), (Code.UNAVAILABLE, [text]))

    check.__name__ = f"says_{text}_for_a_partner_that_is_{behaviour}".replace(".", "_").replace("-", "_")
    return check


def serves_again_after_failures(bench: Bench) -> None:
    """A failure leaves nothing behind that hurts the next request."""
    for behaviour in FAILURES:
        raised(Unavailable, partial(bench.send, behaviour, REQUEST))

        same(bench.send(ECHO, REQUEST).status, 200, f"after {behaviour}")


def _refuses_address(endpoint: str) -> Callable[[Bench], None]:
    def check(bench: Bench) -> None:
        error = raised(Unavailable, lambda: bench.transport.send(replace(REQUEST, endpoint=endpoint), timeout=TIMEOUT))
        same([problem.text for problem in error.problems], ["transport.address"])

    check.__name__ = f"refuses_the_address_{endpoint!r}"
    return check


def refuses_a_line_break_in_a_header(bench: Bench) -> None:
    """A value cannot begin a header of its own."""
    for request in (replace(REQUEST, headers={"x-a": "1\r\nx-b: 2"}), replace(REQUEST, action="a\nb")):
        error = raised(Unavailable, partial(bench.send, ECHO, request))

        same([problem.text for problem in error.problems], ["transport.header"])


def refuses_what_has_no_one_body(bench: Bench) -> None:
    """Parts, and methods without an answer, are a caller's bug."""
    for request in (replace(REQUEST, parts=(b"part",)), replace(REQUEST, method="HEAD"), replace(REQUEST, method="no method")):
        raised(ValueError, partial(bench.send, ECHO, request))


ADDRESSES = (
    "",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "127.0.0.1:80",
    "http://",
    "http://[::1",
    "http://a/\r\nx: y",
    "gopher://127.0.0.1/",
)
CHECKS = (
    carries_method_action_and_body,
    carries_every_byte_value,
    sends_nothing_with_a_get,
    names_reply_headers_in_lower_case,
    gives_an_error_status_as_an_answer,
    follows_no_redirect,
    *(_fails_with(behaviour, text) for behaviour, text in FAILURES.items()),
    serves_again_after_failures,
    *map(_refuses_address, ADDRESSES),
    refuses_a_line_break_in_a_header,
    refuses_what_has_no_one_body,
)
