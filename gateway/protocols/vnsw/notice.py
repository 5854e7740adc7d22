"""The gateway's own word to a sender: which of its messages could not be delivered to whom, and why.

It has the form in which the field says "refused": function 00 with an ErrorList, about the same procedure, type and reference. Only
its From differs, which is the gateway, and it comes as a message of its own, because the synchronous reply was given long ago.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo

from gateway.errors import Code, NotValid, Problem
from gateway.model import Header, Identity, Party
from gateway.outbox.acts import Notice, Undelivered
from gateway.ports import Adapter, Directory
from gateway.xml.envelope import write
from gateway.xml.header import text_element

from .codes import INVALID
from .dialects import PLAIN
from .reply import REFUSED, VERSION, language_of, spoken

PROTOCOL = "vnsw"  # of the adapters that can carry a notice; other protocols have no message for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Notices:
    """Writes notices; a call raises NotValid where the sender cannot be told this way."""

    directory: Directory
    adapters: Mapping[str, Adapter]
    zone: tzinfo

    def __call__(self, undelivered: Undelivered) -> Notice:
        """Write the notice about one message, in the language of its sender."""
        sender = self._told(undelivered.sender)
        unreached = self.directory.party(undelivered.party)
        header = _header(undelivered, self.directory.own.identity)
        name = unreached.identity.name if unreached else undelivered.party
        error = text_element(PLAIN.code, INVALID) + text_element(PLAIN.name, _words(undelivered, sender, name))
        content = f"<{PLAIN.errors}><{PLAIN.error}>{error.decode()}</{PLAIN.error}></{PLAIN.errors}>"
        return Notice(header=header, content=write(header, content.encode(), zone=self.zone))

    def _told(self, code: str) -> Party:
        sender = self.directory.party(code)
        adapter = self.adapters.get(sender.adapter) if sender else None
        if sender is None or adapter is None or adapter.profile.protocol != PROTOCOL:
            raise NotValid(Code.NO_ROUTE, Problem(text="mending.no-way-back", values={"party": code}))
        return sender


def _header(undelivered: Undelivered, own: Identity) -> Header:
    about = undelivered.header
    return Header(
        id=undelivered.id,
        sender=own,
        receiver=about.sender,
        subject=replace(about.subject, function=REFUSED),
        sent_at=undelivered.at,
        version=about.version or VERSION,
    )


def _words(undelivered: Undelivered, sender: Party, name: str) -> str:
    about = undelivered.header
    values = {"message": about.id or about.subject.reference, "party": name, "reason": undelivered.reason}
    return spoken(Problem(text="mending.returned", values=values), language_of(sender.languages))
