"""Statements as the drivers get them."""

import pytest
from sqlalchemy import column, insert, select, table
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.sql.expression import bindparam

from gateway.store.statements import compiled

T = table("t", column("a"), column("b"))


def test_values_are_ordered_as_the_statement_names_them() -> None:
    sql, in_order = compiled(insert(T).values(b=bindparam("second"), a=bindparam("first")), SQLiteDialect_pysqlite, "qmark")

    assert sql.count("?") == 2
    assert dict(zip(("a", "b") if sql.index("a") < sql.index("b") else ("b", "a"), in_order({"first": 1, "second": 2}), strict=True)) == {
        "a": 1,
        "b": 2,
    }


def test_a_statement_may_carry_values_of_its_own() -> None:
    _, in_order = compiled(select(T.c.a).where(T.c.a == bindparam("asked"), T.c.b == "kept"), SQLiteDialect_pysqlite, "qmark")

    assert in_order({"asked": 7}) == (7, "kept")


def test_a_value_that_is_missing_is_never_taken_for_null() -> None:
    _, in_order = compiled(insert(T).values(a=bindparam("first"), b=bindparam("second")), SQLiteDialect_pysqlite, "qmark")

    with pytest.raises(KeyError, match="second"):
        in_order({"first": 1})
