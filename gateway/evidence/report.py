"""What people read of a container: one report in two languages, for the screen (HTML) and for paper (PDF)."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import cache
from importlib import resources
from typing import Literal
from unicodedata import category

from jinja2 import Environment, StrictUndefined, Template

from gateway.errors import Problem, explain
from gateway.store.times import from_micros

from .paper import write_pdf
from .record import HeadPart, MessagePart, Record, SignerPart

LANGUAGES = ("vi", "en")
NONE = "-"
MAX_TIMELINE = 400  # events of one message that are printed; evidence.json has every one
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})  # categories of what is not seen, or turns the direction of what is
_TIME = "%d/%m/%Y %H:%M:%S %Z"
_SHOWN = ("party", "outcome", "state", "code", "attempt", "by", "reason", "route")  # values of an event that people understand
Kind = Literal["events", "deliveries", "attachments", "receipts"]
Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part: facts as pairs, or a table with its header, of a kind that has its own widths; `note` stands above it."""

    title: str
    kind: Kind = "events"
    note: str = ""
    facts: Rows = ()
    header: tuple[str, ...] = ()
    rows: Rows = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report in one language: what stands at its top, and its parts; a part without facts and rows begins a message."""

    language: str
    title: str
    subtitle: str
    sections: tuple[Section, ...]
    footer: str


def write_reports(record: Record) -> Mapping[str, bytes]:
    """Write the report in every language and form, by file name. Times are in the zone of the time at which it was made."""
    files: dict[str, bytes] = {}
    for language in LANGUAGES:
        page = page_of(record, language)
        files[f"report-{language}.html"] = _template().render(page=page).encode()
        files[f"report-{language}.pdf"] = write_pdf(page, at=record.made_at)
    return files


def page_of(record: Record, language: str) -> Page:
    """Put a report together."""
    words = _Words(language, record.made_at.tzinfo)
    sections = tuple(section for message in record.messages for section in _message(message, record, words))
    return Page(
        language=language,
        title=words("title"),
        subtitle=_visible(words("subtitle", gateway=record.gateway, at=words.time(record.made_at))),
        sections=tuple(map(_shown, (*sections, _heads(record, words), Section(title=words("verify"), note=words("verify-how"))))),
        footer=words("footer"),
    )


@dataclass(frozen=True, slots=True)
class _Words:
    """The texts of one language, and times in one zone."""

    language: str
    zone: tzinfo | None

    def __call__(self, name: str, /, **values: str) -> str:
        return explain(Problem(text=f"printed.{name}", values=values), self.language)

    def time(self, at: datetime | None) -> str:
        """Write a moment; a dash where there is none."""
        return at.astimezone(self.zone).strftime(_TIME) if at else NONE

    def known(self, name: str, value: str) -> str:
        """Give the words of a name, the value itself where there are none."""
        found = self(name)
        return value if found.startswith("printed.") else found


def _message(message: MessagePart, record: Record, words: _Words) -> Iterator[Section]:
    yield Section(title=words("message", number=str(record.messages.index(message) + 1), count=str(len(record.messages)), id=message.id))
    yield Section(title=words("what"), facts=_facts(message, words))
    if not message.signers:
        yield Section(title=words("signed-by"), note=words("unsigned", proof=message.proof or NONE))
    for signer in message.signers:
        yield Section(title=words(f"signer-{signer.role}"), facts=_signer(signer, message, words))
    if message.deliveries:
        header = tuple(words(name) for name in ("party", "state", "attempts", "partner-number", "updated"))
        rows = tuple(
            (d.party, words.known(f"state-{d.state}", d.state), str(d.attempts), d.reference or NONE, words.time(d.updated_at))
            for d in message.deliveries
        )
        yield Section(title=words("deliveries"), kind="deliveries", header=header, rows=rows)
    if message.attachments:
        yield _attachments(message, words)
    if message.receipts:
        yield _receipts(message, words)
    events = tuple(_event(json.loads(event.leaf), event.position, words) for event in message.events[:MAX_TIMELINE])
    left = len(message.events) - len(events)
    note = words("more-events", count=str(left)) if left else words("waiting", count=str(message.waiting)) if message.waiting else ""
    yield Section(title=words("timeline"), note=note, header=tuple(map(words, ("time", "event", "details", "position"))), rows=events)


def _attachments(message: MessagePart, words: _Words) -> Section:
    left_out = f" ({words('left-out')})"
    rows = tuple(
        (f"{part.number}. {part.name}{'' if part.file else left_out}", part.media_type, part.sha256, f"{part.size:,}")
        for part in message.attachments
    )
    header = tuple(map(words, ("attachment", "media-type", "sha256", "bytes")))
    return Section(title=words("attachments"), kind="attachments", header=header, rows=rows)


def _receipts(message: MessagePart, words: _Words) -> Section:
    folder = f"messages/{message.id}/"
    rows = tuple(
        (words.time(part.at), part.party or words("gateway"), part.name or words("nobody"), part.file.removeprefix(folder))
        for part in message.receipts[-MAX_TIMELINE:]
    )
    header = tuple(map(words, ("time", "answered-by", "answer-signed-by", "file")))
    return Section(title=words("receipts"), kind="receipts", note=words("receipts-note"), header=header, rows=rows)


def _facts(message: MessagePart, words: _Words) -> Rows:
    facts = {
        "id": message.id,
        "result": words.known(f"state-{message.state}", message.state) + (f" ({message.code})" if message.code else ""),
        "received": words.time(message.received_at),
        "procedure": message.procedure,
        "kind": f"{message.type} / {message.function}" if message.type else "",
        "reference": message.reference,
        "sender": message.sender,
        "receiver": message.receiver,
        "proof": words.known(f"proof-{message.proof}", message.proof),
    }
    return tuple((words(name), value) for name, value in facts.items() if value)


def _signer(signer: SignerPart, message: MessagePart, words: _Words) -> Rows:
    stated = words.time(signer.signed_at) if signer.signed_at else words("no-time", at=words.time(message.received_at))
    facts = {
        "name": signer.name,
        "organization": signer.organization,
        "tax-code": signer.tax_code,
        "contact": signer.contact or words("no-contact"),
        "signed-at": stated,
        "certificate": signer.certificate,
        "issuer": signer.issuer,
    }
    return tuple((words(name), value) for name, value in facts.items() if value)


def _event(leaf: Mapping[str, object], position: int, words: _Words) -> tuple[str, ...]:
    at, kind = from_micros(int(str(leaf["at"]))), str(leaf["kind"])
    shown = {name: str(leaf[name]) for name in _SHOWN if leaf.get(name)}
    details = "; ".join(f"{words(f'value-{name}')}: {words.known(f'state-{value}', value)}" for name, value in shown.items())
    return words.time(at), words.known(f"event-{kind.replace('.', '-')}", kind), details or NONE, str(position)


def _heads(record: Record, words: _Words) -> Section:
    names = ("size", "root", "sealed-at", "stamped-at")
    facts = tuple((words(name), value) for part in record.heads for name, value in zip(names, _head(part, words), strict=True))
    return Section(title=words("heads"), note=words("heads-note"), facts=facts)


def _head(part: HeadPart, words: _Words) -> tuple[str, ...]:
    match part.signed:
        case {"head": {"size": size, "root": root, "at": str(at)}}:
            stamped = words.time(part.stamped_at) if part.stamped_at else words("no-stamp")
            return str(size), str(root), words.time(datetime.fromisoformat(at)), stamped
    return NONE, NONE, NONE, NONE


def _shown(section: Section) -> Section:
    facts, rows = (tuple(tuple(map(_visible, row)) for row in found) for found in (section.facts, section.rows))
    return replace(section, title=_visible(section.title), note=_visible(section.note), facts=facts, rows=rows)


def _visible(text: str) -> str:
    """Name what a reader would not see, in letters that the paper's font has: names are strangers'. Line breaks stay."""
    return "".join(f"[U+{ord(c):04X}]" if c != "\n" and category(c) in _UNSEEN else c for c in text)


@cache
def _template() -> Template:
    text = (resources.files("gateway.evidence") / "templates" / "report.html").read_text("utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(text)
