import pytest

from gateway.errors import NotValid
from gateway.outbox.corrections import check_corrections, check_receiver, corrected
from gateway.protocols.vnsw.client import encode
from gateway.protocols.vnsw.dialects import GATEWAY
from gateway.testing import builders
from gateway.xml.envelope import content
from gateway.xml.parse import parse


def test_without_corrections_a_route_stays_itself() -> None:
    route = builders.route()

    assert corrected(route, {}) is route


def test_corrected_header_is_written_and_what_the_sender_wrote_stays() -> None:
    route, message = builders.route(), builders.envelope()

    before = encode(GATEWAY, message, route).body
    after = encode(GATEWAY, message, corrected(route, {"receiver": "MARD", "version": "7"})).body

    assert b"&lt;identity&gt;MARD&lt;/identity&gt;" in after
    assert b"&lt;version&gt;7&lt;/version&gt;" in after
    plain = content(parse(message.document.content))
    assert plain is not None
    assert before.partition(b"&lt;Body&gt;")[2] == after.partition(b"&lt;Body&gt;")[2]


@pytest.mark.parametrize("name", ["content", "signature", "messageId", "reference", "sender", "From"])
def test_what_is_not_the_gateways_own_cannot_be_corrected(name: str) -> None:
    with pytest.raises(NotValid) as refused:
        check_corrections({name: "x"})

    assert refused.value.problems[0].text == "mending.not-ours"


@pytest.mark.parametrize("value", ["", "x" * 51, "a\nb", "a\x00"])
def test_value_out_of_its_form_is_refused(value: str) -> None:
    with pytest.raises(NotValid):
        check_corrections({"version": value})


def test_receiver_is_another_spelling_of_the_same_party() -> None:
    party = builders.party("BNN")

    check_receiver(party.identity.identity, party)
    with pytest.raises(NotValid):
        check_receiver("TCHQ", party)
