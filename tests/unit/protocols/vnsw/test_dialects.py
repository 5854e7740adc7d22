from dataclasses import replace

from gateway.protocols.vnsw.dialects import ANY_NS, DIALECTS, MARD, for_party
from gateway.testing import builders


def test_no_two_dialects_ask_with_the_same_element() -> None:
    assert len({(dialect.namespace, dialect.request) for dialect in DIALECTS}) == len(DIALECTS)
    assert len({dialect.name for dialect in DIALECTS}) == len(DIALECTS)


def test_a_dialect_of_any_namespace_clashes_with_no_other() -> None:
    anywhere = {dialect.request for dialect in DIALECTS if dialect.namespace == ANY_NS}

    assert anywhere.isdisjoint(dialect.request for dialect in DIALECTS if dialect.namespace != ANY_NS)


def test_a_party_without_wishes_gets_the_dialect_itself() -> None:
    assert for_party(MARD, builders.party("BNN")) == MARD


def test_a_party_may_rename_what_is_not_public() -> None:
    wishes = {"namespace": "urn:n", "fields_namespace": "", "request": "r", "payload": "p", "holder": "", "action": "urn:a"}

    changed = for_party(MARD, replace(builders.party("BNN"), dialect=wishes))

    assert {name: getattr(changed, name) for name in wishes} == wishes
    assert changed.response == MARD.response
