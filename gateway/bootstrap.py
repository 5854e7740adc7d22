"""Puts the gateway together: the only file that names concrete classes; finds the adapters and checks the rules against them."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta, tzinfo
from functools import cache, partial
from pathlib import Path

from .collect import Collect
from .config import Settings
from .delivery import Delivery
from .errors import Code, Problem, Unavailable, explain, remedy
from .evidence.gathering import Evidence
from .evidence.ledger import Ledger
from .evidence.publishing import LOOK_SECONDS as PUBLISH_SECONDS
from .evidence.publishing import Place, Publication, by_mail, keep
from .evidence.report import write_reports
from .evidence.sealing import EVERY_SECONDS as SEAL_SECONDS
from .evidence.sealing import Sealing
from .evidence.signers import own_certificates
from .evidence.stamper import FAREWELL_SECONDS, stamp
from .evidence.stamper import LOOK_SECONDS as STAMP_SECONDS
from .evidence.stamping import Stamps
from .evidence.timestamps import Authorities
from .evidence.vouching import followed
from .evidence.witness import Witness
from .evidence.witnessing import Asking, read_key
from .hub import Hub, Store, in_force
from .installed import discover, load_rules, load_schemas, now, open_door, own_key, read_rules
from .intake import Intake
from .model import PartyCode, Schedule
from .outbox.acts import Acts, Notice, Undelivered, Ways
from .outbox.attachments.collecting import COLLECT_SECONDS, tidy
from .outbox.attachments.folder import FolderStore
from .outbox.attachments.keeping import Attachments
from .outbox.attachments.objects import ObjectStore
from .outbox.attachments.rows import RowStore
from .outbox.circuit import Circuits
from .outbox.configuration import Configuration
from .outbox.destinations import Destinations
from .outbox.heartbeat import Heartbeat
from .outbox.history import History
from .outbox.holds import Holds, Kind
from .outbox.housekeeper import Housekeeper, read_hours
from .outbox.mender import Mender
from .outbox.mending import Mending
from .outbox.outbox import SqlOutbox
from .outbox.payloads import Payloads
from .outbox.retention import Retention
from .outbox.workers import Bell, Workers
from .ports import Adapter, ChunkStore, Cipher, Database, Entropy, Watch
from .protocols.vnsw.notice import Notices
from .rounds import Rounds
from .routing.judge import Judge
from .routing.redirect import route_to
from .routing.retention import schedule_of
from .routing.rules import Rules, RuleSet
from .security.authority import Authority
from .security.certificates import Certificate, read_pem
from .security.cipher import FileCipher
from .security.enrolment import Enrolment, Issue
from .security.expiry import EVERY_SECONDS as EXPIRY_SECONDS
from .security.expiry import Ending, Expiry, endings
from .security.expiry import notices as expiry_notices
from .security.keeper import EVERY_SECONDS as KEY_SECONDS
from .security.keeper import KeyKeeper
from .security.keys import SigningKey
from .security.prover import Prover
from .security.randomness import Randomness
from .security.registry import CertificateFiles
from .security.sealer import EnvelopeSealer
from .security.stamps import PURPOSE as TSA
from .security.statuses import Statuses, held
from .security.trust import Trust
from .store.engine import file_of, kind_of, open_database, open_standby
from .store.listening import Listening
from .store.migrate import check_present, upgrade
from .store.probe import Probe
from .store.queries import Queries
from .store.sole import Sole
from .store.standby import StandbyFirst
from .telemetry import Telemetry, logger
from .transport.http import HttpTransport, Signing, no_attachments
from .transport.mail import Mailer
from .transport.parts import ReadContent

RELOAD_SECONDS = 1.0
STORAGE_PATIENCE = timedelta(seconds=30)  # for one chunk in S3-compatible storage


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """Open an installation's database beside a running server; raises Unavailable where there is none, or an older or newer one."""
    check_present(settings.database)
    database = open_database(settings.database)
    payloads = Payloads(cipher=FileCipher(settings.home / "keys", entropy=os.urandom))
    try:
        yield Store(
            outbox=SqlOutbox(database, payloads, clock=now, entropy=os.urandom),
            queries=Queries(database, payloads.unlock),
            destinations=Destinations(database, clock=now),
            mending=_mending(settings, database, payloads, ways=ways_of(cache(lambda: read_rules(settings)), cache(discover))),
            history=History(database, payloads),
            retention=Retention(database, payloads, entropy=os.urandom),
            holds=Holds(database, entropy=os.urandom, known=known_to(cache(lambda: read_rules(settings)))),
            cipher=payloads.cipher,
            ledger=Ledger(database, clock=now),
            stamps=Stamps(database, clock=now),
            evidence=_evidence(settings, database, payloads, key=_key_when_asked(settings), zone=lambda: read_rules(settings).zone),
            schedule=lambda: schedule(settings),
        )
    finally:
        database.close()


