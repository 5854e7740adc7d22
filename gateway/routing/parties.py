"""Makes parties of their forms, and finds what no single table can show: names used twice, exceptions without an end."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from gateway.model import Concession, Identity, Limits, Party, PartyCode, Periods, RetryPolicy, SealProfile, Window

from .forms import DAYS, GatewayForm, IdentityForm, PartyForm, RetentionForm, SendsForm, WindowForm, midnight, read_span
from .sources import Fault, Place, Source
from .suggest import nearest

MONDAY = date(2024, 1, 1)  # any one that is past


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One [[party]] and where it stands."""

    form: PartyForm
    source: Source
    place: Place


def make_party(form: PartyForm, *, endpoint: str, zone: tzinfo) -> Party:
    """Make the party that a sound form describes."""
    return Party(
        code=PartyCode(form.code),
        identity=_identity(form.identity),
        aliases=frozenset(form.aliases),
        roles=frozenset(form.roles),
        adapter=form.adapter or "",
        dialect=dict(form.dialect),
        sends=_sends(form.sends, zone),
        accepts=SealProfile(signature=form.accepts.signature, algorithms=tuple(form.accepts.algorithms)),
        person_signature=form.person_signature,
        sends_for=frozenset(PartyCode(code) for code in form.sends_for),
        endpoint=endpoint,
        languages=tuple(form.languages),
        limits=Limits(
            concurrency=form.limits.concurrency,
            timeout=read_span(form.limits.timeout).calendar,
            reply_bytes=form.limits.reply_bytes,
            per_minute=form.limits.per_minute,
        ),
        retry=RetryPolicy(
            first=read_span(form.retry.first).calendar,
            factor=form.retry.factor,
            longest=read_span(form.retry.longest).calendar,
            jitter=form.retry.jitter,
            attempts=form.retry.attempts,
        ),
        maintenance=tuple(make_window(window, zone) for window in form.maintenance),
        collects=form.collects,
        retention=make_periods(form.retention) if form.retention else None,
        revocation=form.revocation,
    )


def make_window(form: WindowForm, zone: tzinfo) -> Window:
    """Make the window that a sound form describes; one that recurs is given as it first stood in a week long past."""
    if form.from_ and form.until:
        return Window(start=midnight(form.from_, zone), until=midnight(form.until, zone))
    day, _, hours = (form.weekly or "").partition(" ")
    first = MONDAY + timedelta(days=DAYS.index(day))
    start, until = (datetime.combine(first, time.fromisoformat(hour), zone) for hour in hours.split("-"))
    return Window(start=start, until=until if until > start else until + timedelta(days=1), weekly=True)


def make_periods(form: RetentionForm) -> Periods:
    """Make the periods that a sound form describes."""
    content, record, archive = (read_span(text).calendar for text in (form.content, form.record, form.archive))
    return Periods(content=content, record=record, archive=archive)


def make_own(form: GatewayForm) -> Party:
    """Make the gateway's own party: it has a name and languages, and no adapter reaches it."""
    retention = make_periods(form.retention) if form.retention else None
    return Party(code=PartyCode(form.code), identity=_identity(form.identity), languages=tuple(form.languages), retention=retention)


def party_faults(entries: Sequence[Entry], own: str, adapters: Collection[str] | None) -> Iterator[tuple[Source, Fault]]:
    """Find what is wrong among parties whose forms are sound; adapters None: not known here, not judged."""
    codes = [own, *(entry.form.code for entry in entries)]
    taken: dict[str, str] = {own: own}
    for entry in entries:
        faults = [*_name_faults(entry, taken), *_exception_faults(entry), *_reference_faults(entry, codes, adapters)]
        yield from ((entry.source, fault) for fault in faults)


def endpoint_faults(endpoints: Mapping[str, str], codes: Collection[str]) -> Iterator[Fault]:
    """Find endpoints of parties that do not exist."""
    for code in endpoints:
        if code not in codes:
            yield Fault(place=("endpoints", code), text="party-unknown", values={"party": code, "near": nearest(code, codes)})


def _name_faults(entry: Entry, taken: dict[str, str]) -> Iterator[Fault]:
    """A spelling belongs to one party, once; `taken` learns this party's."""
    for key, spelling in [("code", entry.form.code), *(("aliases", alias) for alias in entry.form.aliases)]:
        if spelling in taken:
            yield Fault(place=(*entry.place, key), text="party-name-taken", values={"name": spelling, "party": taken[spelling]})
        taken.setdefault(spelling, entry.form.code)


def _exception_faults(entry: Entry) -> Iterator[Fault]:
    sends = entry.form.sends
    if sends.signature == "none" and not (sends.until and sends.bound_to):
        yield Fault(place=(*entry.place, "sends"), text="exception-open", values={"party": entry.form.code})


def _reference_faults(entry: Entry, codes: Collection[str], adapters: Collection[str] | None) -> Iterator[Fault]:
    form = entry.form
    for number, code in enumerate(form.sends_for):
        if code not in codes:
            values = {"party": code, "near": nearest(code, codes)}
            yield Fault(place=(*entry.place, "sends_for", number), text="party-unknown", values=values)
    if form.collects and form.adapter is None:
        yield Fault(place=(*entry.place, "collects"), text="collects-unwritten", values={"party": form.code})
    if form.adapter is not None and adapters is not None and form.adapter not in adapters:
        values = {"adapter": form.adapter, "near": nearest(form.adapter, adapters), "known": ", ".join(sorted(adapters))}
        yield Fault(place=(*entry.place, "adapter"), text="adapter-unknown", values=values)


def _identity(form: IdentityForm) -> Identity:
    return Identity(
        name=form.name,
        identity=form.identity,
        country=form.country,
        ministry=form.ministry,
        organization=form.organization,
        unit=form.unit,
    )


def _sends(form: SendsForm, zone: tzinfo) -> SealProfile:
    until = midnight(form.until, zone) if form.until else None
    return SealProfile(
        signature=form.signature,
        until=until,
        bound_to=tuple(form.bound_to),
        algorithms=tuple(form.algorithms),
        min_rsa_bits=form.min_rsa_bits,
        clock_skew=read_span(form.clock_skew).calendar,
        concessions=tuple(Concession(allow=frozenset(c.allow), until=midnight(c.until, zone)) for c in form.concessions),
        replies_signed=form.replies_signed,
    )
