"""What is installed, as commands load it."""

from importlib.metadata import EntryPoint

import pytest

from gateway import installed
from gateway.errors import Unavailable


def test_adapter_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint(name="sea", value="adapters.no_such_agency:ADAPTER", group=installed.ADAPTERS)
    monkeypatch.setattr(installed, "entry_points", lambda **_: [broken])

    with pytest.raises(Unavailable) as refused:
        installed.discover()

    assert (refused.value.problems[0].text, refused.value.problems[0].values["name"]) == ("adapters.broken", "sea")
