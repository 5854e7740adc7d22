"""Whether certificates were revoked when they were used, by the lists and OCSP answers that came along: no network, and no clock."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal, TypeVar

from cryptography import x509
from cryptography.x509 import ocsp

from gateway.errors import Problem
from gateway.security.certificates import BAD_EXTENSIONS, Certificate
from gateway.security.path import MAX_PATH, Chain, issued
from gateway.security.revocation import Told, told_by_answer, told_by_list

K = TypeVar("K")
MAX_NAMESAKES = 4  # issuers of one name whose signatures are tried; a renewed authority has two
_UNREADABLE = (*BAD_EXTENSIONS, TypeError, x509.InvalidVersion)

Index = Mapping[x509.Name, Sequence[Certificate]]
Word = Literal["good", "revoked", "revoked-later", "unknown", "no-authority"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one certificate stood at a moment: `since` when it is revoked, `told` when its authority said so; None where nobody said."""

    certificate: Certificate
    at: datetime
    word: Word
    since: datetime | None = None
    told: datetime | None = None

    @property
    def problem(self) -> Problem:
        """Say it in words."""
        values = {"subject": self.certificate.subject, "at": self.at.isoformat(" ", "seconds")}
        values |= {name: at.isoformat(" ", "seconds") for name, at in (("since", self.since), ("told", self.told)) if at}
        return Problem(text=f"container.status-{self.word}", values=values)


class Standings:
    """Judges certificates by what came along; what is read once is kept."""

    def __init__(self, known: Sequence[Certificate], *, lists: Iterable[bytes], answers: Iterable[bytes]) -> None:
        """Take certificates, among which are issuers, and lists and answers in DER; what cannot be read is about nobody."""
        self._index = by_subject(known)
        self._lists = _sorted(lambda data: x509.load_der_x509_crl(data).issuer, lists)
        self._answers = _sorted(lambda data: ocsp.load_der_ocsp_response(data).serial_number, answers)
        self._told: dict[tuple[Certificate, Certificate], tuple[Told, ...]] = {}
        self._chains: dict[Certificate, Chain] = {}

    def chain(self, leaf: Certificate) -> Chain:
        """Lead a certificate as far up as those that are known go; trusts nothing."""
        if leaf not in self._chains:
            self._chains[leaf] = chain_of(leaf, self._index)
        return self._chains[leaf]

    def issuers(self, leaf: Certificate) -> Chain:
        """Give whoever may stand above a certificate by name; a path is looked for among them alone."""
        found: dict[Certificate, None] = {}
        tips = [leaf]
        while tips and len(found) < MAX_PATH * MAX_NAMESAKES:
            named = [c for tip in tips for c in self._index.get(tip.x509.issuer, ())[:MAX_NAMESAKES] if c not in found]
            found.update(dict.fromkeys(named))
            tips = named
        return tuple(found)

    def judge(self, leaf: Certificate, at: datetime) -> Iterator[Standing]:
        """Say how a certificate and each above it stood at a moment, save the authority at the end, which nobody revokes."""
        chain = self.chain(leaf)
        for certificate, issuer in pairwise(chain):
            yield self._standing(certificate, issuer, at)
        if len(chain) == 1 or not _vouches_for_itself(chain[-1]):
            yield Standing(certificate=chain[-1], at=at, word="no-authority")

    def _standing(self, certificate: Certificate, issuer: Certificate, at: datetime) -> Standing:
        told = self._about(certificate, issuer)
        since = min((t.since for t in told if t.since), default=None)
        if since is not None:
            began = max(t.began for t in told if t.since)
            return Standing(certificate=certificate, at=at, word="revoked" if since <= at else "revoked-later", since=since, told=began)
        # what was said before a certificate was used, and not until then, says nothing of it; nor do lists made after it ended
        speaking = [t.began for t in told if t.until >= at and t.began <= certificate.not_after]
        return Standing(certificate=certificate, at=at, word="good" if speaking else "unknown", told=max(speaking, default=None))

    def _about(self, certificate: Certificate, issuer: Certificate) -> tuple[Told, ...]:
        if (certificate, issuer) not in self._told:
            lists = self._lists.get(issuer.x509.subject, [])
            answers = self._answers.get(certificate.x509.serial_number, [])
            said = (*_believed(told_by_list, lists, certificate, issuer), *_believed(told_by_answer, answers, certificate, issuer))
            self._told[certificate, issuer] = said
        return self._told[certificate, issuer]


def by_subject(certificates: Iterable[Certificate]) -> Index:
    """Sort certificates by whose they are, those that come first before others of the same name."""
    index: dict[x509.Name, list[Certificate]] = {}
    for certificate in dict.fromkeys(certificates):
        index.setdefault(certificate.x509.subject, []).append(certificate)
    return index


def chain_of(leaf: Certificate, index: Index) -> Chain:
    """Give a certificate and those above it, each issued by the next, as far as they are known."""
    chain = [leaf]
    while len(chain) < MAX_PATH:
        named = index.get(chain[-1].x509.issuer, ())[:MAX_NAMESAKES]
        above = next((c for c in named if c not in chain and issued(chain[-1], c)), None)
        if above is None:
            break
        chain.append(above)
    return tuple(chain)


def _vouches_for_itself(certificate: Certificate) -> bool:
    return certificate.x509.subject == certificate.x509.issuer


def _sorted(about: Callable[[bytes], K], sources: Iterable[bytes]) -> dict[K, list[bytes]]:
    found: dict[K, list[bytes]] = {}
    for data in sources:
        with suppress(*_UNREADABLE):
            found.setdefault(about(data), []).append(data)
    return found


def _believed(
    read: Callable[[bytes, Certificate, Certificate], Told], sources: Iterable[bytes], certificate: Certificate, issuer: Certificate
) -> Iterator[Told]:
    for data in sources:
        try:
            yield read(data, certificate, issuer)
        except ValueError:
            continue
