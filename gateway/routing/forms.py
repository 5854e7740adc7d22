"""The forms of the TOML files: every key, its kind, and what is accepted there. docs/reference/rules.md explains them."""

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from .paths import is_path
from .procedures import Span
from .sources import Fault, Place
from .suggest import nearest

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "y": 366 * 86_400}  # a year never ends before the law's
_SPAN = re.compile(r"(\d{1,6})(s|m|h|d|wd|y)")
MAX_TIMEOUT = timedelta(seconds=60)  # a claim's lease outlives it: what may still be under way must never be sent a second time
MAX_SKEW = timedelta(hours=1)  # a clock that is wrong by more is mended, not allowed for
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_OFFSET = re.compile(r"([+-])(\d{2}):([0-5]\d)")
_BOUND = re.compile(r"(?:certificate:[0-9a-f]{64}|key:[\w.-]{1,64})")
_KINDS = {  # pydantic's name of an error -> the text of ours that says which kind is wanted
    "string_type": "want-text", "list_type": "want-list", "dict_type": "want-table", "model_type": "want-table",
    "model_attributes_type": "want-table", "int_type": "want-number", "float_type": "want-number", "bool_type": "want-truth",
}  # fmt: skip
_BOUNDS = {  # pydantic's name -> the text of ours, and where pydantic keeps the bound
    "string_too_long": ("too-long", "max_length"), "string_too_short": ("too-short", "min_length"),
    "too_short": ("too-short", "min_length"), "greater_than_equal": ("too-small", "ge"), "less_than_equal": ("too-large", "le"),
}  # fmt: skip


# --- kinds of values -----------------------------------------------------------------------------------------------


def read_span(text: str) -> Span:
    """Read "15s", "10m", "24h", "30d", "5y", or "2wd" for working days; raises PydanticCustomError."""
    if (found := _SPAN.fullmatch(text)) is None:
        raise PydanticCustomError("span", "-", {"found": text})
    count, unit = int(found[1]), found[2]
    return Span(working_days=count) if unit == "wd" else Span(calendar=timedelta(seconds=count * _UNITS[unit]))


def read_zone(text: str) -> tzinfo:
    """Read a fixed offset such as "+07:00", or a zone's name where the machine has the zone tables; raises PydanticCustomError."""
    if found := _OFFSET.fullmatch(text):
        size = timedelta(hours=int(found[2]), minutes=int(found[3]))
        if size < timedelta(hours=24):
            return timezone(size if found[1] == "+" else -size)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise PydanticCustomError("zone", "-", {"found": text}) from error


def midnight(day: date, zone: tzinfo) -> datetime:
    """Give the first moment of a day in the gateway's zone; a moment without a zone is read in that zone."""
    moment = day if isinstance(day, datetime) else datetime.combine(day, time.min)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _duration(text: str) -> timedelta:
    span = read_span(text)
    if span.working_days:
        raise PydanticCustomError("duration", "-", {"found": text})
    return span.calendar


def _timeout(text: str) -> str:
    if not timedelta(seconds=1) <= _duration(text) <= MAX_TIMEOUT:
        raise PydanticCustomError("timeout", "-", {"found": text})
    return text


def _skew(text: str) -> str:
    if _duration(text) > MAX_SKEW:
        raise PydanticCustomError("skew", "-", {"found": text})
    return text


def _path(text: str) -> str:
    if not is_path(text):
        raise PydanticCustomError("path", "-", {"found": text})
    return text


def _bound(text: str) -> str:
    if text.startswith("network:"):
        try:
            ipaddress.ip_network(text.removeprefix("network:"))
        except ValueError as error:
            raise PydanticCustomError("bound", "-", {"found": text}) from error
    elif not _BOUND.fullmatch(text):
        raise PydanticCustomError("bound", "-", {"found": text})
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+\S*", text):
        raise PydanticCustomError("address", "-", {"found": text})
    return text


