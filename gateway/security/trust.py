"""The certificate registry on files: who may sign for whom. Changed files are noticed within a second."""

import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from lxml.etree import _Element

from gateway.errors import Code, Problem, Unavailable
from gateway.model import PartyCode

from . import certificates
from .certificates import Certificate
from .keys import SigningKey
from .ownkey import OwnKey
from .path import Anchors, Check, issuer_of
from .refusal import refusal
from .statuses import RULES, Rule, Statuses

FRESH = 1.0  # seconds between two looks at the folders

_Stamp = tuple[int, int, int]  # what changes when a file does: modification time, size, inode


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """What the folders held at one moment; one consistent set for the whole of one message."""

    parties: Mapping[PartyCode, tuple[Certificate, ...]]
    owners: Mapping[Certificate, frozenset[PartyCode]]
    anchors: Mapping[str, Anchors]
    problems: tuple[Problem, ...]
    issuers: Mapping[Certificate, Certificate] = field(default_factory=dict)  # of registered certificates, where an anchor issued them
    statuses: Statuses | None = None
    by_sha256: Mapping[str, Certificate] = field(default_factory=dict)  # the registered ones
    revoked: frozenset[str] = frozenset()  # SHA-256 of what was revoked here, and so is registered no more

    def check_status(self, leaf: Certificate, rule: Rule, *, at: datetime) -> None:
        """Refuse a registered certificate that its authority revoked, or whose status the rule requires (SIG-60, SIG-61)."""
        if leaf in self.issuers and self.statuses:
            self.statuses.check((leaf, self.issuers[leaf]), rule, at=at)
        elif rule == "require":  # nobody can say
            raise refusal(61, "status-unknown", subject=leaf.subject)

    def unknown_statuses(self, *, at: datetime) -> Iterator[Problem]:
        """Say of which registered certificates it is not known whether they were revoked, although their authority says where to ask."""
        for leaf, issuer in self.issuers.items():
            if self.statuses and leaf.valid_at(at) and self.statuses.unknown(leaf, issuer, at=at):
                values = {"subject": leaf.subject, "party": ", ".join(sorted(self.owners[leaf]))}
                yield Problem(text="certificates.status-unknown", values=values)

    def owners_of(self, certificate: Certificate) -> frozenset[PartyCode]:
        """Give the parties for which exactly this certificate is registered."""
        return self.owners.get(certificate, frozenset())

    def anchors_for(self, purpose: str) -> Anchors:
        """Give the anchors of a purpose, such as "person"."""
        return self.anchors.get(purpose, Anchors(certificates=()))


