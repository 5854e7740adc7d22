"""What processes know together of each destination: whether its circuit is open, what its rate allows, until when staff paused it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar
from urllib.parse import urlsplit

from gateway.audit import Event
from gateway.errors import Code, Conflict, NotValid, Problem
from gateway.lifecycle import NO_ADDRESS
from gateway.model import Party, PartyCode
from gateway.ports import Clock, Database, Tx
from gateway.store.leaves import write_leaf
from gateway.store.times import MICROSECOND, from_micros, to_micros

from . import rate
from .circuit import FAR, PROBE_EVERY, Standing
from .pauses import paused_until
from .sql import circuits as sql

R = TypeVar("R")
FURTHEST = datetime(9999, 1, 1, tzinfo=UTC)  # for ever, and still a time in every zone


class Destinations:
    """The table of destinations; every method may be called from any thread and raises Unavailable where the database is away."""

    def __init__(self, database: Database, *, clock: Clock, wake: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._clock = clock
        self._wake = wake

    def standings(self) -> tuple[Standing, ...]:
        """Say what is known of each destination of which there is anything to say."""
        return self._database.read(_standings)

    def cause(self, party: PartyCode) -> str:
        """Say why what waits for a party waits; empty where nothing does, or none of it was tried."""
        latest = self._database.read(lambda tx: tx.rows(sql.CAUSES, of=party))
        return next((cause for (cause,) in latest if cause), "")

    def exchange(self, changed: Mapping[PartyCode, bool]) -> Sequence[Standing]:
        """Tell which circuits opened (True) and closed, and give what all processes know, the times of probes by this machine's clock."""
        if changed:
            self._database.commit(lambda tx: _tell(tx, changed))
        return self._database.read(lambda tx: _standings(tx, ahead=self._clock() - tx.now()))

    def pause(self, party: PartyCode, *, until: datetime, by: str, reason: str) -> None:
        """Send nothing to a party until a time, on a person's word; a later pause replaces an earlier one. Raises NotValid."""

        def work(tx: Tx) -> None:
            if until <= tx.now():
                raise NotValid(Code.SCHEMA, Problem(text="outbox.pause-past", values={"until": until.isoformat()}))
            tx.changed(sql.KNOW, of=party)
            tx.changed(sql.PAUSE, of=party, until=to_micros(min(until, FURTHEST)), by=by, why=reason)
            write_leaf(tx, Event(kind="staff.paused", at=tx.now(), values={"by": by, "party": party, "until": until.isoformat()}))

        self._database.commit(work)
        self._wake()

    def resume(self, party: PartyCode, *, by: str) -> None:
        """Send to a party again before the pause that staff ordered ends; raises Conflict where there is none."""

        def work(tx: Tx) -> None:
            if not tx.changed(sql.RESUME, of=party, now=to_micros(tx.now())):
                raise Conflict(Code.CONFLICT, Problem(text="outbox.not-paused", values={"party": party}))
            write_leaf(tx, Event(kind="staff.resumed", at=tx.now(), values={"by": by, "party": party}))

        self._database.commit(work)
        self._wake()


def notices(
    parties: Iterable[Party], standings: Iterable[Standing], *, cause: Callable[[PartyCode], str], now: datetime, zone: tzinfo
) -> Iterator[Problem]:
    """Tell of each party that is away, or to which nothing is sent; `cause` says why what waits for one waits."""
    known = {standing.party: standing for standing in standings}
    for party in parties:
        standing = known.get(party.code, Standing(party=party.code))
        if (end := paused_until(party, standing.paused_until, now)) is not None:
            yield Problem(text="outbox.party-paused", values={"party": party.code, "until": f"{end.astimezone(zone):%Y-%m-%d %H:%M}"})
        elif party.adapter and not (party.endpoint or party.collects) and cause(party.code) == NO_ADDRESS:
            yield Problem(text="cause.no-address", path="endpoints.toml", values={"party": party.code})
        elif standing.open_since is not None:
            since = f"{standing.open_since.astimezone(zone):%Y-%m-%d %H:%M:%S}"
            host = urlsplit(party.endpoint).netloc.rpartition("@")[2]
            values = {"party": party.code, "since": since, "host": host, "cause": cause(party.code) or "-"}
            yield Problem(text="outbox.party-away", values=values)


