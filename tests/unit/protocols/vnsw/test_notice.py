from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters.ephyto_hub.adapter import ADAPTER as HUB
from adapters.portal.adapter import ADAPTER as PORTAL
from gateway.errors import NotValid
from gateway.model import MessageId, Party, PartyCode
from gateway.outbox.acts import Undelivered
from gateway.protocols.vnsw.client import read_answer
from gateway.protocols.vnsw.notice import Notices
from gateway.testing import builders
from gateway.xml.header import read_header
from gateway.xml.parse import parse

ZONE = timezone(timedelta(hours=7))
NOW = datetime(2026, 12, 31, 18, 0, tzinfo=UTC)


class Who:
    """Knows a sender and the gateway itself."""

    own = replace(builders.party("VNSW-GW"), adapter="")

    def __init__(self, *parties: Party) -> None:
        self._parties = {party.code: party for party in (self.own, *parties)}

    def party(self, spelling: str) -> Party | None:
        return self._parties.get(PartyCode(spelling))


def undelivered(sender: str = "NSW", reason: str = "Thiếu <giấy phép>") -> Undelivered:
    header = builders.header("10/01")
    return Undelivered(id=MessageId("n-1"), at=NOW, header=header, sender=PartyCode(sender), party=PartyCode("BNN"), reason=reason)


def notices(*parties: Party) -> Notices:
    return Notices(directory=Who(*parties), adapters={"portal": PORTAL, "ephyto_hub": HUB}, zone=ZONE)


def test_notice_is_the_fields_refusal_from_the_gateway_to_the_sender() -> None:
    notice = notices(builders.party("NSW", adapter="portal"))(undelivered())

    about = builders.header("10/01")
    assert read_header(parse(notice.content), zone=ZONE) == replace(notice.header, sent_at=NOW.astimezone(ZONE))
    assert (notice.header.id, notice.header.sender.identity, notice.header.receiver) == ("n-1", "VNSW-GW", about.sender)
    assert notice.header.subject == replace(about.subject, function="00")


def test_notice_says_what_did_not_reach_whom_and_why_whatever_the_words() -> None:
    ((code, words),) = read_answer(notices(builders.party("NSW", adapter="portal"))(undelivered()).content).errors

    assert code == "ERR00_CODE"
    assert all(part in words for part in (builders.header("10/01").id or "?", "BNN", "Thiếu <giấy phép>"))


def test_sender_is_told_in_its_own_language() -> None:
    party = replace(builders.party("NSW", adapter="portal"), languages=("en",))

    ((_, words),) = read_answer(notices(party)(undelivered()).content).errors

    assert "could not be delivered" in words


@pytest.mark.parametrize("party", [builders.party("NSW", adapter=""), builders.party("NSW", adapter="ephyto_hub"), builders.party("TCHQ")])
def test_sender_that_takes_no_envelopes_cannot_be_told(party: Party) -> None:
    with pytest.raises(NotValid) as refused:
        notices(party)(undelivered())

    assert refused.value.problems[0].text == "mending.no-way-back"


def test_gateway_does_not_write_to_itself() -> None:
    with pytest.raises(NotValid):
        notices()(undelivered("VNSW-GW"))