@contextmanager
def open_certificates(settings: Settings) -> Iterator[Enrolment]:
    """Open an installation's registry of certificates beside a running server; its changes reach the ledger where there is one."""
    trust = Trust(settings.pki)
    if kind_of(settings.database) == "sqlite" and not file_of(settings.database).is_file():
        yield _enrolment(settings, trust, None, entropy=os.urandom)
        return
    check_present(settings.database)
    database = open_database(settings.database)
    try:
        yield _enrolment(settings, trust, database, entropy=os.urandom)
    finally:
        database.close()


def _enrolment(settings: Settings, trust: Trust, database: Database | None, *, entropy: Entropy) -> Enrolment:
    """Put the registry together; where a development authority lies in it, that one issues."""
    folder = settings.pki / "ca"
    issue: Issue | None = None
    if (folder / "ca.key.pem").exists():
        issue = lambda request: Authority(folder).issue(request, now=now())  # noqa: E731  # one line, used once
    return Enrolment(CertificateFiles(settings.pki), lambda: trust, database, clock=now, entropy=entropy, issue=issue)


def schedule(settings: Settings) -> Schedule:
    """Read which periods hold for which messages; raises RulesInvalid."""
    return schedule_of(read_rules(settings))


def open_cipher(settings: Settings) -> Cipher:
    """Take up an installation's keys, for what is read without its database; raises Unavailable where there are none."""
    folder = settings.home / "keys"
    if not folder.is_dir():
        raise Unavailable(Code.UNAVAILABLE, Problem(text="retention.no-keys", path=str(folder)))
    return FileCipher(folder, entropy=os.urandom)


def hold(settings: Settings) -> Sole | None:
    """Keep a second serving process away from an SQLite database; raises Unavailable where there is one."""
    if kind_of(settings.database) != "sqlite":
        return None
    return Sole(Path(f"{file_of(settings.database).resolve()}.lock"))  # one lock a file, whatever links lead to it


