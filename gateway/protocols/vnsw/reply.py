"""The synchronous reply: an envelope with function 99 (received) or 00 (refused), From and To exchanged.

Pure and deterministic: the same receipt or refusal always gives the same bytes, in canonical form, ready to be signed.
"""

from collections.abc import Iterable
from datetime import datetime, tzinfo

from gateway.errors import Problem, explain, remedy
from gateway.model import Header, Identity, Receipt, Refusal, Subject, Wrapper
from gateway.xml.header import text_element, write_date, write_header

from .codes import field_code
from .dialects import Answers

RECEIVED, REFUSED = "99", "00"
VERSION = "1.0"  # of a reply to a message that says none
LANGUAGES = ("vi", "en")  # that the texts are written in
MAX_ERRORS = 20  # as many as the schema check explains; more help nobody
MAX_WHAT, MAX_PLACE, MAX_FIX = 600, 250, 400  # characters; an ErrorName stays below 1,300, the field's databases keep 2,000 to 5,000


def accepted(receipt: Receipt, answers: Answers, *, zone: tzinfo) -> bytes:
    """Write the 99 reply: the day and time of receipt, nothing else."""
    header = _turned(receipt.header, RECEIVED, receipt.message, receipt.accepted_at)
    return _envelope(header, text_element(answers.received, write_date(receipt.accepted_at, zone)), zone)


def refused(refusal: Refusal, header: Header, answers: Answers, *, language: str, zone: tzinfo) -> bytes:
    """Write the 00 reply: one error a problem, at most MAX_ERRORS; `header` is the refused message's, or what stands in for it."""
    code = field_code(refusal.code)
    errors = (_error(code, spoken(problem, language), answers) for problem in refusal.problems[:MAX_ERRORS])
    turned = _turned(header, REFUSED, refusal.message, refusal.refused_at)
    return _envelope(turned, _element(answers.errors, *errors), zone)


def stand_in(wrapper: Wrapper, *, sender: Identity, receiver: Identity) -> Header:
    """Make the header a message would have had that has no readable one: procedure from the wrapper's hints."""
    subject = Subject(document_type=wrapper.document_type, type="", function="", reference="", year="")
    return Header(id=None, sender=sender, receiver=receiver, subject=subject, sent_at=None)


def spoken(problem: Problem, language: str) -> str:
    """Say what is wrong, where, and what to do, in one line of bounded length."""
    place = ", ".join(part for part in (_cut(problem.path or "", MAX_PLACE), _line(problem, language)) if part)
    parts = (
        _cut(explain(problem, language), MAX_WHAT),
        explain(Problem(text="vnsw.place", values={"place": place}), language) if place else "",
        _cut(remedy(problem, language), MAX_FIX),
    )
    return " ".join(part for part in parts if part)


def language_of(languages: Iterable[str]) -> str:
    """Choose a party's first language that there are texts in."""
    return next((language for language in languages if language in LANGUAGES), LANGUAGES[0])


def _line(problem: Problem, language: str) -> str:
    return explain(Problem(text="vnsw.line", values={"line": str(problem.line)}), language) if problem.line else ""


def _cut(text: str, limit: int) -> str:
    """One line, at most so long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _turned(header: Header, function: str, message: str, at: datetime) -> Header:
    """The reply's header: From and To exchanged, our message id, the same subject with another function."""
    subject = header.subject
    about = Subject(  # spelt out: dataclasses.replace takes four times as long, and every message is answered
        document_type=subject.document_type,
        type=subject.type,
        function=function,
        reference=subject.reference,
        year=subject.year,
        previous=subject.previous,
        previous_year=subject.previous_year,
    )
    version = header.version or VERSION
    return Header(id=message, sender=header.receiver, receiver=header.sender, subject=about, sent_at=at, version=version)


def _envelope(header: Header, content: bytes, zone: tzinfo) -> bytes:
    """The whole envelope, canonical because each of its parts is."""
    return b"<Envelope>%b<Body><Content>%b</Content></Body></Envelope>" % (write_header(header, zone=zone), content)


def _error(code: str, name: str, answers: Answers) -> bytes:
    return _element(answers.error, text_element(answers.code, code), text_element(answers.name, name))


def _element(name: str, *inside: bytes) -> bytes:
    return b"<%b>%b</%b>" % (name.encode(), b"".join(inside), name.encode())
