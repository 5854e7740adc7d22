"""What authorities say of certificates: revocation lists and OCSP answers, fetched beside the flow and kept; the flow only looks them up.

SIG-60 and SIG-61 judge messages; SIG-62 and SIG-63 say which lists and answers are believed (docs/howto/certificates.md).
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from lxml.etree import _Element

from gateway.errors import Unavailable
from gateway.model import Reply, Request
from gateway.ports import Clock, Transport, Watch

from .certificates import BAD_EXTENSIONS, Certificate
from .refusal import refusal
from .revocation import Answer, ask, list_in_der, read_answer, read_list, told_by_answer, told_by_list
from .writing import put

Rule = Literal["require", "prefer", "off"]  # what an unknown status does: refuses, is told to staff; off asks nobody
RULES: tuple[Rule, ...] = ("require", "prefer", "off")

FRESH = timedelta(hours=1)  # how old a status may grow while its source could be asked
LOOK_SECONDS = 60.0  # how often what is missing or old is asked for
TIMEOUT = timedelta(seconds=10)
MAX_LIST_BYTES = 10_485_760  # some 250,000 entries; the largest of a licensed provider has 2 MB
MAX_ANSWER_BYTES = 65_536
MAX_WANTED = 4096  # certificates asked about: every declarant of some days
MAX_LISTS = 64  # lists held at once
MAX_SOURCES = 2  # of each kind, of one certificate

_NO_EXTENSION = (x509.ExtensionNotFound, *BAD_EXTENSIONS)

Chain = tuple[Certificate, ...]
Follow = Callable[[], Iterable[tuple[Certificate, Certificate]]]  # certificates, each with its issuer; may raise Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A certificate whose status is asked for: who issued it, and where its status is to be had."""

    issuer: Certificate
    lists: tuple[str, ...]
    responders: tuple[str, ...]