def build(settings: Settings) -> Hub:
    """Put a gateway together on its settings; raises RulesInvalid, or Unavailable where database or key are not to be had."""
    telemetry = Telemetry(logger())
    adapters = discover()
    schemas = load_schemas(settings)
    rules = load_rules(settings, schemas, adapters)
    statuses = Statuses(_revocation(settings), HttpTransport(ca_file=settings.outgoing_ca), clock=now, watch=telemetry)
    trust = Trust(settings.pki, own=own_key(settings), statuses=statuses)
    key = trust.own_key()
    authorities = _authorities(settings, trust)
    sealer = EnvelopeSealer(key, now, stamp=(lambda data: authorities.stamp(data).token) if authorities else None)
    upgrade(settings.database)
    database, entropy = open_database(settings.database), Randomness()
    statuses.follow(lambda: followed(own_certificates(settings.pki), Stamps(database, clock=now), _authorities_known(settings)))
    cipher = FileCipher(settings.home / "keys", entropy=entropy)
    payloads, attachments = Payloads(cipher=cipher), keep_attachments(settings, database, cipher, entropy=entropy)
    standby = StandbyFirst(open_standby(settings.database_read_url), database) if settings.database_read_url else None
    ledger = Ledger(database, clock=now)
    bell, orders = Bell(), Bell()
    listening = Listening(settings.database, bell.ring) if database.kind == "postgresql" else None
    wake = _waking(bell.ring, listening)
    outbox = SqlOutbox(database, payloads, clock=now, entropy=entropy, wake=wake)
    destinations = Destinations(database, clock=now, wake=wake)
    prover, judge = Prover(trust, now, rules.current.zone), Judge(schemas)
    mending = _mending(settings, database, payloads, ways=ways_of(lambda: rules.current, lambda: adapters), wake=wake, begin=orders.ring)
    delivery = Delivery(
        outbox=outbox, adapters=adapters, rules=lambda: rules.current, sealer=sealer, transport=_transport(settings, attachments.read),
        prover=prover, clock=now, watch=telemetry,
    )  # fmt: skip
    heartbeat = Heartbeat(outbox, watch=telemetry)
    workers = _workers(settings, delivery, heartbeat, destinations, bell=bell)
    intake = Intake(
        prover=prover, judge=judge, rules=lambda: rules.current, outbox=outbox, clock=now, entropy=entropy, watch=telemetry,
        carries=lambda party: party.collects or (party.adapter in adapters and adapters[party.adapter].profile.attachments),
    )  # fmt: skip
    sealing, configuration = Sealing(ledger, key), Configuration(database, lambda: in_force(rules, schemas, trust, sealer))
    keeper = KeyKeeper(trust, (sealer.renew, sealing.renew), watch=telemetry)
    places = _places(settings, ledger, trust, own=lambda: rules.current.own.code)
    publications = tuple(Publication(place, ledger.newest, clock=now, watch=telemetry) for place in places)
    return Hub(
        settings=settings, intake=intake, outbox=outbox, rules=rules, schemas=schemas, judge=judge, prover=prover, trust=trust,
        sealer=sealer, adapters=adapters, destinations=destinations, entropy=entropy, metrics=telemetry.registry, watch=telemetry,
        mending=mending, attachments=attachments, ledger=ledger, stamps=Stamps(database, clock=now),
        publications=publications, witness=Witness(settings.home / "witness", key=lambda: sealing.key, clock=now, watch=telemetry),
        evidence=_evidence(settings, database, payloads, key=lambda: sealing.key, zone=lambda: rules.current.zone),
        mailboxes=Collect(outbox=outbox, adapters=adapters, rules=lambda: rules.current, sealer=sealer, clock=now, watch=telemetry),
        queries=Queries(standby or database, payloads.unlock),
        doors={"vnsw": open_door(lambda: rules.current, adapters, sign=sealer.sign)},
        history=History(database, payloads), certificates=_enrolment(settings, trust, database, entropy=entropy),
        holds=Holds(database, entropy=entropy, known=known_to(lambda: rules.current)), _cipher=cipher,
        _database=database, _probe=Probe(database, entropy=entropy), _standby=standby, _heartbeat=heartbeat, _workers=workers,
        _first=(*([listening] if listening else []), statuses, *_rounds(rules, keeper, sealing, configuration, watch=telemetry),
                *_stamping(settings, Stamps(database, clock=now), authorities, watch=telemetry), *_publishing(publications, telemetry)),
        _last=(
            _expiry(settings, lambda: endings(trust, sealer.certificate, rules.current.parties, at=now()), database, watch=telemetry),
            Mender(mending, bell=orders, watch=telemetry),
            Rounds("attachments", partial(tidy, attachments, telemetry), every=COLLECT_SECONDS, watch=telemetry),
            _housekeeping(settings, Retention(database, payloads, entropy=entropy), rules=lambda: rules.current, watch=telemetry),
        ),
    )  # fmt: skip


def _authorities(settings: Settings, trust: Trust) -> Authorities | None:
    """Reach time-stamp authorities without a certificate of the gateway's own; None where none are named."""
    if not settings.tsa:
        return None
    return Authorities(settings.tsa.split(","), HttpTransport(ca_file=settings.outgoing_ca), lambda: tsa_anchors(settings, trust))


def _workers(settings: Settings, delivery: Delivery, heartbeat: Heartbeat, destinations: Destinations, *, bell: Bell) -> Workers:
    """Have deliveries carried to the parties that have an adapter and do not fetch."""
    return Workers(
        bell=bell, carry=heartbeat.carrying(delivery.carry), outbox=delivery.outbox, circuits=Circuits(),
        parties=lambda: [p for p in delivery.rules().parties if p.adapter and not p.collects], clock=now, watch=delivery.watch,
        threads=settings.threads, exchange=destinations.exchange,
    )  # fmt: skip


def _rounds(rules: Rules, keeper: KeyKeeper, sealing: Sealing, configuration: Configuration, *, watch: Watch) -> tuple[Rounds, ...]:
    """Make the rounds that messages depend on."""
    return (
        Rounds("configuration", configuration.look, every=RELOAD_SECONDS, watch=watch, at_once=True),
        Rounds("rules", rules.reload_if_changed, every=RELOAD_SECONDS, watch=watch),
        Rounds("key", keeper.look, every=KEY_SECONDS, watch=watch),
        Rounds("ledger", sealing.seal, every=SEAL_SECONDS, watch=watch, last=True),
    )


def _stamping(settings: Settings, stamps: Stamps, authorities: Authorities | None, *, watch: Watch) -> tuple[Rounds, ...]:
    """Have heads stamped where authorities are named."""
    if authorities is None:
        return ()
    due = partial(stamp, stamps, authorities, every=timedelta(seconds=settings.tsa_every), watch=watch)
    return (Rounds("stamping", due, every=STAMP_SECONDS, watch=watch, area="ledger", patience=FAREWELL_SECONDS),)


