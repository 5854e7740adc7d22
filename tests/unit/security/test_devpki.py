"""The development PKI: complete, private, repeatable."""

import os
import runpy
import stat
import sys
from pathlib import Path

import pytest

from gateway.security import devpki
from gateway.security.keys import load_key
from gateway.security.trust import Trust
from gateway.testing.signing import NOW


def test_every_party_gets_a_key_that_its_registered_certificate_fits(tmp_path: Path) -> None:
    devpki.generate(tmp_path, now=NOW, parties=("NSW", "BNN"))

    for code in ("NSW", "BNN"):
        key = load_key(tmp_path / "keys" / f"{code}.key.pem", tmp_path / "parties" / f"{code}.pem")
        assert Trust(tmp_path).owners(key.certificates[0]) == {code}
    assert load_key(tmp_path / "gateway.key.pem", tmp_path / "gateway.cert.pem").certificates[0].subject


def test_declarant_leads_to_the_anchor_and_has_a_tax_code(tmp_path: Path) -> None:
    devpki.generate(tmp_path, now=NOW)

    person = load_key(tmp_path / "person" / "declarant.key.pem", tmp_path / "person" / "declarant.cert.pem")

    assert person.certificates[0].tax_code == devpki.TAX_CODE
    assert len(Trust(tmp_path).anchors("person").path(person.certificates[0], (), at=NOW)) == 2


def test_second_run_keeps_what_is_there_and_adds_what_is_missing(tmp_path: Path) -> None:
    devpki.generate(tmp_path, now=NOW, parties=("NSW",))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.pem")}

    devpki.generate(tmp_path, now=NOW, parties=("NSW", "HQ"))

    assert {p: p.read_bytes() for p in before} == before
    assert (tmp_path / "parties" / "HQ.pem").exists()


def test_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    devpki.generate(tmp_path / "pki", now=NOW)

    files = [p for p in (tmp_path / "pki").rglob("*") if p.is_file()]
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700


def test_script_writes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).parents[3] / "certs" / "generate"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path / "pki"), "NSW"])

    runpy.run_path(str(script), run_name="__main__")

    assert (tmp_path / "pki" / "parties" / "NSW.pem").exists()
    assert os.access(script, os.X_OK)
