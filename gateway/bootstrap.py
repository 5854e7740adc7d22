"""Puts the gateway together: the only file that names concrete classes; finds the adapters and checks the rules against them."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from prometheus_client import CollectorRegistry

from .collect import Collect
from .config import Settings
from .delivery import Delivery
from .errors import Code, Problem, Unavailable
from .evidence.ledger import Ledger
from .evidence.sealing import Sealing
from .intake import Intake
from .model import MessageId, Party, Schedule, uuid7
from .outbox.acts import Acts, Notice, Undelivered, Ways
from .outbox.attachments.collecting import Collector
from .outbox.attachments.folder import FolderStore
from .outbox.attachments.keeping import Attachments
from .outbox.attachments.objects import ObjectStore
from .outbox.attachments.rows import RowStore
from .outbox.circuit import Circuits
from .outbox.destinations import Destinations, notices
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
from .ports import Adapter, ChunkStore, Cipher, Database, Entropy, Inbound, Watch
from .protocols.vnsw.dialects import DIALECTS
from .protocols.vnsw.door import VnswDoor
from .protocols.vnsw.notice import Notices
from .routing.judge import Judge
from .routing.redirect import route_to
from .routing.retention import schedule_of
from .routing.rules import Rules, RuleSet, load
from .security.certificates import Certificate
from .security.cipher import FileCipher
from .security.prover import Prover
from .security.randomness import Randomness
from .security.signer import EnvelopeSealer
from .security.trust import Trust
from .store.engine import PING, file_of, kind_of, open_database, open_standby
from .store.listening import Listening
from .store.migrate import check_present, upgrade
from .store.probe import Probe
from .store.queries import Queries
from .store.sole import Sole
from .store.standby import StandbyFirst
from .store.times import utc
from .telemetry import Telemetry, logger
from .transport.http import HttpTransport, Signing
from .transport.parts import ReadContent
from .xml.schemas import Schemas
from .xml.shipped import shipped

ADAPTERS = "nsw_gateway.adapters"
RELOAD_SECONDS = 1.0
STORAGE_PATIENCE = timedelta(seconds=30)  # for one chunk in S3-compatible storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """A gateway put together; `start` sets its threads going, `stop` lets them finish."""

    settings: Settings
    intake: Intake
    mailboxes: Collect
    outbox: SqlOutbox
    queries: Queries
    rules: Rules
    schemas: Schemas
    judge: Judge
    prover: Prover
    trust: Trust
    sealer: EnvelopeSealer
    doors: Mapping[str, Inbound]
    adapters: Mapping[str, Adapter]
    destinations: Destinations
    entropy: Entropy
    metrics: CollectorRegistry
    watch: Watch
    mending: Mending
    history: History
    attachments: Attachments
    _database: Database
    _probe: Probe
    _standby: Database | None
    _listening: Listening | None
    _heartbeat: Heartbeat
    _workers: Workers
    holds: Holds
    _mender: Mender
    _housekeeper: Housekeeper
    _reloader: "Reloader"
    _collector: Collector
    ledger: Ledger
    _sealing: Sealing

    def clock(self) -> datetime:
        """Give the present."""
        return now()

    def new_id(self) -> MessageId:
        """Name an arrival."""
        return MessageId(uuid7(now(), self.entropy(10)))

    def start(self, *, work: bool = True) -> None:
        """Begin to watch the rules and, unless told otherwise, to deliver; first returns what a dead process held."""
        self._reloader.start()
        if self._listening:
            self._listening.start()
        if work:
            if self._database.kind == "sqlite":  # this is the only process: whoever held anything is dead, save parties that fetch
                fetchers = frozenset(party.code for party in self.rules.current.parties if party.collects)
                self.outbox.rescue(held_until=datetime.max.replace(tzinfo=UTC), spared=fetchers)
            self._heartbeat.start()
            self._workers.start()
        self._mender.start()
        self._collector.start()
        self._housekeeper.start()
        self._sealing.start()

    def drain(self) -> None:
        """Begin no delivery any more, so that those under way end while requests do; `stop` follows."""
        self._workers.drain()

    def stop(self) -> None:
        """Finish what is under way and close."""
        self._housekeeper.stop()
        self._collector.stop()
        self._mender.stop()
        self._workers.stop()
        self._heartbeat.stop()
        self._reloader.stop()
        self._sealing.stop()
        if self._listening:
            self._listening.stop()
        if self._standby:
            self._standby.close()
        self._database.close()

    def learn(self) -> None:
        """Have this process know at once what staff just said about a party; others know it within a second."""
        self._workers.learn()

    def notices(self) -> list[Problem]:
        """Say which partners are away or paused; raises Unavailable."""
        return list(notices(self.rules.current.parties, self.destinations.standings(), now=now(), zone=self.rules.current.zone))

    def ready(self) -> list[Problem]:
        """Say what is not ready; empty when everything is."""
        problems = [*self.rules.problems, *self.trust.registry.problems, *_expired(self.sealer.certificate, now())]
        try:
            self._database.read(lambda tx: tx.rows(PING))
            problems.extend(self._probe.problems())
        except Unavailable as error:
            problems.extend(error.problems)
        return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A database without the rest of a gateway: what commands need that work beside a running server."""

    outbox: SqlOutbox
    queries: Queries
    destinations: Destinations
    mending: Mending
    history: History
    retention: Retention
    holds: Holds
    cipher: Cipher
    ledger: Ledger
    schedule: Callable[[], Schedule]