def _publishing(publications: Sequence[Publication], watch: Watch) -> Iterator[Rounds]:
    """Have heads brought to each place in a thread of its own: what is away holds up nothing but itself."""
    for publication in publications:
        name = f"heads-{publication.place.name}"
        yield Rounds(name, publication.look, every=PUBLISH_SECONDS, watch=watch, area="ledger", patience=FAREWELL_SECONDS)


def _places(settings: Settings, ledger: Ledger, trust: Trust, *, own: Callable[[], PartyCode]) -> Iterator[Place]:
    """Give the places that heads go to; raises Unavailable where the witness's key cannot be read."""
    every, kept = timedelta(seconds=settings.heads_every), settings.heads_kept
    if "file" in kept:
        yield Place(name="file", kept=kept["file"], every=every, carry=keep)
    if "mail" in kept:
        mailer = Mailer(server=settings.mail_server, sender=settings.mail_from, receivers=settings.heads_mail.split(","))
        mailed = timedelta(seconds=settings.heads_mail_every)
        yield Place(name="mail", kept=kept["mail"], every=mailed, carry=by_mail(mailer.send))
    if "witness" in kept:
        party, _, url = settings.witness.partition("=")
        asking = Asking(
            url=url, party=own, transport=_transport(settings, no_attachments), key=read_key(settings.witness_key_file),
            witnesses=lambda: trust.certificates(PartyCode(party)), consistency=ledger.consistency,
        )  # fmt: skip
        yield Place(name="witness", kept=kept["witness"], every=every, carry=asking.carry)


def tsa_anchors(settings: Settings, trust: Trust) -> tuple[Certificate, ...]:
    """Give the anchors of time-stamp authorities; raises Unavailable where their file cannot be read."""
    held = trust.anchors(TSA).certificates
    if settings.tsa_ca is None:
        return held
    try:
        return held + read_pem(settings.tsa_ca.read_bytes())
    except (OSError, ValueError) as error:
        raise Unavailable(Code.UNAVAILABLE, Problem(text="stamping.anchors", path=str(settings.tsa_ca))) from error


def _key_when_asked(settings: Settings) -> Callable[[], SigningKey]:
    return Trust(settings.pki, own=own_key(settings)).own_key


def _evidence(
    settings: Settings, database: Database, payloads: Payloads, *, key: Callable[[], SigningKey], zone: Callable[[], tzinfo]
) -> Evidence:
    """Make containers whose times are written in a zone."""
    return Evidence(
        database=database,
        payloads=payloads,
        ledger=Ledger(database, clock=now),
        stamps=Stamps(database, clock=now),
        clock=lambda: now().astimezone(zone()),
        key=key,
        report=write_reports,
        own=lambda: own_certificates(settings.pki),
        issuers=lambda: _authorities_known(settings),
        statuses=partial(held, _revocation(settings)),
        beside=cache(lambda: keep_attachments(settings, database, payloads.cipher, entropy=os.urandom)),
    )


def _authorities_known(settings: Settings) -> tuple[Certificate, ...]:
    """Give every certificate that may have issued a signer's, a time-stamp authority's or the gateway's own."""
    trust = Trust(settings.pki)
    anchors = (certificate for found in trust.registry.anchors.values() for certificate in found.certificates)
    return tuple(dict.fromkeys((*anchors, *tsa_anchors(settings, trust), *own_certificates(settings.pki))))


def _revocation(settings: Settings) -> Path:
    """Say where lists and OCSP answers are kept."""
    return settings.home / "cache" / "revocation"


def _expiry(settings: Settings, held: Callable[[], Sequence[Ending]], database: Database, *, watch: Watch) -> Rounds:
    """Watch what ends, and tell by mail where a mail server is set."""

    def send(ending: Sequence[Ending]) -> None:
        mailer = Mailer(server=settings.mail_server, sender=settings.mail_from, receivers=settings.mail_to.split(","))
        told = [f"{n.path}: {explain(n, spoken)}\n  {remedy(n, spoken)}" for spoken in ("vi", "en") for n in expiry_notices(ending)]
        mailer.send(explain(Problem(text="certificates.mail", values={"count": str(len(ending))}), "vi"), "\n\n".join(told) + "\n")

    complete = settings.mail_server and settings.mail_from and settings.mail_to
    expiry = Expiry(held, database, send=send if complete else None, clock=now, watch=watch)
    return Rounds("expiry", expiry.look, every=EXPIRY_SECONDS, watch=watch, area="certificate", at_once=True)


def _housekeeping(settings: Settings, retention: Retention, *, rules: Callable[[], RuleSet], watch: Watch) -> Housekeeper:
    return Housekeeper(
        retention,
        schedule=lambda: schedule_of(rules()),
        folder=settings.archive_folder,
        hours=read_hours(settings.retention_hours),
        zone=lambda: rules().zone,
        clock=now,
        watch=watch,
    )


