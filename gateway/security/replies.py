"""Holds a partner's signed reply to what was sent: a good signature under an answer to something else proves nothing."""

from gateway.errors import Code, NotProven, Problem
from gateway.model import PartyCode
from gateway.xml.receipts import differences, subject_of


def unsigned(sender: PartyCode) -> NotProven:
    """Make the refusal of an answer without a signature, of a partner that signs its answers."""
    # (26) who signs its replies signs each of them
    return NotProven(Code.SIGNATURE, Problem(text="signature.reply-unsigned", values={"check": "26", "sender": sender}))


def check_about(told: bytes, *, sent: bytes, sender: PartyCode) -> None:
    """Refuse a proved envelope that is about another message than the envelope that was sent; what is no envelope is about none.

    Raises NotProven.
    """
    said, wrote = subject_of(told), subject_of(sent)
    others = differences(wrote, said) if said and wrote else ()
    # (33) a signed reply is about the message that was sent
    if others:
        values = {"check": "33", "sender": sender, "found": ", ".join(others)}
        raise NotProven(Code.SIGNATURE, Problem(text="signature.reply-other", values=values))
