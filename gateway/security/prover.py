"""Proves who sent an envelope: Opened -> Proven, by signatures, by the channel, or by both. After it only what was proved is used.

How "see what is signed" is kept: the tree whose canonical bytes were digested is the tree that Proven carries, whole and alone; where
what was received cannot be spelt otherwise, it is that canonical form, and the tree was opened from nothing else. The
system's signature covers all of it but itself, and is taken out of it; comments, which no signature sees, the parser leaves out.
Where only a person signed, Content is covered by the signature and the rest by the channel, and a warning says so.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import partial

from lxml.etree import _Element

from gateway.errors import Code, NotProven, NotReadable, Problem
from gateway.model import ON_MESSAGE, Channel, Identity, Party
from gateway.ports import Clock, Directory, Opened, Proven
from gateway.xml.envelope import read_header
from gateway.xml.parse import parse

from . import cms, senders, stamps, verifier, wss
from .certificates import Certificate
from .policy import MISSING, SATISFIED_BY, SYSTEM, for_party
from .properties import ReadStamp
from .trust import Registry, Trust
from .verifier import Found, Terms, Verified
from .wss import MessageProof

_FROM = "/Envelope/Header/From"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One message before the prover: who it says it is from, how it came, and when."""

    sender: Party
    channel: Channel
    directory: Directory
    registry: Registry
    at: datetime


class Prover:
    """Decides whether an envelope comes from the party it names."""

    def __init__(self, trust: Trust, clock: Clock, zone: tzinfo) -> None:
        """Trust these certificates; `zone` reads times that name none."""
        self._trust = trust
        self._clock = clock
        self._zone = zone

    def prove(self, opened: Opened, channel: Channel, directory: Directory) -> Proven:
        """Prove an opened envelope; raises NotReadable, NotValid for a header that cannot be read, NotProven (docs/protocol/SIG.md)."""
        root = parse(opened.payload)
        header = read_header(root, zone=self._zone, written=opened.payload)
        sender = _sender(header.sender, directory)
        case = _Case(sender=sender, channel=channel, directory=directory, registry=self._trust.registry, at=self._clock())
        _check_channel_party(case)
        found, terms = verifier.find(root, opened.payload), _terms(sender, case.registry, at=case.at)
        message = self._message(opened, case, terms) or _detached(opened, case, terms)
        _check_profile(case, found, message)
        registered = partial(_may_sign, case)
        system = verifier.verify_system(found, at=case.at, registered=registered, terms=terms) if found.system is not None else None
        persons = case.registry.anchors_for("person")
        person = verifier.verify_person(found, at=case.at, anchors=persons, terms=terms) if found.person is not None else None
        if found.system is not None:
            _take_out(found.system)
        _check_level(case, system)
        return Proven(
            payload=opened.payload, root=root, header=header, sender=case.sender,
            signers=tuple(v.signer for v in (person, system, message) if v), proof="signature" if system or message else channel.kind,
            warnings=_warnings(system or message, person),
        )  # fmt: skip

    def prove_reply(
        self, payload: bytes | None, party: Party, *, message: bytes = b"", beside: tuple[bytes, bytes] | None = None
    ) -> Verified | MessageProof | cms.Proof | None:
        """Prove what a partner answered; `payload` is the envelope in its reply, None where there is none. Gives None where it is unsigned.

        `message` is the SOAP message around it, where that has a security header; `beside` are a body and the detached signature
        that came with it. Raises NotProven where a signature is not the partner's own or not good.
        """
        at, registered = self._clock(), partial(self._is_partners, party)
        terms = _terms(party, self._trust.registry, at=at)
        found, proof = _find_if_readable(payload), None
        if beside:
            body, signature = beside
            proof = cms.verify(body, signature, at=at, registered=registered, policy=terms.policy, skew=terms.skew)
        if found is not None and found.system is not None:
            return verifier.verify_system(found, at=at, registered=registered, terms=terms)
        if message and wss.is_demanded(message):
            return wss.verify(message, at=at, registered=registered, policy=terms.policy, skew=terms.skew)
        return proof

    def _message(self, opened: Opened, case: _Case, terms: Terms) -> MessageProof | None:
        """Prove the SOAP message around the payload, where its security header asks to be judged."""
        if not opened.message or not wss.is_demanded(opened.message):
            return None
        return wss.verify(opened.message, at=case.at, registered=partial(_may_sign, case), policy=terms.policy, skew=terms.skew)

    def _is_partners(self, party: Party, leaf: Certificate) -> bool:
        """Say whether a certificate is registered for a party; raises NotProven where it was revoked."""
        registry = self._trust.registry
        if party.code not in registry.owners_of(leaf):
            return False
        registry.check_status(leaf, party.revocation, at=self._clock())
        return True


def _detached(opened: Opened, case: _Case, terms: Terms) -> cms.Proof | None:
    """Prove the signature beside the payload, where one came along."""
    if not opened.signature:
        return None
    registered = partial(_may_sign, case)
    return cms.verify(opened.payload, opened.signature, at=case.at, registered=registered, policy=terms.policy, skew=terms.skew)