def known_to(rules: Callable[[], RuleSet]) -> Callable[[Kind, str], bool]:
    """Tell holds which parties and procedures the rules have."""

    def known(kind: Kind, value: str) -> bool:
        party = rules().party(value) if kind == "party" else None
        return (party is not None and party.code == value) or (kind == "procedure" and value in rules().catalogue)

    return known


def ways_of(rules: Callable[[], RuleSet], adapters: Callable[[], Mapping[str, Adapter]]) -> Ways:
    """Tell staff's repairs what the rules and adapters are, at the moment when they ask."""

    def notice(undelivered: Undelivered) -> Notice:
        return Notices(directory=rules(), adapters=adapters(), zone=rules().zone)(undelivered)

    return Ways(directory=rules, route=lambda party, name: route_to(rules(), party, name), notice=notice)


def _mending(settings: Settings, database: Database, payloads: Payloads, *, ways: Ways, **calls: Callable[[], None]) -> Mending:
    acts = Acts(payloads, ways, entropy=os.urandom)
    return Mending(database, acts, entropy=os.urandom, four_eyes=settings.four_eyes, **calls)


def _waking(ring: Callable[..., None], listening: Listening | None) -> Callable[..., None]:
    """Wake a worker here, and on PostgreSQL those of other processes."""
    if listening is None:
        return ring

    def wake(*about: Collection[PartyCode]) -> None:
        ring(*about)
        listening.tell()

    return wake


@contextmanager
def open_attachments(settings: Settings) -> Iterator[Attachments]:
    """Open an installation's attachments beside a running server; raises Unavailable where they are not to be had."""
    check_present(settings.database)
    database = open_database(settings.database)
    try:
        cipher = FileCipher(settings.home / "keys", entropy=os.urandom)
        yield keep_attachments(settings, database, cipher, entropy=os.urandom)
    finally:
        database.close()


def keep_attachments(settings: Settings, database: Database, cipher: Cipher, *, entropy: Entropy) -> Attachments:
    """Open the stores of attachments; new ones go where the settings say first. Raises Unavailable where that cannot be."""
    usual = "folder" if database.kind == "sqlite" else "database"
    chosen = settings.attachments.partition(" ")[0].partition(":")[0] or usual
    if chosen == "folder" and database.kind != "sqlite" and not settings.attachments_shared:
        raise Unavailable(Code.RULES, Problem(text="attachments.not-shared", path="NSW_ATTACHMENTS"))
    folder = settings.home / "attachments"
    stores: dict[str, ChunkStore] = {"database": RowStore(database)}
    if chosen == "folder" or folder.is_dir():
        stores["folder"] = FolderStore(folder)
    if "s3://" in settings.attachments:
        stores["s3"] = _storage(settings)
    return Attachments(database, cipher, stores=[stores.pop(chosen), *stores.values()], entropy=entropy)


def _storage(settings: Settings) -> ObjectStore:
    """Reach S3-compatible storage with its keys; raises Unavailable where the settings do not say how."""
    try:
        lines = settings.s3_credentials.read_text("utf-8-sig").splitlines() if settings.s3_credentials else []
    except (OSError, UnicodeError):
        lines = []
    access_key, secret_key = lines if len(lines) == 2 else (settings.s3_access_key, settings.s3_secret_key)  # noqa: PLR2004  # two lines
    if not (settings.s3_endpoint and access_key and secret_key):
        raise Unavailable(Code.RULES, Problem(text="attachments.no-keys", path="NSW_S3_ENDPOINT, NSW_S3_CREDENTIALS"))
    signing = Signing(region=settings.s3_region, access_key=access_key, secret_key=secret_key)
    transport = HttpTransport(signing=signing, ca_file=settings.outgoing_ca)
    bucket, _, prefix = settings.attachments.partition("s3://")[2].partition("/")
    return ObjectStore(
        lambda request: transport.send(request, timeout=STORAGE_PATIENCE), bucket=f"{settings.s3_endpoint}/{bucket}", prefix=prefix
    )


def _transport(settings: Settings, read: ReadContent) -> HttpTransport:
    """Reach partners with the gateway's own certificate."""
    certificate, key = settings.pki / "gateway.cert.pem", settings.pki / "gateway.key.pem"
    if settings.key:  # TLS takes its key from a file only
        return HttpTransport(ca_file=settings.outgoing_ca, read=read)
    return HttpTransport(client_certificate=certificate, client_key=key, ca_file=settings.outgoing_ca, read=read)
