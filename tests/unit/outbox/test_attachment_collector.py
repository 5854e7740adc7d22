from collections.abc import Mapping
from typing import cast

import pytest

from gateway.outbox.attachments import collecting
from gateway.outbox.attachments.collecting import Collected, tidy
from gateway.outbox.attachments.keeping import Attachments


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Collected(), []),
        (Collected(removed=1), [("attachments.collected", {"removed": 1, "failed": 0})]),
        (Collected(failed=2), [("attachments.collected", {"removed": 0, "failed": 2})]),
    ],
)
def test_a_run_is_told_of_where_it_found_something(monkeypatch: pytest.MonkeyPatch, found: Collected, told: list[object]) -> None:
    events = list[tuple[str, Mapping[str, object]]]()
    monkeypatch.setattr(collecting, "collect", lambda _keeping: found)

    tidy(cast("Attachments", None), lambda event, fields: events.append((event, fields)))

    assert events == told
