"""Mail through a real server."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from gateway.errors import Unavailable
from gateway.transport.mail import Mailer


class Inbox:
    """Takes mail for everyone but one."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802  # the library's name
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # the library's name
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def server(inbox: Inbox, unused_port: int) -> Iterator[str]:
    controller = Controller(inbox, hostname="127.0.0.1", port=unused_port)
    controller.start()
    yield f"127.0.0.1:{unused_port}"
    controller.stop()


@pytest.fixture
def unused_port() -> int:
    import socket  # noqa: PLC0415  # for this fixture only

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_vietnamese_text_reaches_every_receiver(server: str, inbox: Inbox) -> None:
    Mailer(server=server, sender="gw@example.vn", receivers=["a@example.vn", "b@example.vn"]).send("Chứng thư sắp hết hạn", "Còn 7 ngày.\n")

    ((sender, receivers, message),) = inbox.mails
    assert (sender, receivers) == ("gw@example.vn", ["a@example.vn", "b@example.vn"])
    assert message["subject"] == "Chứng thư sắp hết hạn"
    assert message.get_content().strip() == "Còn 7 ngày."


@pytest.mark.parametrize("receivers", [["nobody@example.vn"], ["a@example.vn", "nobody@example.vn"]])
def test_receiver_that_is_refused_is_told(server: str, receivers: list[str]) -> None:
    with pytest.raises(Unavailable) as error:
        Mailer(server=server, sender="gw@example.vn", receivers=receivers).send("x", "y")

    assert error.value.problems[0].text == "certificates.mail-refused"


def test_server_that_is_away_is_unavailable(unused_port: int) -> None:
    with pytest.raises(Unavailable):
        Mailer(server=f"127.0.0.1:{unused_port}", sender="gw@example.vn", receivers=["a@example.vn"]).send("x", "y")