def _matching(pattern: str, name: str) -> AfterValidator:
    def judge(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError(name, "-", {"found": text})
        return text

    return AfterValidator(judge)


def _at_most(length: int) -> StringConstraints:
    return StringConstraints(min_length=1, max_length=length)


Text = Annotated[str, _at_most(500)]
Name = Annotated[str, _matching(r"[a-z0-9][a-z0-9-]{0,39}", "name")]
FactName = Annotated[str, _matching(r"[a-z][a-z0-9_]{0,39}", "fact-name")]
Code = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9&:._-]{0,29}", "party-code")]
ProcedureCode = Annotated[str, _matching(r"[A-Za-z0-9:&._-]{1,100}", "procedure-code")]
Number = Annotated[str, _matching(r"\d{2,3}", "type-number")]
MessageCode = Annotated[str, _matching(r"\d{2,3}/\d{2,3}", "message-code")]
PathText = Annotated[str, AfterValidator(_path)]
Element = Annotated[str, _matching(r"[A-Za-z_][\w.-]*", "element")]
SpanText = Annotated[str, AfterValidator(lambda text: (read_span(text), text)[1])]
Duration = Annotated[str, AfterValidator(lambda text: (_duration(text), text)[1])]
Timeout = Annotated[str, AfterValidator(_timeout)]
Skew = Annotated[str, AfterValidator(_skew)]
Algorithm = Literal["rsa-sha256", "rsa-sha384", "rsa-sha512", "ecdsa-sha256", "ecdsa-sha384"]
Weekly = Annotated[str, _matching(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:[01]\d|2[0-3]):[0-5]\d-(?:[01]\d|2[0-3]):[0-5]\d", "weekly")]
Language = Annotated[str, _matching(r"[a-z]{2}", "language")]
Expression = Annotated[str, StringConstraints(min_length=1)]


class Form(BaseModel):
    """A table of a file: frozen, no key but its own, no kind but the one written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# --- rules.toml, endpoints.toml --------------------------------------------------------------------------------------


class RulesForm(Form):
    """rules.toml: the pack's own name for itself."""

    version: Text
    valid_from: date
    valid_to: date | None = None


class EndpointsForm(Form):
    """endpoints.toml: where this installation reaches its parties."""

    endpoints: dict[str, Annotated[str, AfterValidator(_address)]]


# --- parties.toml, parties/*.toml --------------------------------------------------------------------------------------


class IdentityForm(Form):
    """How a party writes itself in From and To; lengths are the envelope's."""

    name: Annotated[str, _at_most(255)]
    identity: Annotated[str, _at_most(13)]
    country: Annotated[str, _matching(r"[A-Z]{2}", "country")]
    ministry: Annotated[str, _at_most(20)]
    organization: Annotated[str, _at_most(20)]
    unit: Annotated[str, StringConstraints(max_length=20)] = ""


class ConcessionForm(Form):
    """One of `concessions`: what a party may use although it is weak, and until when."""

    allow: Annotated[list[Literal["sha1", "rsa-1024", "dsa"]], Field(min_length=1)]
    until: date | datetime


class SendsForm(Form):
    """What signatures a party sends; none is an exception with an end and a bond."""

    signature: Literal["xmldsig", "xades-b-b", "xades-b-t", "xades-b-lt", "wss-x509", "cms-detached", "none"] = "xmldsig"
    until: date | datetime | None = None
    bound_to: list[Annotated[str, AfterValidator(_bound)]] = []
    algorithms: list[Algorithm] = []
    min_rsa_bits: Annotated[int, Field(ge=2048, le=8192)] = 2048
    clock_skew: Skew = "5m"
    concessions: list[ConcessionForm] = []
    replies_signed: bool = False


class AcceptsForm(Form):
    """What signatures a party accepts."""

    signature: Literal["xmldsig", "xades-b-b", "xades-b-t", "xades-b-lt", "wss-x509", "cms-detached", "none"] = "xmldsig"
    algorithms: list[Algorithm] = []


class LimitsForm(Form):
    """What a party may be asked to bear."""

    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    timeout: Timeout = "15s"
    reply_bytes: Annotated[int, Field(ge=1_024, le=104_857_600)] = 10_485_760
    per_minute: Annotated[int | None, Field(ge=1, le=1_000_000)] = None


class WindowForm(Form):
    """A time in which a party wants nothing sent: from one moment until another, or the same hours every week."""

    from_: date | datetime | None = Field(default=None, alias="from")
    until: date | datetime | None = None
    weekly: Weekly | None = None

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        once = self.from_ and self.until and midnight(self.from_, UTC) < midnight(self.until, UTC)
        if (self.weekly and (self.from_ or self.until)) or not (self.weekly or once):
            given = {"from": self.from_, "until": self.until, "weekly": self.weekly}
            found = ", ".join(f"{key} = {value}" for key, value in given.items() if value is not None)
            raise PydanticCustomError("window", "-", {"found": found or "-"})
        return self


class RetryForm(Form):
    """How deliveries to a party are repeated."""

    first: Duration = "5s"
    factor: Annotated[float, Field(ge=1, le=10, strict=False)] = 2.0
    longest: Duration = "10m"
    jitter: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.2
    attempts: Annotated[int, Field(ge=1, le=10_000)] = 40


class RetentionForm(Form):
    """[retention] of a procedure, `retention` of a party."""

    content: Duration
    record: Duration
    archive: Duration = "90d"

    @field_validator("record")
    @classmethod
    def _outlives_the_content(cls, text: str, info: ValidationInfo) -> str:
        """Refuse a record that would end before the content that it tells of."""
        if _duration(text) < _duration(info.data.get("content", "0s")):
            raise PydanticCustomError("record", "-", {"found": text})
        return text


class PartyForm(Form):
    """One [[party]]."""

    code: Code
    identity: IdentityForm
    aliases: list[Text] = []
    roles: list[Name] = []
    adapter: Text | None = None
    dialect: dict[str, str] = {}
    sends: SendsForm = SendsForm()
    accepts: AcceptsForm = AcceptsForm()
    person_signature: Literal["drop", "keep"] = "drop"
    sends_for: list[Text] = []
    languages: list[Language] = ["vi", "en"]
    limits: LimitsForm = LimitsForm()
    retry: RetryForm = RetryForm()
    maintenance: list[WindowForm] = []
    collects: bool = False
    retention: RetentionForm | None = None
    revocation: Literal["require", "prefer", "off"] = "prefer"


class GatewayForm(Form):
    """[gateway]: this gateway's own party, country, zone and languages."""

    code: Code
    zone: Annotated[str, AfterValidator(lambda text: (read_zone(text), text)[1])]
    languages: Annotated[list[Language], Field(min_length=1)]
    identity: IdentityForm
    retention: RetentionForm | None = None


class PartiesForm(Form):
    """parties.toml."""

    gateway: GatewayForm
    party: list[PartyForm] = []


class MorePartiesForm(Form):
    """parties/*.toml: parties that an installation adds."""

    party: list[PartyForm]


# --- procedures/<ministry>/<procedure>.toml ------------------------------------------------------------------------------


class TitleForm(Form):
    """A name in both languages."""

    vi: Text
    en: Text


class DossierForm(Form):
    """What a message does to its dossier."""

    opens: bool = False
    from_: list[str] = Field(default=[], alias="from")
    to: str | None = None


class MessageForm(Form):
    """One [[message]]."""

    type: Number
    function: Number
    direction: Literal["to-agency", "to-portal"]
    title: TitleForm
    element: Element
    schema_: Text | None = Field(default=None, alias="schema")
    person_signature: Literal["optional", "required"] = "optional"
    dossier: DossierForm = DossierForm()


class RuleForm(Form):
    """One [[rule]]: what a schema cannot say."""

    name: Name
    messages: Annotated[list[MessageCode], Field(min_length=1)]
    when: Expression | None = None
    require: Expression
    title: TitleForm
    path: PathText | None = None


class RouteForm(Form):
    """One [[route]]."""

    name: Name
    to: Text
    direction: Literal["to-agency", "to-portal"] | None = None
    messages: list[MessageCode] | None = None
    when: Expression | None = None
    order: Literal["none", "dossier"] = "dossier"
    timeout: Timeout | None = None


class DeadlineForm(Form):
    """One [[deadline]]."""

    name: Name
    title: TitleForm
    after: Annotated[list[MessageCode], Field(min_length=1)]
    answered_by: Annotated[list[MessageCode], Field(min_length=1)]
    within: SpanText


class PersonalForm(Form):
    """[personal_data]."""

    paths: list[PathText] = []


class ExampleForm(Form):
    """One [[example]]."""

    message: MessageCode
    from_: Text = Field(alias="from")
    facts: dict[str, str] = {}
    keys: dict[str, list[str]] = {}
    to: list[Text] = []
    refused_by: Name | None = None


class ProcedureForm(Form):
    """One version of one procedure."""

    code: ProcedureCode
    version: Text
    valid_from: date
    valid_to: date | None = None
    title: TitleForm
    portal: Text
    agency: Text
    states: dict[str, TitleForm] = {}
    keys: dict[FactName, list[PathText]] = {}
    facts: dict[FactName, list[PathText]] = {}
    identity: list[PathText] = []
    personal_data: PersonalForm = PersonalForm()
    retention: RetentionForm
    message: Annotated[list[MessageForm], Field(min_length=1)]
    rule: list[RuleForm] = []
    route: Annotated[list[RouteForm], Field(min_length=1)]
    deadline: list[DeadlineForm] = []
    example: list[ExampleForm] = []


# --- reading a table into its form ------------------------------------------------------------------------------------


def fill(form: type[Form], table: Mapping[str, object]) -> Form | list[Fault]:
    """Read a table into a form; gives everything that is wrong with it at once."""
    try:
        return form.model_validate(table)
    except ValidationError as error:
        faults = [_fault(form, details) for details in error.errors(include_url=False)]
        return list({(fault.place, fault.text): fault for fault in faults}.values())  # a union complains once for each member


def _fault(form: type[Form], details: ErrorDetails) -> Fault:
    place: Place = tuple(step for step in details["loc"] if step not in {"date", "datetime", "[key]"})
    name, context = details["type"], details.get("ctx", {})
    values = {str(key): str(value) for key, value in context.items()}
    key = str(place[-1]) if place else ""
    if name == "extra_forbidden":
        known = _keys_at(form, place[:-1])
        return Fault(place=place, text="key-unknown", values={"key": key, "near": nearest(key, known), "known": ", ".join(known)})
    if name == "missing":
        return Fault(place=place, text="key-missing", values={"key": key})
    if name in _KINDS:
        return Fault(place=place, text=_KINDS[name], values={"key": key, "found": _kind_of(details["input"])})
    if name == "literal_error":
        return Fault(place=place, text="want-choice", values={"key": key, "found": str(details["input"]), "accepted": values["expected"]})
    if name in _BOUNDS:
        text, bound = _BOUNDS[name]
        return Fault(place=place, text=text, values={"key": key, "limit": values[bound]})
    if name.startswith("date"):
        return Fault(place=place, text="want-date", values={"key": key, "found": _kind_of(details["input"])})
    if "found" in values:  # one of our own kinds
        return Fault(place=place, text=f"want-{name}", values={"key": key, **values})
    return Fault(place=place, text="value-wrong", values={"key": key, "detail": details["msg"]})


def _keys_at(form: type[Form], place: Place) -> list[str]:
    """List the keys a table at a place may have."""
    for step in place:
        if isinstance(step, str) and (field := _field(form, step)) is not None:
            form = next(_forms_in(field), form)
    return sorted(field.alias or name for name, field in form.model_fields.items())


def _field(form: type[Form], key: str) -> object | None:
    return next((field.annotation for name, field in form.model_fields.items() if key == (field.alias or name)), None)


def _forms_in(annotation: object) -> Iterator[type[Form]]:
    if isinstance(annotation, type) and issubclass(annotation, Form):
        yield annotation
    for inner in get_args(annotation):
        yield from _forms_in(inner)


def _kind_of(value: object) -> str:
    kinds: Sequence[tuple[type, str]] = (
        (bool, "true/false"), (int, "number"), (float, "number"), (str, "text"), (list, "list"), (dict, "table"), (date, "date"),
    )  # fmt: skip
    return next((word for kind, word in kinds if isinstance(value, kind)), "?")
