import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from threading import Barrier, Event, Thread
from typing import Any

import pytest

from gateway.model import Reply
from gateway.testing.client import post
from gateway.testing.journal import Mark, SimReply, SimRequest
from gateway.testing.simulator import GARBAGE, RunningSimulator, SimContext, Simulator

HEADERS = {"content-type": "text/plain"}


def by_header(request: SimRequest) -> Mark:
    return Mark(id=request.headers.get("x-id", ""), about=request.body.decode())


def echo(request: SimRequest, _context: SimContext) -> SimReply:
    return SimReply(body=b"got " + request.body, effect=request.body != b"refuse")


ECHO = Simulator("echo", echo, mark=by_header)


def send(agency: RunningSimulator, body: bytes, message_id: str = "") -> Reply:
    return post(agency.url + "/service", body, HEADERS | {"x-id": message_id}, timeout=5)


def get(agency: RunningSimulator, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(agency.url.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def report(agency: RunningSimulator) -> Any:
    return json.loads(get(agency, "/_arrivals")[1])


def order(agency: RunningSimulator, **values: object) -> Reply:
    return post(agency.url + "/_control", json.dumps(values).encode(), HEADERS, timeout=5)


def test_up_answers_and_journals_the_arrival() -> None:
    with ECHO.start() as agency:
        reply = send(agency, b"one", "1")

        assert (reply.status, reply.body) == (200, b"got one")
        assert [arrival["id"] for arrival in report(agency)["arrivals"]] == ["1"]
        assert report(agency)["effects"] == ["1"]


def test_a_repeat_gets_the_first_answer_and_no_second_effect() -> None:
    with ECHO.start() as agency:
        first = send(agency, b"one", "1")
        second = send(agency, b"other", "1")

        assert second.body == first.body
        assert len(report(agency)["arrivals"]) == 2
        assert report(agency)["effects"] == ["1"]
        assert report(agency)["repeats"] == {"1": 1}


def test_the_same_content_under_a_second_id_is_reported() -> None:
    with ECHO.start() as agency:
        send(agency, b"one", "1")
        send(agency, b"one", "2")

        assert report(agency)["second_ids"] == ["2"]


def test_a_message_without_id_is_an_arrival_only() -> None:
    with ECHO.start() as agency:
        send(agency, b"question")

        assert len(report(agency)["arrivals"]) == 1
        assert report(agency)["effects"] == []


def test_a_refused_message_may_come_again() -> None:
    with ECHO.start() as agency:
        send(agency, b"refuse", "1")
        reply = send(agency, b"good", "1")

        assert reply.body == b"got good"
        assert report(agency)["effects"] == ["1"]


def test_two_copies_at_the_same_moment_are_one_effect() -> None:
    ready = Barrier(8)

    def rush(agency: RunningSimulator) -> None:
        ready.wait()
        send(agency, b"one", "1")

    with ECHO.start() as agency:
        threads = [Thread(target=rush, args=(agency,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(report(agency)["arrivals"]) == 8
        assert report(agency)["effects"] == ["1"]


def test_down_resets_the_connection_and_reads_nothing() -> None:
    with ECHO.start() as agency:
        order(agency, mode="down")

        with pytest.raises(ConnectionError):
            send(agency, b"one", "1")
        assert report(agency)["arrivals"] == []
        assert report(agency)["mode"] == "down"


def test_up_again_takes_what_was_turned_away() -> None:
    with ECHO.start() as agency:
        order(agency, mode="down")
        with pytest.raises(ConnectionError):
            send(agency, b"one", "1")
        order(agency, mode="up")

        assert send(agency, b"one", "1").body == b"got one"


def test_slow_takes_effect_before_it_answers() -> None:
    with ECHO.start() as agency:
        order(agency, mode="slow", delay_ms=60_000)

        with pytest.raises(TimeoutError):
            post(agency.url, b"one", HEADERS | {"x-id": "1"}, timeout=0.2)
        assert report(agency)["effects"] == ["1"]


def test_wrong_answers_garbage_without_effect() -> None:
    with ECHO.start() as agency:
        order(agency, mode="wrong")
        reply = send(agency, b"one", "1")

        assert (reply.status, reply.body) == (200, GARBAGE)
        assert [arrival["mode"] for arrival in report(agency)["arrivals"]] == ["wrong"]
        assert report(agency)["effects"] == []


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"up"', b'{"mode": "sideways"}', b'{"mode": "slow", "delay_ms": "long"}', b'{"delay_ms": -1}']
)
def test_an_unreadable_order_is_refused(body: bytes) -> None:
    with ECHO.start() as agency:
        reply = post(agency.url + "/_control", body, HEADERS, timeout=5)

        assert reply.status == 400
        assert agency.mode == "up"


def test_an_act_is_done_when_it_is_told_to() -> None:
    def greet(order: Mapping[str, object], context: SimContext) -> Mapping[str, object]:
        if "name" not in order:
            raise ValueError("whom?")
        return {"said": f"{order['name']} at {context.gateway}"}

    with Simulator("polite", echo, acts={"greet": greet}).start() as agency:
        order(agency, gateway="http://127.0.0.1:1/")

        done = post(agency.url + "/_do/greet", b'{"name": "An"}', HEADERS, timeout=5)
        refused = post(agency.url + "/_do/greet", b"{}", HEADERS, timeout=5)
        unknown = post(agency.url + "/_do/other", b"{}", HEADERS, timeout=5)

        assert (done.status, json.loads(done.body)) == (200, {"said": "An at http://127.0.0.1:1"})
        assert (refused.status, json.loads(refused.body)) == (400, {"refused": "whom?"})
        assert unknown.status == 404


def test_an_effect_can_be_fetched_as_it_arrived() -> None:
    with ECHO.start() as agency:
        send(agency, b"one", "urn:uuid:1")

        assert get(agency, "/_effects/urn%3Auuid%3A1") == (200, b"one")
        assert get(agency, "/_effects/unknown")[0] == 404


def test_a_restart_remembers_arrivals_and_answers(tmp_path: Path) -> None:
    with ECHO.start(folder=tmp_path) as agency:
        first = send(agency, b"one", "1")
    with ECHO.start(folder=tmp_path) as agency:
        second = send(agency, b"changed", "1")

        assert second.body == first.body
        assert len(report(agency)["arrivals"]) == 2
        assert report(agency)["effects"] == ["1"]


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    with ECHO.start(folder=tmp_path) as agency:
        send(agency, b"one", "1")
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"kind": "arri')
    with ECHO.start(folder=tmp_path) as agency:
        send(agency, b"two", "2")
    with ECHO.start(folder=tmp_path) as agency:
        assert report(agency)["effects"] == ["1", "2"]


def test_a_follow_up_runs_once_for_a_new_message(tmp_path: Path) -> None:
    seen: list[bytes] = []
    ran = Event()

    def follow(request: SimRequest, _context: SimContext) -> bool:
        seen.append(request.body)
        ran.set()
        return True

    follower = Simulator("follower", echo, mark=by_header, after=follow)
    with follower.start(folder=tmp_path) as agency:
        send(agency, b"one", "1")
        send(agency, b"one", "1")
        assert ran.wait(5)
    with follower.start(folder=tmp_path):
        pass

    assert seen == [b"one"]


def test_an_unfinished_follow_up_is_taken_up_after_a_restart(tmp_path: Path) -> None:
    seen: list[bytes] = []
    ran = Event()

    def unfinished(request: SimRequest, _context: SimContext) -> bool:
        seen.append(request.body)
        ran.set()
        return len(seen) > 1

    follower = Simulator("follower", echo, mark=by_header, after=unfinished)
    with follower.start(folder=tmp_path) as agency:
        send(agency, b"one", "1")
        assert ran.wait(5)
        ran.clear()
    with follower.start(folder=tmp_path):
        assert ran.wait(5)

    assert seen == [b"one", b"one"]


def test_a_follow_up_that_breaks_shows_in_the_report() -> None:
    ran = Event()

    def broken(_request: SimRequest, _context: SimContext) -> bool:
        ran.set()
        raise LookupError("no such thing")

    with Simulator("broken", echo, mark=by_header, after=broken).start() as agency:
        send(agency, b"one", "1")
        assert ran.wait(5)
        agency.stop()

        assert [failure["error"] for failure in agency.context.journal.report()["failures"]] == ["LookupError('no such thing')"]  # type: ignore[attr-defined] # a list of lines