class Statuses:
    """Looks statuses up, and asks for them in a thread of its own; whatever goes wrong there is told, and nobody waits for it."""

    def __init__(self, folder: Path, transport: Transport, *, clock: Clock, watch: Watch, every: float = LOOK_SECONDS) -> None:
        """Keep what was fetched in a folder; ask through a transport that presents no certificate of the gateway's own."""
        self._folder = folder
        self._transport = transport
        self._clock = clock
        self._watch = watch
        self._every = every
        self._wanted: dict[Certificate, Wanted] = {}
        self._lists: dict[tuple[Certificate, str], Answer] = {}
        self._answers: dict[Certificate, Answer] = {}
        self._adding = threading.Lock()
        self._bell = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="revocation", daemon=True)
        self._followed: tuple[Follow, ...] = ()

    def follow(self, followed: Follow) -> None:
        """Ask for certificates before the flow does, or of which it asks nothing: what evidence of later times rests on."""
        self._followed = (*self._followed, followed)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Stop asking."""
        self._stopping = True
        self._bell.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- in the flow -------------------------------------------------------------------------------------------------

    def check(self, path: Chain, rule: Rule, *, at: datetime, place: _Element | None = None) -> None:
        """Refuse a path on which a certificate is known as revoked, or where the rule requires it of unknown status."""
        if rule == "off":
            return
        for certificate, issuer in pairwise(path):
            wanted = self._wanted.get(certificate) or self._want(certificate, issuer)
            known = self._known(certificate, wanted)
            since = self._since(certificate, wanted, at)
            # (60) nothing that its authority said names the certificate as revoked by then
            if since is not None and since <= at:
                raise refusal(60, "revoked-known", place, subject=certificate.subject, since=since.isoformat())
            # (61) its status is known and current where the rule requires that
            if rule == "require" and (known is None or known.until < at):
                raise refusal(61, "status-unknown", place, subject=certificate.subject)

    def unknown(self, certificate: Certificate, issuer: Certificate, *, at: datetime) -> bool:
        """Say whether a certificate has a source of its status, and the status is not known or not current."""
        wanted = self._wanted.get(certificate) or self._want(certificate, issuer)
        known = self._known(certificate, wanted)
        return bool(wanted.lists or wanted.responders) and (known is None or known.until < at)

    def _known(self, certificate: Certificate, wanted: Wanted) -> Answer | None:
        """Give the answer that lasts longest: what is known, by dictionary only."""
        return max(self._said(certificate, wanted), key=lambda answer: answer.until, default=None)

    def _since(self, certificate: Certificate, wanted: Wanted, at: datetime) -> datetime | None:
        """Say since when a certificate is revoked: by any source whose word still holds, else by the one that lasted longest."""
        last = self._known(certificate, wanted)
        holding = (answer.revoked for answer in self._said(certificate, wanted) if answer is last or answer.until >= at)
        serial = certificate.x509.serial_number
        return min((revoked[serial] for revoked in holding if serial in revoked), default=None)

    def _said(self, certificate: Certificate, wanted: Wanted) -> list[Answer]:
        """Give what each source said."""
        said = (self._answers.get(certificate), *(self._lists.get((wanted.issuer, url)) for url in wanted.lists))
        return [answer for answer in said if answer]

    def _want(self, certificate: Certificate, issuer: Certificate) -> Wanted:
        wanted = Wanted(issuer=issuer, lists=tuple(_list_urls(certificate)), responders=tuple(_responder_urls(certificate)))
        with self._adding:
            if len(self._wanted) >= MAX_WANTED:
                self._answers.pop(next(iter(self._wanted)), None)
                self._wanted.pop(next(iter(self._wanted)))
            self._wanted[certificate] = wanted
        if wanted.lists or wanted.responders:
            self._bell.set()
        return wanted

    # --- beside the flow ---------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask for every status that is missing or old; a host that is away is asked once."""
        away: set[str] = set()
        self._take_up()
        with self._adding:
            wanted = list(self._wanted.items())
        for certificate, each in wanted:
            if self._stopping:
                return
            if not any(self._list_current(each, url) or self._get_list(each, url, away) for url in each.lists):
                self._get_answer(certificate, each, away)

    def _take_up(self) -> None:
        """Ask for what is followed, too; where that cannot be said now, it is the next time."""
        for followed in self._followed:
            try:
                for certificate, issuer in followed():
                    if certificate not in self._wanted:
                        self._want(certificate, issuer)
            except Unavailable as error:
                self._watch("revocation.away", {"code": error.problems[0].text, "host": "-"})

    def _list_current(self, wanted: Wanted, url: str) -> bool:
        held = self._lists.get((wanted.issuer, url))
        return held is not None and self._is_fresh(held)

    def _is_fresh(self, held: Answer) -> bool:
        now = self._clock()
        return now < held.until and now - held.fetched < FRESH

    def _get_list(self, wanted: Wanted, url: str, away: set[str]) -> bool:
        def read(data: bytes, now: datetime) -> Answer:
            return read_list(data, wanted.issuer, now=now)

        request = Request(endpoint=url, action="", body=b"", method="GET", reply_bytes=MAX_LIST_BYTES)
        found = self._obtain(_name(wanted.issuer, url), request, read, away, held=self._lists.get((wanted.issuer, url)))
        if found is None:
            return False
        while len(self._lists) >= MAX_LISTS and (wanted.issuer, url) not in self._lists:
            self._lists.pop(next(iter(self._lists)))
        self._lists[wanted.issuer, url] = found
        return True

    def _get_answer(self, certificate: Certificate, wanted: Wanted, away: set[str]) -> None:
        def read(data: bytes, now: datetime) -> Answer:
            return read_answer(data, certificate, wanted.issuer, now=now)

        held = self._answers.get(certificate)
        if held is not None and self._is_fresh(held):
            return
        for url in wanted.responders:
            headers = {"content-type": "application/ocsp-request", "accept": "application/ocsp-response"}
            body = ask(certificate, wanted.issuer)
            request = Request(endpoint=url, action="", body=body, headers=headers, reply_bytes=MAX_ANSWER_BYTES)
            found = self._obtain(_name(certificate, url), request, read, away, held=held)
            if found is not None:
                self._answers[certificate] = found
                return

    def _obtain(
        self, name: str, request: Request, read: Callable[[bytes, datetime], Answer], away: set[str], *, held: Answer | None
    ) -> Answer | None:
        """Take what the folder holds where that is fresh and nothing is known yet, else ask; None where neither gives an answer."""
        place = self._folder / name
        kept = _kept(place, read) if held is None else None
        if kept is not None and self._is_fresh(kept):
            return kept
        found = self._fetch(request, read, away)
        if found is None:
            return kept
        data, answer = found
        try:
            put(place, data)
        except OSError as error:
            self._watch("revocation.not-kept", {"code": type(error).__name__})
        return answer

    def _fetch(self, request: Request, read: Callable[[bytes, datetime], Answer], away: set[str]) -> tuple[bytes, Answer] | None:
        host = urlsplit(request.endpoint).netloc
        if host in away:
            return None
        try:
            reply: Reply = self._transport.send(request, timeout=TIMEOUT)
            if reply.status == 200:  # noqa: PLR2004  # OK in HTTP
                return reply.body, read(reply.body, self._clock())
            self._watch("revocation.unusable", {"code": str(reply.status), "host": host})
        except Unavailable as error:
            away.add(host)
            self._watch("revocation.away", {"code": error.problems[0].text, "host": host})
        except ValueError as error:
            self._watch("revocation.unusable", {"code": str(error), "host": host})
        return None

    def _work(self) -> None:
        while not self._stopping:
            self._bell.clear()
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001  # a defect must not end the thread that knows of every later revocation
                self._watch("revocation.defect", {"defect": type(error).__name__})
            self._bell.wait(self._every)


