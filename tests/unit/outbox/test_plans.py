"""Which index serves the statements that could take a wrong one."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Executable
from sqlalchemy.dialects import sqlite

from gateway.outbox.sql import circuits, configuration, flow, mending
from gateway.store.queries import DELIVERY_FILTERS
from gateway.store.tables import DELIVERIES


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (configuration.LAST_TOLD, "ledger_configurations"),
        (mending.SERVED, "deliveries_by_message"),
        (circuits.CAUSES, "deliveries_due"),
        (flow.DUE, "deliveries_due"),
        (flow.PROBE, "deliveries_due"),
        (flow.HURRY, "deliveries_due"),
        (flow.LOST, "deliveries_leased"),
        (DELIVERIES.select().where(DELIVERY_FILTERS["party"]).order_by(DELIVERIES.c.position.desc()), "deliveries_by_party"),
    ],
)
def test_statement_is_served_by_its_index(sqlite_template: Path, statement: Executable, index: str) -> None:
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="named"))  # type: ignore[attr-defined]
    connection = sqlite3.connect(sqlite_template)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {compiled}", {**dict.fromkeys(compiled.params, 1)}).fetchall()
    connection.close()

    assert f"INDEX {index} " in f"{plan[0][3]} "
    assert not any("TEMP B-TREE" in step[3] for step in plan if index == "deliveries_by_party")
