"""The catalogue: what a procedure is, its messages, and what each of them asks for. Values only; rules.py makes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gateway.model import PartyCode, Periods, Route

from .conditions import Condition
from .paths import Paths

Direction = Literal["to-agency", "to-portal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Title:
    """A name in both languages."""

    vi: str
    en: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathLabel:
    """What a declared path feeds: a business key, a fact for conditions, or the identity a person's signature must match."""

    use: Literal["key", "fact", "identity"]
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessRule:
    """What a schema cannot say: `require` must hold, wherever `when` does; `title` tells the sender what is wanted."""

    name: str
    when: Condition | None
    require: Condition
    title: Title
    path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """One destination of a message, and the condition on which it goes there; None: always."""

    route: Route
    when: Condition | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRule:
    """One row of a procedure's table: {type, function} and all that it decides. `schema` is the schema's name."""

    type: str
    function: str
    title: Title
    direction: Direction
    senders: frozenset[PartyCode]
    schema: str
    person_signature: Literal["optional", "required"]
    opens_dossier: bool
    dossier_from: frozenset[str]  # empty: from any state
    dossier_to: str | None  # None: the state stays
    paths: Paths[PathLabel]
    rules: tuple[BusinessRule, ...]
    routes: tuple[RouteRule, ...]

    @property
    def code(self) -> str:
        """The way people say it: "21/18"."""
        return f"{self.type}/{self.function}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A length of time: calendar time, or working days where the law counts those."""

    calendar: timedelta = timedelta(0)
    working_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """After one of `after`, one of `answered_by` must follow in the same dossier `within` a time."""

    name: str
    title: Title
    after: frozenset[str]
    answered_by: frozenset[str]
    within: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A case the rules must pass: who sends which message with which facts, and where it must go, or which rule refuses it."""

    message: str
    sender: PartyCode
    facts: Mapping[str, str]
    keys: Mapping[str, tuple[str, ...]]
    to: tuple[PartyCode, ...]
    refused_by: str | None
    place: str
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """One version of an administrative procedure, in force from `since` until just before `until`.

    `stamp` names the version with its validity, as recorded with each message it judged.
    """

    code: str
    version: str
    since: datetime
    until: datetime | None
    stamp: str
    title: Title
    portal: PartyCode
    agency: PartyCode
    states: Mapping[str, Title]
    messages: Mapping[tuple[str, str], MessageRule]
    deadlines: tuple[Deadline, ...]
    retention: Periods
    personal_data: tuple[str, ...]  # paths into the content
    examples: tuple[Example, ...]

    def in_force(self, at: datetime) -> bool:
        """Say whether this version judges what arrives at a moment."""
        return self.since <= at and (self.until is None or at < self.until)
