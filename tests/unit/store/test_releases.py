"""The release before keeps working on the tables of this one: a rolling upgrade runs both for a while."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from gateway.ports import Database
from gateway.store.engine import open_database
from gateway.store.migrate import PRE, upgrade

RELEASES = Path(__file__).parent / "releases"
Tell = Callable[..., list[tuple[Any, ...]]]

MESSAGE: Mapping[str, object] = {
    "id": "m1", "state": "accepted", "received_at": 1, "door": "vnsw", "channel": "network:127.0.0.1", "path": "/ws", "way": "vnsw 1.1 x",
    "request_digest": b"digest", "repeat_key": "K", "message_key": b"key", "sender": "NSW", "receiver": "BNN", "message_id": "m-1",
    "procedure": "P1", "type": "10", "function": "01", "reference": "R1", "year": "2026", "previous": "", "sha256": "ab",
    "schema": "P11001",
    "slots": "absent,absent", "proof": "signature", "header": "{}", "signers": "[]", "schema_pack": "s", "rule_set": "r",
    "procedure_version": "p", "code": None, "cause": None, "warnings": "[]", "answer_status": 200, "answer_headers": "{}", "keys": "[]",
}  # fmt: skip
DELIVERY: Mapping[str, object] = {
    "id": "d1", "message": "m1", "party": "BNN", "route": "to-BNN", "state": "queued", "open": 1, "due_at": 1, "attempt": 0,
    "reference": "", "cause": "", "dossier": "P1/R1/2026", "created_at": 1, "updated_at": 1,
}  # fmt: skip
ENDED: Mapping[str, object] = {"still_open": None, "due": None, "why": "", "now": 9}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = request.getfixturevalue("empty_postgres_url") if request.param == "postgresql" else f"sqlite:///{tmp_path}/g.db"
    upgrade(url, PRE)
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def tell(database: Database) -> Tell:
    """Send one of the first release's statements."""
    statements = {name: text(sql) for name, sql in tomllib.loads((RELEASES / "0001.toml").read_text("utf-8")).items()}

    def send(name: str, /, **values: object) -> list[tuple[Any, ...]]:
        statement = statements[name]
        if name == "CLAIM" or str(statement).startswith("SELECT"):
            return database.commit(lambda tx: tx.rows(statement, **values))
        assert database.commit(lambda tx: tx.changed(statement, **values)) == 1, name
        return []

    return send


def record(tell: Tell) -> None:
    assert tell("SAME_KEY", key=b"key") == tell("REPEATED", channel="network:127.0.0.1", repeat_key="K") == []
    assert tell("DOSSIER", id="P1/R1/2026") == []
    tell("OPEN_DOSSIER", id="P1/R1/2026", state="1", message="m1", updated_at=1)
    tell("INSERT_MESSAGE", **MESSAGE)
    tell("INSERT_PAYLOAD", message="m1", answer=b"answer", document=b"document", body=b"body")
    tell("INSERT_DELIVERY", **DELIVERY)
    tell("INSERT_KEY", name="certificate", value="C1", message="m1")
    tell("LEAF", at=1, kind="message.accepted", message="m1", delivery=None, leaf="{}")


def claim(tell: Tell) -> None:
    ((position, *_),) = tell("DUE", party="BNN", now=5, limit=10)
    found = tell("CLAIM", at=position, new_token="t1", lease=7, now=5, **{"from": "queued"})  # noqa: S106  # a claim's token
    assert found == [("d1", 1, "to-BNN", "", "queued", "m1")]


def test_first_release_takes_in_and_answers_repeats(tell: Tell) -> None:
    record(tell)

    assert tell("ANSWERED", digest=b"digest") == [("m1", 200, "{}")]
    assert tell("SAME_KEY", key=b"key")[0][0] == "m1"
    assert tell("DELIVERIES_OF", message="m1") == [("d1",)]
    assert (tell("ANSWER", message="m1"), tell("DOCUMENT", message="m1")) == ([(b"answer",)], [(b"document",)])
    assert tell("COUNT_OPEN") == [(1,)]
    tell("MOVE_DOSSIER", key="P1/R1/2026", state="7", message="m1", updated_at=2)


def test_first_release_claims_notes_and_settles(tell: Tell) -> None:
    record(tell)
    claim(tell)

    assert tell("MESSAGE", id="m1")[0][-1] == b"document"
    assert tell("HOLDS", delivery="d1", held="t1") == [(1,)]
    tell("INSERT_ATTEMPT", delivery="d1", token="t1", number=1, noted_at=5, request_sha256="ab", request=b"request")  # noqa: S106  # as above
    tell("SETTLE", delivery="d1", held="t1", to="delivered", partner_reference="P", refund=0, **ENDED)
    tell("INSERT_OUTCOME", delivery="d1", token="t1", settled_at=9, outcome="delivered", code="", reply_status=200, reply=b"ok")  # noqa: S106  # as above
    assert tell("DELIVERY", id="d1") == [("delivered", "m1", "P", "")]


def test_first_release_rescues_hurries_and_moves(tell: Tell) -> None:
    record(tell)
    claim(tell)

    ((position, *_),) = tell("LOST", now=8)
    tell("RESCUE", at=position, held="t1", to="retrying", now=8)
    tell("HURRY", of="BNN", now=8)
    assert [row[1] for row in tell("PROBE", party="BNN", now=8)] == ["d1"]
    tell("MOVE", delivery="d1", to="cancelled", attempts=0, **ENDED, **{"from": "retrying"})
    assert tell("COUNT_OPEN") == [(0,)]