def _find_if_readable(payload: bytes | None) -> Found | None:
    """Find the signatures of a reply; what cannot be read carries none, and the adapter says so in its own words."""
    try:
        return verifier.find(parse(payload)) if payload is not None else None
    except NotReadable:
        return None


def _sender(identity: Identity, directory: Directory) -> Party:
    # (20) the sender is a party we know, by its code or an alias
    party = senders.resolve(identity, directory)
    if party is None:
        values = {"check": "20", "found": identity.identity or identity.name or "-"}
        raise NotProven(Code.PARTY, Problem(text="signature.sender-unknown", path=_FROM, values=values))
    return party


def _check_channel_party(case: _Case) -> None:
    # (21) a channel that belongs to a party carries only what that party may send
    owner = case.channel.party
    if owner is not None and not senders.may_send(owner, case.sender.code, case.directory):
        values = {"check": "21", "channel": owner, "sender": case.sender.code}
        raise NotProven(Code.PARTY, Problem(text="signature.channel-not-sender", path=_FROM, values=values))


def _may_sign(case: _Case, leaf: Certificate) -> bool:
    """Say whether a certificate belongs to the sender or to a party that may send for it; raises NotProven where it is another's."""
    owners = case.registry.owners_of(leaf)
    # (23) the signing party is the sender, or may send for it
    if owners and not any(senders.may_send(o, case.sender.code, case.directory) for o in owners):
        values = {"check": "23", "signer": ", ".join(sorted(owners)), "sender": case.sender.code}
        raise NotProven(Code.PARTY, Problem(text="signature.signer-not-sender", path=SYSTEM.path, values=values))
    if owners:
        case.registry.check_status(leaf, case.sender.revocation, at=case.at)
    return bool(owners)


def _terms(party: Party, registry: Registry, *, at: datetime) -> Terms:
    """Say by what a party's signatures are judged, as its data has it."""
    profile = party.sends
    return Terms(policy=for_party(profile, at=at), skew=profile.clock_skew, read_stamp=_stamp_reader(registry))


def _stamp_reader(registry: Registry) -> ReadStamp | None:
    anchors = registry.anchors_for(stamps.PURPOSE)
    return stamps.reader(anchors) if anchors.certificates else None


def _check_profile(case: _Case, found: Found, message: MessageProof | cms.Proof | None) -> None:
    # (22) the signature of the sender's profile is there, or an exception that has not ended allows its absence on this very channel
    profile = case.sender.sends
    if profile.signature in ON_MESSAGE:
        if message is None or message.profile != profile.signature:
            raise _profile_refusal(Code.SIGNATURE, MISSING[profile.signature], case)
        return
    if profile.signature != "none":
        if found.system is None:
            raise _profile_refusal(Code.SIGNATURE, "system-missing", case)
        return
    ended = profile.until is not None and case.at >= profile.until
    if ended and found.system is None:
        raise _profile_refusal(Code.SIGNATURE, MISSING["none"], case)
    if not ended and not _bound(case.channel, profile.bound_to):
        raise _profile_refusal(Code.PARTY, "channel-not-bound", case)


def _check_level(case: _Case, system: Verified | None) -> None:
    # (22) the system's signature is of the sender's profile, or of one that proves more
    asked = case.sender.sends.signature
    if system is not None and system.profile not in SATISFIED_BY.get(asked, {system.profile}):
        values = {"check": "22", "sender": case.sender.code, "found": system.profile, "expected": asked}
        raise NotProven(Code.SIGNATURE, Problem(text="signature.profile-lower", path=SYSTEM.path, values=values))


def _profile_refusal(code: Code, name: str, case: _Case) -> NotProven:
    until = case.sender.sends.until
    values = {"check": "22", "sender": case.sender.code, "until": until.isoformat() if until else "-", "channel": case.channel.kind}
    return NotProven(code, Problem(text=f"signature.{name}", path=SYSTEM.path, values=values))


def _bound(channel: Channel, bound_to: Iterable[str]) -> bool:
    """Say whether a channel is one of those that an exception names: "network:127.0.0.0/8", "certificate:<sha256>", "key:<name>"."""
    for binding in bound_to:
        kind, _, name = binding.partition(":")
        if kind == channel.kind and (name == channel.name or (kind == "network" and _inside(channel.name, name))):
            return True
    return False


def _inside(address: str, network: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
        mapped = getattr(found, "ipv4_mapped", None)  # ::ffff:127.0.0.1, as a socket that takes both families says it
        return (mapped or found) in ipaddress.ip_network(network)
    except ValueError:
        return False


def _take_out(signature: _Element) -> None:
    slot = signature.getparent()
    if slot is not None:
        slot.remove(signature)  # its tail is white space in a slot that held nothing else (SIG-2)


def _warnings(system: Verified | MessageProof | cms.Proof | None, person: Verified | None) -> tuple[Problem, ...]:
    """Say what no signature covers."""
    if system is not None:
        return ()
    return (Problem(text="signature.header-by-channel" if person else "signature.by-channel", path="/Envelope/Header"),)
