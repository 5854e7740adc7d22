"""How `nsw verify` is asked to judge a file, and whom it trusts then."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from lxml.etree import _Element

from gateway.errors import Code, GatewayError, NotProven, Problem
from gateway.model import PartyCode, SealProfile
from gateway.ports import Directory
from gateway.xml.envelope import read_header

from . import senders
from .certificates import Certificate
from .path import Anchors, Chain
from .policy import GATEWAY, PERSON, SYSTEM, Place, Policy
from .properties import ReadStamp
from .refusal import refusal
from .statuses import Rule
from .trust import Trust
from .verifier import CLOCK_SKEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How a file is to be judged. `trusted` certificates, where given, take the registry's place; `party` that of From.

    `sends` is how that party signs, where it must have signed so. `key` is a public key or an HMAC key in a file's bytes; only the
    permissive policy uses it.
    """

    at: datetime
    registry: Trust | None = None
    directory: Directory | None = None
    trusted: tuple[Certificate, ...] = ()
    untrusted: tuple[Certificate, ...] = ()
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    key: bytes | None = None
    id_names: tuple[str, ...] = ()
    policy: Policy = GATEWAY
    party: str | None = None
    sends: SealProfile | None = None
    skew: timedelta = CLOCK_SKEW
    read_stamp: ReadStamp | None = None


def trusted_path(leaf: Certificate, issuers: Chain, question: Question, *, place: Place | None, at: _Element | None) -> Chain:
    """Lead a signer's certificate to one that is trusted: named by hand, else registered; raises NotProven (SIG-18, 19 and 23)."""
    if question.trusted:
        return _lead(leaf, issuers, question.trusted, at, question)
    if question.registry is None:
        raise refusal(18, "not-trusted", at, subject=leaf.subject)
    persons = question.registry.anchors("person").certificates
    if place is PERSON:
        return _lead(leaf, issuers, persons, at, question)
    owners = question.registry.owners(leaf)
    if owners:
        _check_owner(owners, at, question)
        return (leaf,)
    if place is SYSTEM:
        raise refusal(18, "not-registered", at, subject=leaf.subject, sha256=leaf.sha256)
    return _lead(leaf, issuers, persons, at, question)


def is_registered(leaf: Certificate, question: Question) -> bool:
    """Say whether the registry, where it is asked, has a certificate for a party."""
    return not question.trusted and question.registry is not None and bool(question.registry.owners(leaf))


def check_status(path: Chain, question: Question, at: _Element | None) -> bool | None:
    """Refuse a path on which a certificate was revoked, or whose status must be known and is not; raises NotProven (SIG-60, SIG-61).

    Says whether every status is known and not over; None where nobody's is looked up.
    """
    registry = None if question.trusted or question.registry is None else question.registry.registry
    if registry is None or registry.statuses is None:
        return None
    if len(path) == 1 and is_registered(path[0], question):
        rule, check = _rule(path[0], question, at), registry.check_status
        return None if rule == "off" else _judged(lambda rule: check(path[0], rule, at=question.at), rule)
    anchors, statuses = registry.anchors_for("person"), registry.statuses
    if anchors.check is None:
        return None
    anchors.check(path, question.at, at)
    return _judged(lambda rule: statuses.check(path, rule, at=question.at, place=at), "prefer")


def _judged(check: Callable[[Rule], None], rule: Rule) -> bool:
    """Judge by a rule, and say whether the strictest would have passed too."""
    check(rule)
    try:
        check("require")
    except NotProven:
        return False
    return True


def _rule(leaf: Certificate, question: Question, at: _Element | None) -> Rule:
    """Give the rule of the party that must have signed; of the certificate's own, where none is named."""
    registry, directory = question.registry, question.directory
    codes = (_sender(at, question), *(registry.owners(leaf) if registry else ()))
    parties = (directory.party(code) for code in codes if code and directory)
    return next((party.revocation for party in parties if party), "prefer")


def _lead(leaf: Certificate, issuers: Chain, trusted: Chain, at: _Element | None, question: Question) -> Chain:
    return (leaf,) if leaf in trusted else Anchors(certificates=trusted).path(leaf, issuers, at=question.at, place=at)


def _check_owner(owners: frozenset[PartyCode], at: _Element | None, question: Question) -> None:
    # (23) the signing party is the sender, or may send for it; a document that names no sender may be any registered party's
    sender = _sender(at, question)
    if sender and not any(senders.may_send(owner, sender, question.directory) for owner in owners):
        values = {"check": "23", "signer": ", ".join(sorted(owners)), "sender": sender}
        raise NotProven(Code.PARTY, Problem(text="signature.signer-not-sender", path=SYSTEM.path, values=values))


def _sender(signature: _Element | None, question: Question) -> PartyCode | None:
    """Give the party that must have signed: the one named by hand, or From."""
    if question.directory is None:
        return PartyCode(question.party) if question.party else None
    if question.party:
        named = question.directory.party(question.party)
        return named.code if named else PartyCode(question.party)
    if signature is None:
        return None
    try:
        header = read_header(signature.getroottree().getroot(), zone=UTC)
    except GatewayError:
        return None
    party = senders.resolve(header.sender, question.directory)
    return party.code if party else None