# --- inside the transaction of a claim ---------------------------------------------------------------------------------


def permitted(tx: Tx, slots: Mapping[PartyCode, int], rates: Mapping[PartyCode, int]) -> Mapping[PartyCode, int]:
    """Lower slots to what rates allow now."""
    return {party: min(slot, _allowed(tx, party, rates[party])) if party in rates else slot for party, slot in slots.items()}


def admitted(
    tx: Tx, found: Sequence[tuple[PartyCode, R]], *, probes: frozenset[PartyCode], rates: Mapping[PartyCode, int]
) -> list[tuple[PartyCode, R]]:
    """Keep of the deliveries found those whose turn it is: of all processes one probes a party, and a rate is used up by all together."""
    going = set()
    for party, count in sorted(Counter(party for party, _ in found).items()):  # in order: two processes never wait for each other
        if (party not in probes or _elected(tx, party)) and (party not in rates or _spent(tx, party, count, rates[party])):
            going.add(party)
    return [(party, row) for party, row in found if party in going]


def _elected(tx: Tx, party: PartyCode) -> bool:
    """Take the turn to probe a party; a circuit that no other process knows of is anybody's."""
    now = tx.now()
    if tx.changed(sql.ELECT, of=party, now=to_micros(now), far=to_micros(now + FAR), next=to_micros(now + PROBE_EVERY)):
        return True
    return not any(turn for (turn,) in tx.rows(sql.TURN, of=party))


def _allowed(tx: Tx, party: PartyCode, per_minute: int) -> int:
    found = tx.rows(sql.FULL_AT, of=party)
    return rate.allowed(from_micros(found[0][0]), per_minute=per_minute, now=tx.now()) if found else rate.burst(per_minute)


def _spent(tx: Tx, party: PartyCode, count: int, per_minute: int) -> bool:
    """Use up a rate by so many; says whether it allowed them, though others use it too."""
    now = tx.now()
    values = {
        "of": party,
        "now": to_micros(now),
        "latest": to_micros(rate.latest(count, per_minute=per_minute, now=now)),
        "far": to_micros(rate.latest(0, per_minute=per_minute, now=now)),
        "cost": count * rate.every(per_minute) // MICROSECOND,
    }
    if tx.changed(sql.SPEND, **values):
        return True
    tx.changed(sql.KNOW, of=party)
    return bool(tx.changed(sql.SPEND, **values))


# --- the rows ------------------------------------------------------------------------------------------------------------


def _tell(tx: Tx, changed: Mapping[PartyCode, bool]) -> None:
    now = tx.now()
    for party, is_open in sorted(changed.items()):
        if is_open:
            tx.changed(sql.KNOW, of=party)
            tx.changed(sql.OPEN, of=party, now=to_micros(now), next=to_micros(now + PROBE_EVERY))
        else:
            tx.changed(sql.CLOSE, of=party)


def _standings(tx: Tx, *, ahead: timedelta = timedelta()) -> tuple[Standing, ...]:
    return tuple(_standing(row, ahead) for row in tx.rows(sql.ALL))


def _standing(row: tuple[Any, ...], ahead: timedelta) -> Standing:
    party, open_since, probe_at, paused_until, paused_by, reason = row
    return Standing(
        party=party,
        open_since=_moment(open_since),
        probe_at=None if probe_at is None else from_micros(probe_at) + ahead,
        paused_until=_moment(paused_until),
        paused_by=paused_by or "",
        reason=reason or "",
    )


def _moment(value: int | None) -> datetime | None:
    return None if value is None else from_micros(value)
