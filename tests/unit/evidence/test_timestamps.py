"""Time-stamps: OpenSSL's authority is believed in each of its ways, anybody else is not, and the next one is asked."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from gateway.errors import NotProven, Unavailable
from gateway.evidence.timestamps import Authorities, verify_stamp
from gateway.model import Reply, Request
from gateway.testing.authority import StampAuthority, Way
from gateway.transport.http import HttpTransport

DATA = b'{"size":4711}'
BAD: tuple[Way, ...] = ("error", "rubbish", "other", "refusing")


class Local:
    """A transport that asks the authority without a network; counts how often."""

    def __init__(self, authority: StampAuthority, *ways: Way) -> None:
        self.authority, self.ways, self.asked = authority, dict(enumerate(ways)), 0

    def send(self, request: Request, *, timeout: timedelta) -> Reply:
        assert timeout > timedelta(0)
        way = self.ways[self.asked]
        self.asked += 1
        return Reply(status=503 if way == "error" else 200, body=self.authority.in_way(request.body, way))


@pytest.mark.parametrize("way", ["chain", "leaf", "none"])
def test_takes_a_stamp_with_and_without_its_chain(authority: StampAuthority, way: Way) -> None:
    anchors = (*authority.anchors, authority.certificate("stamps")) if way == "none" else authority.anchors
    transport = Local(authority, way)

    stamp = Authorities(["http://a"], transport, lambda: anchors).stamp(DATA)

    assert verify_stamp(stamp.token, DATA, anchors) == stamp.at
    assert abs(datetime.now(UTC) - stamp.at) < timedelta(minutes=1)
    assert stamp.authority == "http://a"


@pytest.mark.parametrize("way", BAD)
def test_asks_the_next_authority_where_one_gives_none(authority: StampAuthority, way: Way) -> None:
    transport = Local(authority, way, "chain")

    stamp = Authorities(["http://a", "http://b"], transport, lambda: authority.anchors).stamp(DATA)

    assert (stamp.authority, transport.asked) == ("http://b", 2)


def test_says_why_each_authority_gave_none(authority: StampAuthority) -> None:
    urls = [f"http://{way}" for way in BAD]

    with pytest.raises(Unavailable) as refused:
        Authorities(urls, Local(authority, *BAD), lambda: authority.anchors).stamp(DATA)

    causes = {p.path: p.values["cause"] for p in refused.value.problems}
    assert causes == {
        "http://error": "stamping.not-answered",
        "http://rubbish": "stamping.unreadable",
        "http://other": "signature.stamp-wrong",
        "http://refusing": "stamping.refused",
    }


def test_refuses_the_answer_to_an_earlier_request(authority: StampAuthority) -> None:
    class Replaying:
        def send(self, request: Request, *, timeout: timedelta) -> Reply:
            assert request.body, timeout
            return Reply(status=200, body=authority.answer(authority.question(DATA)))

    with pytest.raises(Unavailable) as refused:
        Authorities(["http://a"], Replaying(), lambda: authority.anchors).stamp(DATA)

    assert refused.value.problems[0].values["cause"] == "stamping.other-answer"


@pytest.mark.parametrize("names", [(), ("root",), ("signs",)])
def test_believes_no_authority_that_leads_to_no_anchor(authority: StampAuthority, names: tuple[str, ...]) -> None:
    token = Authorities(["http://a"], Local(authority, "leaf"), lambda: authority.anchors).stamp(DATA).token

    with pytest.raises(NotProven):
        verify_stamp(token, DATA, [authority.certificate(name) for name in names])


def test_believes_no_token_with_a_byte_changed(authority: StampAuthority) -> None:
    token = Authorities(["http://a"], Local(authority, "leaf"), lambda: authority.anchors).stamp(DATA).token
    held = 0

    for at in range(0, len(token), 7):
        altered = token[:at] + bytes((token[at] ^ 1,)) + token[at + 1 :]
        try:
            held += verify_stamp(altered, DATA, authority.anchors) is not None
        except NotProven:
            continue

    assert held == 0


@pytest.mark.parametrize("garbage", [b"", b"0", b"\x30\x80", b"\x30\x03\x02\x01\x00", b"\x30" * 70_000])
def test_refuses_what_is_no_token(authority: StampAuthority, garbage: bytes) -> None:
    with pytest.raises(NotProven):
        verify_stamp(garbage, DATA, authority.anchors)


def test_asks_over_http_and_goes_on_where_nobody_listens(authority: StampAuthority) -> None:
    assert set(BAD) < set(get_args(Way))
    with authority.serve("chain") as url, authority.serve("error") as broken:
        stamp = Authorities([broken, "http://127.0.0.1:9/", url], HttpTransport(), lambda: authority.anchors).stamp(DATA)

    assert stamp.authority == url
