"""The ledger tells of each configuration that comes into force, once."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import Code, Problem, Unavailable
from gateway.outbox.configuration import KIND, Configuration
from gateway.ports import Database
from gateway.store.tables import LEDGER

FIRST = {"rules": "2026.1+aa", "trusted": "01"}
OTHER = {"rules": "2026.1+bb", "trusted": "01"}
LEAVES = select(LEDGER.c.leaf).where(LEDGER.c.kind == KIND).order_by(LEDGER.c.id)


def told(database: Database) -> list[dict[str, Any]]:
    rows = database.read(lambda tx: tx.rows(LEAVES))
    return [{name: value for name, value in json.loads(leaf).items() if name not in {"at", "kind"}} for (leaf,) in rows]


def absent(_work: object) -> None:
    raise Unavailable(Code.UNAVAILABLE, Problem(text="store.away"))


def test_each_change_is_told_once(database: Database) -> None:
    states = (FIRST, FIRST, OTHER, OTHER, FIRST)
    configuration = Configuration(database, iter(states).__next__)

    for _ in states:
        configuration.look()

    assert told(database) == [FIRST, OTHER, FIRST]


def test_what_an_earlier_life_or_another_process_told_is_not_told_again(database: Database) -> None:
    Configuration(database, lambda: FIRST).look()
    Configuration(database, lambda: FIRST).look()
    Configuration(database, lambda: {**FIRST, "schemas": "1"}).look()

    assert told(database) == [FIRST, {**FIRST, "schemas": "1"}]


def test_what_could_not_be_told_is_told_at_the_next_look(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = Configuration(database, lambda: FIRST)
    with monkeypatch.context() as away:
        away.setattr(database, "commit", absent)
        with pytest.raises(Unavailable):
            configuration.look()

    configuration.look()

    assert told(database) == [FIRST]
