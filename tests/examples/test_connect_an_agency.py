"""The how-to's agency, connected as the how-to says: an adapter copied from customs, its mapping and simulator from examples/."""

import importlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from gateway.lifecycle import Delivered
from gateway.testing import builders
from gateway.testing.conformance.adapter_suite import CHECKS, Subject
from gateway.transport.http import HttpTransport

ROOT = Path(__file__).parents[2]
NAME = "transport_ministry"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Do step 1 of the how-to, and give the package."""
    folder = tmp_path_factory.mktemp("adapters")
    shutil.copytree(ROOT / "examples" / NAME, folder / NAME, ignore=shutil.ignore_patterns("__pycache__"))
    copied = (ROOT / "adapters" / "customs" / "adapter.py").read_text("utf-8")
    (folder / NAME / "adapter.py").write_text(copied.replace("Customs", "TransportMinistry").replace("customs", NAME), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for module in ("adapter", "simulator"):
            importlib.import_module(f"{NAME}.{module}")
        yield importlib.import_module(NAME)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_copied_adapter_passes_the_adapter_suite(package: ModuleType, check: object) -> None:
    assert callable(check)
    route = builders.route(builders.party("BGTVT", adapter=NAME), endpoint="http://agency.test/ws")

    check(Subject(name=NAME, adapter=package.adapter.ADAPTER, route=route, envelopes=[builders.envelope(k) for k in builders.KINDS]))


def test_the_copied_adapter_reaches_its_simulator(package: ModuleType) -> None:
    adapter = package.adapter.ADAPTER

    with package.simulator.SIMULATOR.start() as agency, HttpTransport() as transport:
        route = builders.route(builders.party("BGTVT", adapter=NAME), endpoint=agency.url + "/ws")
        reply = transport.send(adapter.encode(builders.envelope("21/18"), route), timeout=timedelta(seconds=10))

    assert isinstance(adapter.decode(reply), Delivered)
