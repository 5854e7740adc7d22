import signal
from pathlib import Path

import pytest

from gateway.testing.client import ask
from gateway.testing.gateway import SimulatedAgency
from gateway.testing.process import NotReadyError, Process

WAITING = "import signal; print('ready http://here', flush=True); signal.pause()"


def program(source: str, folder: Path, **environment: str) -> Process:
    return Process(["-c", source], log=folder / "log" / "program.log", environment=environment)


def test_a_program_is_started_when_it_says_so(tmp_path: Path) -> None:
    one = program(WAITING, tmp_path)

    assert one.start() == "http://here"
    assert one.running
    one.kill()
    assert not one.running


def test_stopping_asks_first(tmp_path: Path) -> None:
    obedient = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('ready x', flush=True); signal.pause()"
    one = program(obedient, tmp_path)
    one.start()

    assert one.stop() == 7


def test_killing_asks_nobody(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready x', flush=True); signal.pause()"
    one = program(deaf, tmp_path)
    one.start()
    one.kill()

    assert one.stop() == -signal.SIGKILL


def test_a_program_that_ends_is_not_ready_and_its_log_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="no such setting"):
        program("import sys; sys.exit('no such setting')", tmp_path).start()


def test_a_program_that_ends_says_its_own_cause_first_and_no_events(tmp_path: Path) -> None:
    for cause in ("an older cause", "the disk is full"):
        with pytest.raises(NotReadyError) as failed:
            program(f"import sys; sys.stderr.write('{{\"event\": 1}}\\n'); sys.exit('{cause}')", tmp_path).start()

    assert str(failed.value).startswith("the disk is full\n(")
    assert "an older cause" not in str(failed.value)


def test_a_program_that_stays_silent_is_not_ready_and_killed(tmp_path: Path) -> None:
    one = program("import signal; signal.pause()", tmp_path)

    with pytest.raises(NotReadyError):
        one.start(within=0.3)
    assert not one.running


def test_a_program_sees_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_HOME", "/elsewhere")
    one = program("import os; print('ready', os.environ.get('NSW_HOME'), os.environ['OWN'], flush=True)", tmp_path, OWN="yes")

    assert one.start() == "None yes"
    one.stop()


def test_an_agency_keeps_port_and_journal_over_a_restart(tmp_path: Path) -> None:
    with SimulatedAgency("customs", tmp_path) as agency:
        first = agency.url
        ask(first + "/ws", method="POST", body=b"<a/>")
        agency.stop()
        agency.start()

        assert agency.url == first
        assert len(agency.report()["arrivals"]) == 1


def test_an_agency_refuses_a_mode_there_is_none_of(tmp_path: Path) -> None:
    with SimulatedAgency("customs", tmp_path) as agency:
        with pytest.raises(ValueError, match="sideways"):
            agency.control("sideways")

        agency.control("slow", delay_ms=5)
        assert agency.report()["mode"] == "slow"


def test_an_unknown_agency_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="there are agriculture, customs"):
        SimulatedAgency("nobody", tmp_path).start()
