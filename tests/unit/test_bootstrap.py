import os
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from gateway.bootstrap import build, hold, keep_attachments, open_store
from gateway.config import Settings
from gateway.errors import GatewayError, NotProven, Unavailable
from gateway.installed import discover, load_rules, load_schemas
from gateway.ports import Database
from gateway.security.cipher import FileCipher
from gateway.security.devpki import generate
from gateway.security.registry import CertificateFiles, to_pem
from gateway.security.statuses import Statuses
from gateway.store.migrate import upgrade
from gateway.testing.revoking import revoking
from gateway.web.clients import owner_of


@pytest.fixture
def chosen(tmp_path: Path) -> Settings:
    generate(tmp_path / "pki", now=datetime.now(UTC))
    return Settings(home=tmp_path)


def test_every_adapter_is_found_by_its_entry_point() -> None:
    found = discover()

    assert {"agriculture", "customs", "ephyto_hub", "portal"} <= set(found)
    assert all(name == adapter.profile.name for name, adapter in found.items())


def test_the_shipped_rules_pass_against_the_shipped_schemas_and_adapters(chosen: Settings) -> None:
    rules = load_rules(chosen, load_schemas(chosen), discover())

    assert rules.problems == ()


def test_rules_that_name_an_adapter_nobody_has_do_not_pass(chosen: Settings) -> None:
    with pytest.raises(GatewayError) as refused:
        load_rules(chosen, load_schemas(chosen), {})

    assert {problem.text for problem in refused.value.problems} == {"routing.adapter-unknown"}


def test_one_process_holds_a_database_by_whatever_name_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    lock = hold(Settings(home=tmp_path / "real"))
    assert lock

    with pytest.raises(Unavailable):
        hold(Settings(home=tmp_path / "link"))

    lock.release()


def test_a_store_that_is_not_there_is_refused_and_not_made(chosen: Settings) -> None:
    with pytest.raises(Unavailable) as refused, open_store(chosen):
        pass

    assert refused.value.problems[0].text == "store.absent"
    assert not (chosen.home / "gateway.db").exists()


def test_a_store_opens_beside_a_gateway(chosen: Settings) -> None:
    upgrade(chosen.database)

    with open_store(chosen) as store:
        assert store.queries.counts().oldest_due is None
        assert store.queries.messages().items == ()


def test_a_gateway_without_its_key_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        build(Settings(home=tmp_path))


def test_a_gateway_is_ready_starts_and_stops(chosen: Settings) -> None:
    hub = build(chosen)

    hub.start()

    assert hub.ready() == []
    assert hub.clock().tzinfo is UTC
    assert hub.new_id() != hub.new_id()
    hub.stop()
    assert [problem.text for problem in hub.ready()] == ["store.away"]


def test_what_is_not_ready_is_named(chosen: Settings) -> None:
    hub = build(chosen)
    (chosen.pki / "parties" / "BAD.pem").write_text("no certificate", "ascii")
    (chosen.home / "rules").mkdir()
    (chosen.home / "rules" / "endpoints.toml").write_text("[endpoints", "utf-8")
    hub.rules.reload_if_changed()

    problems = hub.ready()

    assert {problem.text for problem in problems} == {"routing.not-toml", "signature.certificate-file"}
    hub.stop()


def test_a_gateway_whose_own_certificate_expired_says_so(tmp_path: Path) -> None:
    generate(tmp_path / "pki", now=datetime(2006, 11, 22, tzinfo=UTC))
    hub = build(Settings(home=tmp_path))

    assert [problem.text for problem in hub.ready()] == ["signature.own-not-valid"]
    hub.stop()


def test_revocation_of_a_registered_certificate_is_known_before_it_is_used(chosen: Settings, tmp_path: Path) -> None:
    at = datetime.now(UTC)
    with revoking(tmp_path / "ca", now=at) as server:
        [certificate] = server.issue("client", now=at).certificates
        files = CertificateFiles(chosen.pki)
        files.add_anchor("party", server.authority.certificate, at=at)
        (chosen.pki / "parties" / "BNN.pem").write_text(to_pem(certificate), "ascii")
        server.revoke(certificate, now=at)
        hub = build(chosen)

        next(each for each in hub._first if isinstance(each, Statuses)).refresh()  # what its thread does first

        with pytest.raises(NotProven):
            owner_of(certificate.sha256, hub.trust.registry, hub.rules.current, at=hub.clock())
        hub.stop()


class Shared:
    """What keep_attachments asks of a database that several machines have."""

    kind = "postgresql"


def test_folder_that_nobody_calls_shared_is_refused_beside_a_shared_database(tmp_path: Path) -> None:
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)

    with pytest.raises(Unavailable) as refused:
        keep_attachments(Settings(home=tmp_path, attachments="folder"), cast("Database", Shared()), cipher, entropy=os.urandom)

    assert refused.value.problems[0].text == "attachments.not-shared"
    shared = Settings(home=tmp_path, attachments="folder", attachments_shared=True)
    assert keep_attachments(shared, cast("Database", Shared()), cipher, entropy=os.urandom).into.name == "folder"


@pytest.mark.parametrize(("kind", "place"), [("sqlite", "folder"), ("postgresql", "database")])
def test_attachments_lie_where_the_database_lets_them(tmp_path: Path, kind: str, place: str) -> None:
    cipher, database = FileCipher(tmp_path / "keys", entropy=os.urandom), Shared()
    database.kind = kind

    keeping = keep_attachments(Settings(home=tmp_path), cast("Database", database), cipher, entropy=os.urandom)

    assert keeping.into.name == place
    assert (tmp_path / "attachments").exists() is (place == "folder")


@pytest.mark.parametrize(("places", "found"), [("s3://b-1/x/y", "s3 database"), ("database s3://b-1/x/y", "database s3")])
def test_storage_that_was_left_is_still_read(tmp_path: Path, places: str, found: str) -> None:
    credentials = tmp_path / "s3.keys"
    credentials.write_text("a\nb\n", "ascii")
    chosen = Settings(home=tmp_path, attachments=places, s3_endpoint="http://127.0.0.1:1", s3_credentials=credentials)
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)

    keeping = keep_attachments(chosen, cast("Database", Shared()), cipher, entropy=os.urandom)

    assert " ".join(keeping._stores) == found
    assert keeping.into.name == found.split(maxsplit=1)[0]


@pytest.mark.parametrize("content", [None, "", "one line\n", "a\nb\nc\n", b"\xff\xfe"])
def test_storage_without_its_keys_is_refused(tmp_path: Path, content: str | bytes | None) -> None:
    credentials = tmp_path / "s3.keys"
    if content is not None:
        credentials.write_bytes(content if isinstance(content, bytes) else content.encode())
    chosen = Settings(home=tmp_path, attachments="s3://bucket/att", s3_endpoint="http://127.0.0.1:1", s3_credentials=credentials)
    cipher = FileCipher(tmp_path / "keys", entropy=os.urandom)

    with pytest.raises(Unavailable) as refused:
        keep_attachments(chosen, cast("Database", Shared()), cipher, entropy=os.urandom)

    assert refused.value.problems[0].text == "attachments.no-keys"
