"""One real journey, a plant quarantine export, played step by step and observed from outside.

What a step saw comes from the gateway's REST interface and the agencies' own journals, never from the sender's word.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from gateway.security.signer import sign_person, sign_system
from gateway.xml.parse import parse

from . import builders
from .applicant import declarant_key, party_key, signed_application
from .client import post
from .contents import Consignment
from .vnsw import SOAP_REQUEST, Answer, read_answer
from .world import NotSeenError, World, until

DECISIONS = ("13/07", "18/14", "21/18")  # what the ministry decides about an application
KILLED = 6  # applications under way when the gateway is killed
SLOW_MS = 300  # how long the ministry then takes for each, so that the kill finds some under way
KILL_WITHIN = 1.5  # seconds after the first was sent
ARRIVAL_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the journey: `play` gives what was seen, in a few words, or raises NotSeenError."""

    name: str
    play: Callable[["Traveller"], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a step went."""

    name: str
    ok: bool
    ms: int
    detail: str


@dataclass(slots=True)
class Traveller:
    """Goes through the world; remembers the dossiers it opened."""

    world: World
    first: int  # number of the first dossier
    opened: int = 0
    sent: dict[str, bytes] = field(default_factory=dict)  # reference -> SOAP body

    def application(self, *, goods: int = 3) -> Consignment:
        """Open a new dossier."""
        self.opened += 1
        return Consignment(number=(self.first + self.opened) % 10_000_000, goods=goods)

    def send(self, consignment: Consignment) -> Answer:
        """Send a signed application as the portal, the same bytes each time; raises OSError where nobody answers."""
        body = self.sent.get(consignment.file_code)
        if body is None:
            pki, now = self.world.home / "pki", self.world.agencies["portal"].context.clock()
            body = builders.soap(signed_application(pki, consignment, sent_at=now), client="saaj")
            self.sent[consignment.file_code] = body
        return self.post(body)[0]

    def post(self, body: bytes) -> tuple[Answer, bytes]:
        """Post to the SOAP door."""
        reply = post(f"{self.world.gateway.url}/ws", body, SOAP_REQUEST, timeout=15)
        return read_answer(reply.body), reply.body

    def arrived(self, agency: str, *references: str, kinds: tuple[str, ...]) -> set[tuple[str, str]]:
        """Say which of these messages took effect at an agency: (reference, kind)."""
        lines: Any = self.world.agencies[agency].report()["arrivals"]
        effects: Any = self.world.agencies[agency].report()["effects"]
        abouts = [str(line["about"]).split() for line in lines if line["id"] in effects]
        seen = {(about[2].split("/")[0], about[1]) for about in abouts if len(about) > 2}  # noqa: PLR2004  # procedure kind reference/year
        return {(r, k) for r in references for k in kinds} & seen

    def doubled(self, agency: str, *references: str) -> list[str]:
        """Say which content about these dossiers took effect at an agency under a second id."""
        report: Any = self.world.agencies[agency].report()
        abouts = {line["id"]: str(line["about"]) for line in report["arrivals"]}
        return [i for i in report["second_ids"] if any(f" {reference}/" in abouts.get(i, "") for reference in references)]

    def messages(self, **asked: str) -> list[Mapping[str, Any]]:
        """Search the gateway's messages."""
        found: list[Mapping[str, Any]] = self.world.gateway.get("/api/v1/messages?" + urlencode(asked))["items"]
        return found

    def deliveries(self, reference: str) -> list[Mapping[str, Any]]:
        """Give the deliveries of a dossier's messages."""
        ids = [row["id"] for row in self.messages(reference=reference, state="accepted")]
        return [d for i in ids for d in self.world.gateway.get(f"/api/v1/deliveries?message={i}")["items"]]


def play(world: World, *, first: int, moment: float | None = None) -> Iterator[Played]:
    """Play the whole journey; `first` numbers its dossiers, `moment` places the kill (seconds), at random where None."""
    traveller = Traveller(world=world, first=first)
    for step in steps(random.random() * KILL_WITHIN if moment is None else moment):  # noqa: S311  # a moment, not a secret
        started = time.monotonic()
        try:
            ok, detail = True, step.play(traveller)
        except (NotSeenError, OSError) as error:
            ok, detail = False, str(error)
        yield Played(name=step.name, ok=ok, ms=round((time.monotonic() - started) * 1000), detail=detail)
        if not ok:
            return


def steps(moment: float) -> tuple[Step, ...]:
    """List the steps, with the kill at a moment."""
    return (
        Step(name="application", play=_apply),
        Step(name="ministry", play=_reach_ministry),
        Step(name="decisions", play=_decide),
        Step(name="customs", play=_clear),
        Step(name="hub", play=_cross_border),
        Step(name="outage", play=_outlast),
        Step(name="kill", play=lambda t: survive(t, moment)),
        Step(name="repeat", play=_repeat),
        Step(name="refusals", play=_refuse),
    )


def _apply(traveller: Traveller) -> str:
    consignment = traveller.application()
    answer = traveller.send(consignment)
    _expect(answer.function == "99", f"function {answer.function} {answer.errors}")
    row = next(r for r in traveller.messages(reference=consignment.file_code) if (r["type"], r["function"]) == ("10", "01"))
    _expect(row["proof"] == "signature" and row["state"] == "accepted", f"message {row['state']} by {row['proof']}")
    return f"{consignment.file_code} → 99"


def _reach_ministry(traveller: Traveller) -> str:
    reference = _first_reference(traveller)
    until(lambda: traveller.arrived("agriculture", reference, kinds=("10/01",)), "the application at the ministry")
    return "IMardGateway/receive → 99"


def _decide(traveller: Traveller) -> str:
    reference = _first_reference(traveller)
    until(lambda: len(traveller.arrived("portal", reference, kinds=DECISIONS)) == len(DECISIONS), "three decisions at the portal")
    return ", ".join(DECISIONS)


def _clear(traveller: Traveller) -> str:
    until(lambda: traveller.arrived("customs", _first_reference(traveller), kinds=("21/18",)), "the certificate at customs")
    return "21/18"


def _cross_border(traveller: Traveller) -> str:
    reference = _first_reference(traveller)

    def delivered() -> Mapping[str, Any] | None:
        return next((d for d in traveller.deliveries(reference) if d["party"] == "IPPC" and d["state"] == "delivered"), None)

    delivery = until(delivered, "the certificate delivered through the hub")
    kept = traveller.world.agencies["ephyto_hub"].context.journal.request(delivery["reference"])
    _expect(kept is not None, f"the hub knows no envelope {delivery['reference']}")
    codes = _certificate_codes(kept.body if kept else b"")
    _expect(codes == ("851", "70"), f"TypeCode, StatusCode {codes}")
    return f"TypeCode 851, StatusCode 70, {delivery['reference']}"


def _outlast(traveller: Traveller) -> str:
    ministry = traveller.world.agencies["agriculture"]
    ministry.control(mode="down")
    consignment = traveller.application()
    answer = traveller.send(consignment)
    _expect(answer.function == "99", f"function {answer.function} while the ministry is down")
    until(lambda: any(d["state"] == "retrying" for d in traveller.deliveries(consignment.file_code)), "a delivery that waits")
    ministry.control(mode="up")
    _all_arrived(traveller, [consignment.file_code])
    return f"{consignment.file_code}: 99, retrying, delivered"


def survive(traveller: Traveller, moment: float) -> str:
    """Kill the gateway at a moment while applications are under way, start it again, and look for each of them everywhere."""
    ministry = traveller.world.agencies["agriculture"]
    ministry.control(mode="slow", delay_ms=SLOW_MS)
    consignments = [traveller.application() for _ in range(KILLED)]
    senders = [threading.Thread(target=_send_until_answered, args=(traveller, c)) for c in consignments]
    for sender in senders:
        sender.start()
    time.sleep(moment)
    traveller.world.gateway.kill()
    started = time.monotonic()
    traveller.world.gateway.start()
    back = time.monotonic() - started
    for sender in senders:
        sender.join()
    ministry.control(mode="up", delay_ms=0)
    references = [c.file_code for c in consignments]
    _all_arrived(traveller, references)
    doubled = {name: traveller.doubled(name, *references) for name in traveller.world.agencies}
    _expect(not any(doubled.values()), f"effects doubled: {doubled}")
    return f"{KILLED} sent, killed after {moment:.2f} s, serving again in {back:.1f} s, lost 0, doubled 0"


def _repeat(traveller: Traveller) -> str:
    reference = _first_reference(traveller)
    body = traveller.sent[reference]
    before = len(traveller.messages(reference=reference, state="accepted"))
    first, second = traveller.post(body), traveller.post(body)
    _expect(first[0].function == "99" and first[1] == second[1], "a repeat was answered otherwise")
    after = len(traveller.messages(reference=reference, state="accepted"))
    _expect(before == after, f"{before} messages became {after}")
    return "99, byte for byte"


def _refuse(traveller: Traveller) -> str:
    pki, clock = traveller.world.home / "pki", traveller.world.agencies["portal"].context.clock
    good = signed_application(pki, traveller.application(), sent_at=clock())
    unknown = builders.message("10/01", traveller.application()).replace(b"0300002</documentType>", b"0399999</documentType>")
    short = builders.message("10/01", traveller.application()).replace(b"HsCode", b"HSCode")
    bad = (
        ("altered after signing", good.replace(b"<NetWeight>", b"<NetWeight>9", 1), "ERR00_CODE"),
        ("fails its schema", _signed(traveller, short), "ERR02_CODE"),
        ("unknown procedure", _signed(traveller, unknown), "ERR01_CODE"),
        ("not XML", b"xin chao", "ERR02_CODE"),
        ("DOCTYPE", b"<!DOCTYPE Envelope [<!ENTITY a 'a'>]>" + good, "ERR02_CODE"),
    )
    since = clock().isoformat()
    for what, envelope, code in bad:
        answer, _ = traveller.post(builders.soap(envelope, client="wcf"))
        codes = [c for c, _ in answer.errors]
        _expect(answer.function == "00" and codes[:1] == [code], f"{what}: {answer.function} {answer.errors}, not {code}")
        _expect(bool(answer.errors[0][1]), f"{what}: no reason given")
    rows = traveller.messages(state="refused", since=since)
    _expect(len(rows) == len(bad) and all(row["cause"] for row in rows), f"{len(rows)} kept as refused")
    return ", ".join(f"{what} {code}" for what, _, code in bad)


# --- small parts ---------------------------------------------------------------------------------------------------


def _signed(traveller: Traveller, envelope: bytes) -> bytes:
    pki = traveller.world.home / "pki"
    return sign_system(sign_person(envelope, declarant_key(pki)), party_key(pki))


def _first_reference(traveller: Traveller) -> str:
    return Consignment(number=(traveller.first + 1) % 10_000_000).file_code


def _all_arrived(traveller: Traveller, references: list[str]) -> None:
    """Wait until applications and all that follows from them are where they belong."""
    for agency, kinds in (("agriculture", ("10/01",)), ("portal", DECISIONS), ("customs", ("21/18",))):
        wanted = len(references) * len(kinds)
        until(
            lambda a=agency, k=kinds, n=wanted: len(traveller.arrived(a, *references, kinds=k)) == n,  # type: ignore[misc]
            f"{wanted} messages at {agency}",
            seconds=ARRIVAL_SECONDS,
        )


def _send_until_answered(traveller: Traveller, consignment: Consignment) -> None:
    """Send as a sender that repeats what nobody answered, until it is answered 99."""

    def answered() -> bool:
        try:
            return traveller.send(consignment).function == "99"
        except OSError:
            return False

    until(answered, f"an answer about {consignment.file_code}", seconds=ARRIVAL_SECONDS)


def _certificate_codes(body: bytes) -> tuple[str, str]:
    """Read TypeCode and StatusCode of the certificate inside a DeliverEnvelope."""
    outer = parse(body)
    content = next((e.text or "" for e in outer.iter("{*}Content")), "<none/>")
    inner = parse(content.encode())
    return inner.findtext(".//{*}TypeCode") or "", inner.findtext(".//{*}StatusCode") or ""


def _expect(truth: bool, otherwise: str) -> None:  # noqa: FBT001  # reads as an assertion
    if not truth:
        raise NotSeenError(otherwise)
