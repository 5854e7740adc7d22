"""How near intake comes to its floor: one thread, signed 12 KB messages, RSA-2048, in process, without the database.

Floor and gateway take turns on each message, timed in seconds of the thread's CPU: a machine that changes its pace changes it for
both, and neither finds the processor's caches full of itself. Each ratio is the median over the rounds. `ratio` is the lowest of the
signed and the unsigned reply, for messages that the portal signed.
"""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ground import Bare, Floor, application, bare, cpu, floor_of, make_pki, target
from gateway.installed import discover, now
from gateway.intake import Intake
from gateway.model import Arrival, Channel, MessageId, SealProfile, uuid7
from gateway.outbox.memory import MemoryOutbox
from gateway.ports import Outbox
from gateway.protocols.vnsw import client
from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.protocols.vnsw.door import VnswDoor
from gateway.routing.judge import Judge
from gateway.routing.rules import RuleSet, load
from gateway.security.prover import Prover
from gateway.security.sealer import EnvelopeSealer
from gateway.security.trust import Trust
from gateway.testing import builders
from gateway.xml.schemas import Schemas
from gateway.xml.shipped import shipped

MESSAGES = 120  # in a round
ROUNDS = 9
BOUND = 0.65


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The parts of intake on one PKI."""

    pki: Path
    rules: RuleSet
    schemas: Schemas
    trust: Trust
    sealer: EnvelopeSealer

    def intake(self, *, signed_reply: bool, outbox: Outbox | None = None) -> tuple[Intake, VnswDoor]:
        """Put intake together, in memory unless an outbox is given; the portal accepts signatures or not."""
        rules = self.rules if signed_reply else _unsigned_replies(self.rules)
        door = VnswDoor(rules=lambda: rules, zone=rules.zone, sign=self.sealer.sign)
        intake = Intake(
            prover=Prover(self.trust, now, rules.zone),
            judge=Judge(self.schemas),
            rules=lambda: rules,
            outbox=outbox or MemoryOutbox(clock=now, entropy=os.urandom),
            clock=now,
            entropy=os.urandom,
            watch=lambda event, _: _expect(event),
        )
        return intake, door


def make_bench(home: Path) -> Bench:
    """Make the parts of intake on a PKI of their own."""
    pki = make_pki(home)
    schemas = Schemas.load([shipped("xsd")])
    rules = load([shipped("routing_rules")], schemas=schemas.names(), adapters=frozenset(discover()))
    trust = Trust(pki)
    return Bench(pki=pki, rules=rules, schemas=schemas, trust=trust, sealer=EnvelopeSealer(trust.own_key(), now))


def measure() -> dict[str, Any]:
    """Give the figures, the targets and the headline."""
    with tempfile.TemporaryDirectory() as home:
        bench = make_bench(Path(home))
        figures: dict[str, float] = {}
        ratios = {}
        for name, person in (("system", False), ("both", True)):
            for reply in ("unsigned", "signed"):
                ratios[name, reply] = _ratio(bench, figures, f"{name}_signature_{reply}_reply", person=person, signed=reply == "signed")
        figures |= _shares(bench)
    held = {reply: ratio for (name, reply), ratio in ratios.items() if name == "system"}
    targets = [target(f"{reply} reply: floor / gateway", ratio, BOUND, at_least=True) for reply, ratio in held.items()]
    return {"figures": figures, "targets": targets, "ratio": round(min(held.values()), 3)}


def _ratio(bench: Bench, figures: dict[str, float], name: str, *, person: bool, signed: bool) -> float:
    documents = [application(bench.pki, n, person=person) for n in range(MESSAGES)]
    floor = _floor(bench, documents[0], signed=signed)
    calls: Callable[[Bare], object] = floor.signed if signed else floor.unsigned
    rounds = [_round(bench, calls, [bare(d) for d in documents], signed=signed) for _ in range(ROUNDS)]
    floors, gateways = zip(*rounds, strict=True)
    figures[f"{name}_floor_us"] = round(median(floors) * 1e6, 1)
    figures[f"{name}_gateway_us"] = round(median(gateways) * 1e6, 1)
    return median(f / g for f, g in rounds)


def _round(bench: Bench, calls: Callable[[Bare], object], messages: list[Bare], *, signed: bool) -> tuple[float, float]:
    """Time floor and gateway in turns on each message: seconds a message, each."""
    intake, door = bench.intake(signed_reply=signed)
    floor = gateway = 0.0
    for message in messages:
        arrived = arrival(message.document)
        floor += cpu(partial(calls, message))
        gateway += cpu(partial(intake.receive, arrived, door))
    return floor / MESSAGES, gateway / MESSAGES


def _floor(bench: Bench, document: bytes, *, signed: bool) -> Floor:
    intake, door = bench.intake(signed_reply=signed)
    answer = intake.receive(arrival(document), door)
    return floor_of(bench.pki, client.signed_part(GATEWAY, answer) or b"")


def _shares(bench: Bench) -> dict[str, float]:
    """Time each step of a signed message with a signed reply, as a share of them all."""
    intake, door = bench.intake(signed_reply=True)
    spent: dict[str, float] = {}
    prover, judge, outbox = intake._prover, intake._judge, intake._outbox  # noqa: SLF001  # a benchmark looks inside
    parts: Any = intake  # a benchmark looks inside
    parts._prover = _Timed(prover, {"prove": "2_prove"}, spent)  # noqa: SLF001  # the same
    parts._judge = _Timed(judge, {"judge": "3_validate"}, spent)  # noqa: SLF001  # the same
    parts._outbox = _Timed(outbox, {"record": "5_record", "answered": "0_repeat"}, spent)  # noqa: SLF001  # the same
    timed: Any = _Timed(door, {"open": "1_door", "answer": "answer"}, spent)
    arrivals = [arrival(application(bench.pki, n, person=False)) for n in range(MESSAGES)]
    whole = cpu(lambda: [intake.receive(a, timed) for a in arrivals])
    spent["rest"] = whole - sum(spent.values())
    return {f"share_{step}": round(seconds / whole, 3) for step, seconds in sorted(spent.items())}


class _Timed:
    """Passes calls on and adds up their CPU."""

    def __init__(self, inner: Any, names: dict[str, str], spent: dict[str, float]) -> None:
        self._inner, self._names, self._spent = inner, names, spent

    def __getattr__(self, name: str) -> Any:
        call, step = getattr(self._inner, name), self._names.get(name, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            result: list[Any] = []
            seconds = cpu(lambda: result.append(call(*arguments, **options)))
            self._spent[step] = self._spent.get(step, 0.0) + seconds
            return result[0]

        return timed


def arrival(document: bytes) -> Arrival:
    """Have a document arrive."""
    present = now()
    return Arrival(
        id=MessageId(uuid7(present, os.urandom(10))), received_at=present, channel=Channel(kind="network", name="127.0.0.1"), door="vnsw",
        path="/ws", media_type="text/xml; charset=utf-8", body=builders.soap(document, client="saaj"),
    )  # fmt: skip


def _unsigned_replies(rules: RuleSet) -> RuleSet:
    portal = rules.party("NSW")
    if portal is None:
        raise LookupError("NSW")
    plain = replace(portal, accepts=SealProfile(signature="none"))
    return replace(rules, spellings={s: plain if p.code == portal.code else p for s, p in rules.spellings.items()})


def _expect(event: str) -> None:
    if event != "message.accepted":
        raise RuntimeError(f"{event} instead of message.accepted")
