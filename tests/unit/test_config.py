from contextlib import nullcontext
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.config import Settings, mistakes
from gateway.errors import explain


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NSW_{name.upper()}", raising=False)


def test_defaults_keep_everything_under_var_and_on_loopback() -> None:
    chosen = Settings()

    assert (chosen.home, chosen.host, chosen.port) == (Path("var"), "127.0.0.1", 8080)
    assert chosen.database == f"sqlite:///{Path('var').absolute()}/gateway.db"
    assert (chosen.rule_folder, chosen.schema_folder, chosen.pki) == (Path("var/rules"), Path("var/schemas"), Path("var/pki"))


def test_everything_follows_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_HOME", str(tmp_path))

    chosen = Settings()

    assert chosen.database == f"sqlite:///{tmp_path}/gateway.db"
    assert (chosen.rule_folder, chosen.schema_folder, chosen.pki) == (tmp_path / "rules", tmp_path / "schemas", tmp_path / "pki")


def test_each_place_can_be_named_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", "sqlite:////elsewhere/g.db")
    monkeypatch.setenv("NSW_RULES", str(tmp_path / "r"))
    monkeypatch.setenv("NSW_SCHEMAS", str(tmp_path / "s"))

    chosen = Settings()

    assert (chosen.database, chosen.rule_folder, chosen.schema_folder) == ("sqlite:////elsewhere/g.db", tmp_path / "r", tmp_path / "s")


def test_every_mistake_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_PORT", "99999")
    monkeypatch.setenv("NSW_THREADS", "none")
    monkeypatch.setenv("NSW_INTAKE_THREADS", "0")

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert {error["loc"][0] for error in refused.value.errors()} == {"port", "threads", "intake_threads"}


def test_settings_of_other_programs_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_OUTSIDE_DATA", "/somewhere")

    assert not hasattr(Settings(), "outside_data")


def test_settings_do_not_change_while_the_program_runs() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "mysql://x/y", "sqlite:///"])
def test_a_database_nobody_speaks_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", url)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert [error["loc"] for error in refused.value.errors()] == [("database_url",)]


@pytest.mark.parametrize(("url", "good"), [("", False), ("sqlite:////tmp/x.db", False), ("postgresql://nsw@a/nsw", True)])
def test_a_standby_of_a_file_is_refused(url: str, *, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_DATABASE_URL", url)
    monkeypatch.setenv("NSW_DATABASE_READ_URL", "postgresql://nsw@b/nsw")

    with nullcontext() if good else pytest.raises(ValidationError, match="NSW_DATABASE_URL"):
        Settings()


@pytest.mark.parametrize("places", ["disk", "s3://", "s3://a-b s3://c-d", "database folder", "database  s3://a-b", "s3://a-b database"])
def test_places_that_attachments_cannot_lie_in_are_refused(places: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_ATTACHMENTS", places)

    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize("name", ["tls_key", "tls_client_ca"])
def test_half_of_tls_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"NSW_{name.upper()}", str(tmp_path / "x.pem"))

    with pytest.raises(ValidationError, match="NSW_TLS_CERTIFICATE"):
        Settings()


def test_heads_go_nowhere_until_places_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().heads_kept == {}

    chosen = {
        "HOME": tmp_path,
        "HEADS_FILE": "/a/f",
        "HEADS_MAIL": "a@b.vn",
        "MAIL_SERVER": "m",
        "MAIL_FROM": "g@b.vn",
        "WITNESS": "LA=http://la",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(f"NSW_{name}", str(value))
    kept = Settings().heads_kept

    assert kept == {"file": Path("/a/f"), "mail": tmp_path / "heads" / "mail.jsonl", "witness": tmp_path / "heads" / "witness-LA.jsonl"}


@pytest.mark.parametrize(
    "value", ["https://la", "LA", "LA=", "=https://la", "LA=ftp://la", "L A=https://la", "../LA=https://la", "LA=https://a,https://b"]
)
def test_a_witness_without_party_or_address_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_WITNESS", value)

    with pytest.raises(ValidationError):
        Settings()


def test_heads_by_mail_need_a_mail_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSW_HEADS_MAIL", "auditor@example.vn")

    with pytest.raises(ValidationError, match="NSW_MAIL_SERVER"):
        Settings()


def test_a_wrong_setting_is_told_of_in_the_language_with_what_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"PORT": "many", "THREADS": "0", "CORES": "some", "MAIL_FROM": "x", "ATTACHMENTS_SHARED": "?", "TLS_KEY": "/k"}
    for name, value in given.items():
        monkeypatch.setenv(f"NSW_{name}", value)

    with pytest.raises(ValidationError) as refused:
        Settings()

    assert {problem.path: explain(problem, "vi") for problem in mistakes(refused.value)} == {
        "NSW_PORT": "Giá trị phải là số nguyên.",
        "NSW_THREADS": "Giá trị phải từ 1 trở lên.",
        "NSW_CORES": "Giá trị phải là một trong: 'one', 'all'.",
        "NSW_MAIL_FROM": "Giá trị không đúng dạng.",
        "NSW_ATTACHMENTS_SHARED": "Giá trị phải là true hoặc false.",
        "NSW_TLS_KEY": "Phải đặt cả NSW_TLS_CERTIFICATE.",
    }
