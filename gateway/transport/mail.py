"""Sends mail to the operator through a mail server of theirs; encrypted where the server offers it."""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage

from gateway.errors import Code, Problem, Unavailable

PORT = 25
SECONDS = 20.0  # for each step of the exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """A mail server with sender and receivers; `server` is HOST or HOST:PORT."""

    server: str
    sender: str
    receivers: Sequence[str]

    def send(self, subject: str, text: str) -> None:
        """Send a plain text to every receiver; raises Unavailable where the server does not take it for all of them."""
        message = EmailMessage()
        message["Subject"] = subject
        message["From"] = self.sender
        message["To"] = ", ".join(self.receivers)
        message.set_content(text, charset="utf-8")
        host, _, port = self.server.partition(":")
        try:
            with smtplib.SMTP(host, int(port or PORT), timeout=SECONDS) as server:
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=ssl.create_default_context())
                    server.ehlo()
                refused = server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise _unsent(self.server, type(error).__name__) from error
        if refused:
            raise _unsent(self.server, "SMTPRecipientsRefused")


def _unsent(server: str, fault: str) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, Problem(text="certificates.mail-refused", path=server, values={"fault": fault}))