class Reloader(threading.Thread):
    """Looks once a second whether rule files changed."""

    def __init__(self, rules: Rules, *, watch: Watch, every: float = RELOAD_SECONDS) -> None:
        super().__init__(name="rules", daemon=True)
        self._rules = rules
        self._watch = watch
        self._every = every
        self._stopping = threading.Event()

    def run(self) -> None:
        """Reload until stopped; what does not pass never replaces the set in force."""
        while not self._stopping.wait(self._every):
            try:
                self._rules.reload_if_changed()
            except Exception as error:  # noqa: BLE001  # a defect must not keep every later change from being seen
                self._watch("rules.defect", {"defect": type(error).__name__})

    def stop(self) -> None:
        """Stop looking."""
        self._stopping.set()
        if self.is_alive():
            self.join()


def _expired(own: Certificate, at: datetime) -> list[Problem]:
    values = {"from": own.not_before.isoformat(), "to": own.not_after.isoformat()}
    return [] if own.valid_at(at) else [Problem(text="signature.own-not-valid", path="gateway.cert.pem", values=values)]


def now() -> datetime:
    """Give the present, aware, in UTC."""
    return utc()


def discover() -> dict[str, Adapter]:
    """Load every adapter that is installed, by its entry point's name; raises Unavailable where one cannot be loaded."""
    return {point.name: _loaded(point) for point in entry_points(group=ADAPTERS)}


def _loaded(point: EntryPoint) -> Adapter:
    try:
        adapter: Adapter = point.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        values = {"name": point.name, "place": point.value, "cause": str(error)}
        raise Unavailable(Code.UNAVAILABLE, Problem(text="adapters.broken", path=point.value, values=values)) from error
    return adapter


def load_schemas(settings: Settings) -> Schemas:
    """Load the schemas in force: the installation's own before the shipped ones."""
    return Schemas.load(_present(settings.schema_folder, shipped("xsd")))


def known_parties(settings: Settings) -> tuple[Party, ...]:
    """Read who the parties are, without checking the rules against schemas and adapters; raises RulesInvalid."""
    return _rules(settings).parties


def _rules(settings: Settings) -> RuleSet:
    return load((settings.rule_folder, shipped("routing_rules")))


def load_rules(settings: Settings, schemas: Schemas, adapters: Mapping[str, Adapter]) -> Rules:
    """Load the rules in force and check them against schemas and adapters; raises RulesInvalid."""
    return Rules((settings.rule_folder, shipped("routing_rules")), schemas=schemas.names(), adapters=frozenset(adapters))


def open_door(rules: Callable[[], RuleSet], adapters: Mapping[str, Adapter], *, sign: Callable[[bytes], bytes]) -> VnswDoor:
    """Open the VNSW door in every dialect: the field's, and those that adapters bring."""
    brought = tuple(dialect for adapter in adapters.values() for dialect in getattr(adapter, "dialects", ()))
    return VnswDoor(DIALECTS + brought, rules=rules, zone=rules().zone, sign=sign)


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
            mending=_mending(settings, database, payloads, ways=ways_of(cache(lambda: _rules(settings)), cache(discover))),
            history=History(database, payloads),
            retention=Retention(database, payloads, entropy=os.urandom),
            holds=Holds(database, entropy=os.urandom, known=known_to(cache(lambda: _rules(settings)))),
            cipher=payloads.cipher,
            ledger=Ledger(database, clock=now),
            schedule=lambda: schedule(settings),
        )
    finally:
        database.close()