def held(folder: Path, certificate: Certificate, issuer: Certificate) -> Iterator[tuple[str, bytes]]:
    """Give what was fetched last about a certificate and is believed, of whatever age: the kind, "crl" or "ors", and it in DER."""
    for url in _list_urls(certificate):
        with suppress(OSError, ValueError):
            data = (folder / _name(issuer, url)).read_bytes()
            told_by_list(data, certificate, issuer)
            yield "crl", list_in_der(data)
    for url in _responder_urls(certificate):
        with suppress(OSError, ValueError):
            data = (folder / _name(certificate, url)).read_bytes()
            told_by_answer(data, certificate, issuer)
            yield "ors", data


def _name(about: Certificate, url: str) -> str:
    """Name the file of what was fetched about a certificate, or about whatever one issued."""
    return hashlib.sha256(f"{about.sha256} {url}".encode()).hexdigest() + ".der"


def _kept(place: Path, read: Callable[[bytes, datetime], Answer]) -> Answer | None:
    """Read what was kept before, judged by when it came: what was revoked then is known even if the list is over. None: not there."""
    try:
        fetched = datetime.fromtimestamp(place.stat().st_mtime).astimezone()
        return read(place.read_bytes(), fetched)
    except (OSError, ValueError):
        return None


def _list_urls(certificate: Certificate) -> Iterator[str]:
    try:
        points = certificate.x509.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except _NO_EXTENSION:
        return
    yield from _some(name for point in points for name in point.full_name or ())


def _responder_urls(certificate: Certificate) -> Iterator[str]:
    try:
        entries = certificate.x509.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except _NO_EXTENSION:
        return
    yield from _some(e.access_location for e in entries if e.access_method == AuthorityInformationAccessOID.OCSP)


def _some(names: Iterable[x509.GeneralName]) -> list[str]:
    urls = (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
    return [url for url in urls if url.lower().startswith(("http://", "https://"))][:MAX_SOURCES]  # LDAP is not spoken
