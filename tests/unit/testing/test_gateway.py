from pathlib import Path

import pytest

from gateway.testing.gateway import OURS, RunningGateway

pytestmark = pytest.mark.slow


def test_a_killed_gateway_comes_back_at_the_same_address(tmp_path: Path) -> None:
    with RunningGateway(tmp_path) as gateway:
        before = (gateway.url, gateway.pid)
        assert gateway.ask("GET", "/health/live").status == 200

        gateway.kill()
        with pytest.raises(OSError, match="refused"):
            gateway.get("/health/live")
        gateway.start()

        assert gateway.url == before[0]
        assert gateway.pid != before[1]
        assert gateway.ask("GET", "/health/live").status == 200


def test_a_stopped_gateway_ends_in_good_order(tmp_path: Path) -> None:
    gateway = RunningGateway(tmp_path)
    gateway.start()

    assert gateway.stop() == 0


def test_endpoints_are_written_as_an_installation_would(tmp_path: Path) -> None:
    gateway = RunningGateway(tmp_path)
    gateway.reach({"BNN": 'http://127.0.0.1:1/a"b'})

    written = (tmp_path / "rules" / "endpoints.toml").read_bytes()
    assert written == OURS + b'[endpoints]\n"BNN" = "http://127.0.0.1:1/a\\"b"\n'
    assert [path.name for path in (tmp_path / "rules").iterdir()] == ["endpoints.toml"]