def schedule(settings: Settings) -> Schedule:
    """Read which periods hold for which messages; raises RulesInvalid."""
    return schedule_of(_rules(settings))


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
    trust = Trust(settings.pki)
    key = trust.own_key()
    sealer = EnvelopeSealer(key)
    upgrade(settings.database)
    database = open_database(settings.database)
    entropy = Randomness()
    payloads = Payloads(cipher=FileCipher(settings.home / "keys", entropy=entropy))
    attachments = keep_attachments(settings, database, payloads.cipher, entropy=entropy)
    standby = StandbyFirst(open_standby(settings.database_read_url), database) if settings.database_read_url else None
    ledger = Ledger(database, clock=now)
    bell = Bell()
    listening = Listening(settings.database, bell.ring) if database.kind == "postgresql" else None
    wake = _waking(bell.ring, listening)
    outbox = SqlOutbox(database, payloads, clock=now, entropy=entropy, wake=wake)
    circuits, destinations = Circuits(), Destinations(database, clock=now, wake=wake)
    prover = Prover(trust, now, rules.current.zone)
    judge = Judge(schemas)
    orders = Bell()
    mending = _mending(settings, database, payloads, ways=ways_of(lambda: rules.current, lambda: adapters), wake=wake, begin=orders.ring)
    delivery = Delivery(
        outbox=outbox, adapters=adapters, rules=lambda: rules.current, sealer=sealer, transport=_transport(settings, attachments.read),
        prover=prover, clock=now, watch=telemetry,
    )  # fmt: skip
    heartbeat = Heartbeat(outbox, watch=telemetry)
    workers = Workers(
        bell=bell, carry=heartbeat.carrying(delivery.carry), outbox=outbox, circuits=circuits,
        parties=lambda: [p for p in rules.current.parties if p.adapter and not p.collects], clock=now, watch=telemetry,
        threads=settings.threads, exchange=destinations.exchange,
    )  # fmt: skip
    intake = Intake(
        prover=prover, judge=judge, rules=lambda: rules.current, outbox=outbox, clock=now, entropy=entropy, watch=telemetry,
        carries=lambda party: party.collects or (party.adapter in adapters and adapters[party.adapter].profile.attachments),
    )  # fmt: skip
    return Hub(
        settings=settings,
        intake=intake,
        mailboxes=Collect(outbox=outbox, adapters=adapters, rules=lambda: rules.current, sealer=sealer, clock=now, watch=telemetry),
        outbox=outbox,
        queries=Queries(standby or database, payloads.unlock),
        rules=rules,
        schemas=schemas,
        judge=judge,
        prover=prover,
        trust=trust,
        sealer=sealer,
        doors={"vnsw": open_door(lambda: rules.current, adapters, sign=sealer.sign_document)},
        adapters=adapters,
        destinations=destinations,
        entropy=entropy,
        metrics=telemetry.registry,
        watch=telemetry,
        mending=mending,
        history=History(database, payloads),
        attachments=attachments,
        _database=database,
        _probe=Probe(database, entropy=entropy),
        _standby=standby,
        _listening=listening,
        _heartbeat=heartbeat,
        _workers=workers,
        holds=Holds(database, entropy=entropy, known=known_to(lambda: rules.current)),
        _mender=Mender(mending, bell=orders, watch=telemetry),
        _housekeeper=_housekeeping(settings, Retention(database, payloads, entropy=entropy), rules=lambda: rules.current, watch=telemetry),
        _reloader=Reloader(rules, watch=telemetry),
        _collector=Collector(attachments, watch=telemetry),
        ledger=ledger,
        _sealing=Sealing(ledger, key, watch=telemetry),
    )


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


def _waking(ring: Callable[[], None], listening: Listening | None) -> Callable[[], None]:
    """Wake a worker here, and on PostgreSQL those of other processes."""
    if listening is None:
        return ring

    def wake() -> None:
        ring()
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
    """Open the stores of attachments; new ones go where the settings say. Raises Unavailable where that cannot be."""
    chosen = settings.attachments.partition(":")[0] or ("folder" if database.kind == "sqlite" else "database")
    if chosen == "folder" and database.kind != "sqlite" and not settings.attachments_shared:
        raise Unavailable(Code.RULES, Problem(text="attachments.not-shared", path="NSW_ATTACHMENTS"))
    folder = settings.home / "attachments"
    stores: dict[str, ChunkStore] = {"database": RowStore(database)}
    if chosen == "folder" or folder.is_dir():
        stores["folder"] = FolderStore(folder)
    if chosen == "s3":
        stores["s3"] = _storage(settings)
    return Attachments(database, cipher, stores=[stores.pop(chosen), *stores.values()], entropy=entropy)


def _storage(settings: Settings) -> ObjectStore:
    """Reach S3-compatible storage with its keys; raises Unavailable where the settings do not say how."""
    try:
        lines = settings.s3_credentials.read_text("utf-8").splitlines() if settings.s3_credentials else []
    except (OSError, UnicodeError):
        lines = []
    access_key, secret_key = lines if len(lines) == 2 else (settings.s3_access_key, settings.s3_secret_key)  # noqa: PLR2004  # two lines
    if not (settings.s3_endpoint and access_key and secret_key):
        raise Unavailable(Code.RULES, Problem(text="attachments.no-keys", path="NSW_S3_ENDPOINT, NSW_S3_CREDENTIALS"))
    signing = Signing(region=settings.s3_region, access_key=access_key, secret_key=secret_key)
    transport = HttpTransport(signing=signing, ca_file=settings.outgoing_ca)
    bucket, _, prefix = settings.attachments.removeprefix("s3://").partition("/")
    return ObjectStore(
        lambda request: transport.send(request, timeout=STORAGE_PATIENCE), bucket=f"{settings.s3_endpoint}/{bucket}", prefix=prefix
    )


def _transport(settings: Settings, read: ReadContent) -> HttpTransport:
    """Reach partners with the gateway's own certificate."""
    certificate, key = settings.pki / "gateway.cert.pem", settings.pki / "gateway.key.pem"
    return HttpTransport(client_certificate=certificate, client_key=key, ca_file=settings.outgoing_ca, read=read)


def _present(*folders: Path) -> tuple[Path, ...]:
    return tuple(folder for folder in folders if folder.is_dir())