class Trust:
    """Reads `parties/<CODE>.pem`, `anchors/<purpose>/*.pem` and the gateway's own `gateway.{key,cert}.pem` under one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        own: OwnKey | None = None,
        statuses: Statuses | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the folder; it is read at the first question. Without `statuses` nothing is asked about revocation."""
        self._folder = folder
        self._own = own or OwnKey(folder)
        self._statuses = statuses
        self._elapsed = elapsed
        self._files: Mapping[Path, tuple[_Stamp, tuple[Certificate, ...]]] = {}
        self._beside: tuple[tuple[Problem, ...], Mapping[str, Rule], frozenset[str]] | None = None  # what is known but for the files
        self._registry: Registry | None = None
        self._looked = 0.0
        if statuses:
            statuses.follow(self._registered)  # so that their status is known before one of them is used

    @property
    def registry(self) -> Registry:
        """What is registered now; a file that cannot be read keeps what it last held, and is named among the problems."""
        now = self._elapsed()
        if self._registry is None or now - self._looked >= FRESH:
            self._looked = now
            self._refresh()
        if self._registry is None:
            raise Unavailable(Code.UNAVAILABLE, Problem(text="signature.registry", path=str(self._folder)))
        return self._registry

    def certificates(self, party: PartyCode) -> tuple[Certificate, ...]:
        """Give a party's registered certificates; more than one where a renewal is under way."""
        return self.registry.parties.get(party, ())

    def owners(self, certificate: Certificate) -> frozenset[PartyCode]:
        """Give the parties for which exactly this certificate is registered."""
        return self.registry.owners_of(certificate)

    def anchors(self, purpose: str) -> Anchors:
        """Give the anchors of a purpose, such as "person"."""
        return self.registry.anchors_for(purpose)

    def own_key(self) -> SigningKey:
        """Load the gateway's own key; raises Unavailable."""
        return self._own.load()

    def own_stamp(self) -> tuple[_Stamp | None, ...]:
        """Give what changes when the gateway's own key or certificate does."""
        return tuple(map(_stamp_of, self._own.files))

    def _registered(self) -> Iterable[tuple[Certificate, Certificate]]:
        return self.registry.issuers.items()

    def _refresh(self) -> None:
        """Read what changed and put a new registry in the old one's place."""
        files = {}
        problems = []
        for path in sorted([*self._folder.glob("parties/*.pem"), *self._folder.glob("anchors/*/*.pem")]):
            before = self._files.get(path)
            try:
                files[path] = _read(path, before)
            except (OSError, ValueError):
                problems.append(Problem(text="signature.certificate-file", path=str(path)))
                if before:
                    files[path] = before
        rules = {path.parent.name: _rule(path, problems) for path in sorted(self._folder.glob("anchors/*/policy.toml"))}
        revoked = frozenset(path.stem for path in self._folder.glob("revoked/*.pem"))  # after the files: none is missing from both
        beside = (tuple(problems), rules, revoked)
        if files != self._files or beside != self._beside:
            registry = _registry({p: certs for p, (_, certs) in files.items()}, tuple(problems), rules, self._statuses)
            self._registry, self._files, self._beside = replace(registry, revoked=revoked), files, beside


def _read(path: Path, before: tuple[_Stamp, tuple[Certificate, ...]] | None) -> tuple[_Stamp, tuple[Certificate, ...]]:
    status = path.stat()
    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
    return before if before and before[0] == stamp else (stamp, certificates.read_pem(path.read_bytes()))


def _stamp_of(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _rule(path: Path, problems: list[Problem]) -> Rule:
    """Read `revocation = "prefer"`; a file that cannot be read requires, and is named among the problems."""
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))["revocation"]
        return RULES[RULES.index(found)]
    except (OSError, ValueError, KeyError):
        problems.append(Problem(text="certificates.policy", path=str(path)))
        return "require"


def _registry(
    files: Mapping[Path, tuple[Certificate, ...]], problems: tuple[Problem, ...], rules: Mapping[str, Rule], statuses: Statuses | None
) -> Registry:
    parties: dict[PartyCode, tuple[Certificate, ...]] = {}
    owners: dict[Certificate, frozenset[PartyCode]] = {}
    anchors: dict[str, tuple[Certificate, ...]] = {}
    for path, found in files.items():
        if path.parent.name == "parties":
            code = PartyCode(path.stem)
            parties[code] = found
            owners.update({c: owners.get(c, frozenset()) | {code} for c in found})
        else:
            anchors[path.parent.name] = anchors.get(path.parent.name, ()) + found
    known = tuple(chain.from_iterable(anchors.values()))
    return Registry(
        parties=MappingProxyType(parties),
        owners=MappingProxyType(owners),
        anchors=MappingProxyType({p: Anchors(certificates=c, check=_check(statuses, rules.get(p, "prefer"))) for p, c in anchors.items()}),
        problems=problems,
        issuers=MappingProxyType({leaf: issuer for leaf in owners if (issuer := issuer_of(leaf, known))}),
        statuses=statuses,
        by_sha256=MappingProxyType({certificate.sha256: certificate for certificate in owners}),
    )


def _check(statuses: Statuses | None, rule: Rule) -> Check | None:
    """Make what refuses a path for revocation."""
    if statuses is None or rule == "off":
        return None

    def check(path: tuple[Certificate, ...], at: datetime, place: _Element | None) -> None:
        statuses.check(path, rule, at=at, place=place)

    return check
