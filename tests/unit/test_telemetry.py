import io
import json
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from gateway.telemetry import Telemetry, logger


class Gone(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def telemetry(stream: io.StringIO) -> Telemetry:
    return Telemetry(logger(stream))


def test_an_event_is_one_line_of_json(telemetry: Telemetry, stream: io.StringIO) -> None:
    telemetry("message.accepted", {"message": "m-1", "door": "vnsw"})
    telemetry("message.refused", {"message": "m-2", "code": "schema"})

    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["message"], first["door"]) == ("message.accepted", "m-1", "vnsw")
    assert second["timestamp"].endswith("Z")


def test_events_are_counted_by_name_and_code(telemetry: Telemetry) -> None:
    for code in ("schema", "schema", "party"):
        telemetry("message.refused", {"code": code})

    assert value(telemetry.registry, "nsw_events_total", event="message.refused", code="schema") == 2
    assert value(telemetry.registry, "nsw_events_total", event="message.refused", code="party") == 1


def test_how_long_a_story_took_is_measured(telemetry: Telemetry) -> None:
    telemetry("delivery.settled", {"seconds": 0.03})

    assert value(telemetry.registry, "nsw_step_seconds_sum", event="delivery.settled") == pytest.approx(0.03)
    assert value(telemetry.registry, "nsw_step_seconds_bucket", event="delivery.settled", le="0.05") == 1
    assert value(telemetry.registry, "nsw_step_seconds_bucket", event="delivery.settled", le="0.025") == 0


@pytest.mark.parametrize(("proof", "counted"), [("network", 1), ("key", 1), ("signature", 0)])
def test_messages_without_a_signature_are_counted_by_what_proved_them(telemetry: Telemetry, proof: str, counted: int) -> None:
    telemetry("message.accepted", {"proof": proof})

    assert value(telemetry.registry, "nsw_unsigned_accepted_total", channel=proof) == counted


def test_a_refused_message_is_not_counted_as_accepted_without_a_signature(telemetry: Telemetry) -> None:
    telemetry("message.refused", {"proof": "network"})

    assert value(telemetry.registry, "nsw_unsigned_accepted_total", channel="network") == 0


def test_a_log_that_cannot_be_written_is_counted_and_stops_nothing() -> None:
    telemetry = Telemetry(logger(Gone()))

    telemetry("message.accepted", {"message": "m-1"})

    assert value(telemetry.registry, "nsw_events_total", event="log.lost", code="") == 1
    assert value(telemetry.registry, "nsw_events_total", event="message.accepted", code="") == 1


def test_a_log_that_was_closed_stops_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        telemetry = Telemetry(logger(stream))

    telemetry("message.accepted", {"message": "m-1"})

    assert value(telemetry.registry, "nsw_events_total", event="log.lost", code="") == 1
