from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Call = Callable[..., Any]


def test_metrics_hold_what_was_counted_and_what_is_stored(call: Call) -> None:
    answer = call("GET", "/metrics")

    families = list(text_string_to_metric_families(answer.body.decode()))
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert samples["nsw_events_total", (("event", "message.accepted"),)] == 1
    assert samples["nsw_messages_total", (("state", "refused"),)] == 2
    assert samples["nsw_deliveries", (("party", "BNN"), ("state", "delivered"))] == 6
    assert samples["nsw_deliveries", (("party", 'ODD"\n'), ("state", "dead"))] == 1
    assert samples["nsw_oldest_due_seconds", ()] == 90


def test_metrics_tell_what_waits_in_each_mailbox(call: Call) -> None:
    families = text_string_to_metric_families(call("GET", "/metrics").body.decode())

    found = {s.name: (s.labels, s.value) for family in families for s in family.samples if s.name.startswith("nsw_mailbox")}
    assert found == {"nsw_mailbox_waiting": ({"party": "PORT"}, 4), "nsw_mailbox_oldest_seconds": ({"party": "PORT"}, 300)}


def test_metrics_tell_which_partners_are_away_and_what_waits_for_them(call: Call) -> None:
    families = text_string_to_metric_families(call("GET", "/metrics").body.decode())

    found = {s.name: (s.labels, s.value) for family in families for s in family.samples if s.labels.get("party") == "BNN"}
    assert found["nsw_circuit_open"] == ({"party": "BNN"}, 1)
    assert found["nsw_paused"] == ({"party": "BNN"}, 0)
    assert found["nsw_party_oldest_due_seconds"] == ({"party": "BNN"}, 90)


def test_metrics_tell_how_long_no_head_has_reached_a_place(call: Call) -> None:
    families = text_string_to_metric_families(call("GET", "/metrics").body.decode())

    found = {s.name: (s.labels, s.value) for family in families for s in family.samples if s.name == "nsw_unpublished_seconds"}
    assert found == {"nsw_unpublished_seconds": ({"place": "witness"}, 40)}


def test_metrics_tell_how_long_a_time_stamp_is_missing(call: Call) -> None:
    families = text_string_to_metric_families(call("GET", "/metrics").body.decode())

    assert {s.value for family in families for s in family.samples if s.name == "nsw_unstamped_seconds"} == {40}


def test_metrics_tell_how_long_a_party_may_send_unsigned(call: Call) -> None:
    families = text_string_to_metric_families(call("GET", "/metrics").body.decode())

    found = [(s.labels, s.value) for family in families for s in family.samples if s.name == "nsw_exception_days"]
    assert found == [({"party": "PORT", "what": "none"}, 20)]
