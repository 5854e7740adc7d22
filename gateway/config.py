"""What an installation can set: read once from the environment, every mistake reported together."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import AliasChoices, Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from .cores import Cores
from .errors import Problem
from .outbox.orders import FourEyes

_WANTED = {  # a fault as the library names it: our text, and which of its values that tells
    "int_parsing": ("settings.integer", ""),
    "int_from_float": ("settings.integer", ""),
    "float_parsing": ("settings.number", ""),
    "bool_parsing": ("settings.boolean", ""),
    "greater_than_equal": ("settings.at-least", "ge"),
    "less_than_equal": ("settings.at-most", "le"),
    "enum": ("settings.choice", "expected"),
    "value_error": ("settings.needs", "error"),  # by the validators below
}
_STORAGE = r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._-]+)*"


class Settings(BaseSettings):
    """The settings of one process; each is an environment variable with the prefix NSW_."""

    model_config = SettingsConfigDict(env_prefix="NSW_", frozen=True, extra="ignore")

    home: Path = Field(default=Path("var"), description="where the state lives: database, keys, development PKI, logs")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    database_url: str = Field(
        default="",
        pattern=r"^(sqlite:///.+|postgresql://.+)?$",
        description="sqlite:///PATH, or postgresql://USER@HOST/DATABASE with any of libpq's parameters; default: gateway.db under NSW_HOME",
    )
    database_read_url: str = Field(
        default="",
        pattern=r"^(postgresql://.+)?$",
        description="a standby of that PostgreSQL, which search and counts then ask; default: they ask the database itself",
    )
    rules: Path | None = Field(
        default=None, description="folder whose files override the shipped rules one by one; default: NSW_HOME/rules"
    )
    schemas: Path | None = Field(default=None, description="folder whose files override the shipped schemas; default: NSW_HOME/schemas")
    api_keys: Path | None = Field(default=None, description="file of hashed API keys; without it the gateway binds to loopback only")
    public_url: str = Field(default="", description="the address partners use, as written into WSDLs; default: the request's Host")
    tls_certificate: Path | None = Field(default=None, description="PEM certificate chain to serve HTTPS with")
    tls_key: Path | None = Field(default=None, description="PEM key of that certificate")
    tls_client_ca: Path | None = Field(default=None, description="PEM authorities whose client certificates are asked for")
    outgoing_ca: Path | None = Field(default=None, description="PEM authorities that partners' servers are checked against")
    attachments: str = Field(
        default="",
        pattern=rf"^((database|folder)( {_STORAGE})?|{_STORAGE})?$",
        description="where attachments lie: database, folder (NSW_HOME/attachments), s3://BUCKET/PREFIX; behind one of the first two and "
        "a blank, the storage that is still read; default: folder on SQLite, database on PostgreSQL",
    )
    attachments_shared: bool = Field(default=False, description="true where every node has the same NSW_HOME/attachments mounted")
    attachment_bytes: int = Field(
        default=209_715_200, ge=1_048_576, le=10_737_418_240, description="bytes of one message with all its attachments, at most"
    )
    s3_endpoint: str = Field(default="", pattern=r"^(https?://[^\s/]+)?$", description="address of the S3-compatible storage")
    s3_region: str = Field(default="us-east-1", pattern=r"^[a-z0-9-]{1,64}$", description="region that its requests are signed for")
    s3_access_key: str = Field(default="", repr=False, description="its access key")
    s3_secret_key: str = Field(default="", repr=False, description="its secret key; better NSW_S3_CREDENTIALS")
    s3_credentials: Path | None = Field(default=None, description="file with the access key and the secret key, a line each")
    key: str = Field(
        default="",
        pattern=r"^(file:.+|pkcs12:.+|pkcs11:[^?]+\?.+)?$",
        description="the gateway's own key: file:PATH, pkcs12:PATH, or pkcs11:MODULE?token=LABEL&object=LABEL; "
        "default: pki/gateway.key.pem under NSW_HOME",
    )
    key_pin: str = Field(default="", repr=False, description="password or PIN of that key; better NSW_KEY_PIN_FILE")
    key_pin_file: Path | None = Field(
        default=None, description="file with that password or PIN; default: nsw-key-pin in NSW_CREDENTIALS, where it is there"
    )
    credentials: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("NSW_CREDENTIALS", "CREDENTIALS_DIRECTORY"),
        description="folder of credentials; default: CREDENTIALS_DIRECTORY, as systemd sets it",
    )
    mail_server: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])?(:\d{1,5})?$",
        description="HOST or HOST:PORT of the mail server; without it no mail",
    )
    mail_from: str = Field(default="", pattern=r"^([^\s@,<>]+@[^\s@,<>]+)?$", description="address that mail comes from")
    mail_to: str = Field(
        default="",
        pattern=r"^([^\s@,<>]+@[^\s@,<>]+(,[^\s@,<>]+@[^\s@,<>]+)*)?$",
        description="addresses that are told of what ends, split by commas",
    )
    threads: int = Field(
        default=8,
        ge=1,
        le=256,
        description="deliveries under way at once in this process; as many threads more stand by for partners that hang",
    )
    cores: Cores = Field(
        default=Cores.ONE,
        description="one: keep this process's threads on the core that others use least, which costs a message least; "
        "all: let the system spread them",
    )
    intake_threads: int = Field(default=4, ge=1, le=256, description="messages taken in at once in this process")
    four_eyes: FourEyes = Field(
        default=FourEyes.OFF, description="which acts of staff on deliveries wait until a second person approves them: off, bulk or all"
    )
    archive: Path | None = Field(
        default=None, description="folder into which content is archived before it is purged; default: NSW_HOME/archive"
    )
    retention_hours: str = Field(
        default="01:00-05:00",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d|off)$",
        description="when retention runs, in the gateway's zone; off: only by 'nsw retention run'",
    )
    tsa: str = Field(
        default="",
        pattern=r"^(https?://[^\s,]+(,https?://[^\s,]+)*)?$",
        description="addresses of time-stamp authorities (RFC 3161), asked in this order, with commas between; "
        "default: the ledger's heads are signed and not stamped",
    )
    tsa_ca: Path | None = Field(default=None, description="PEM anchors of these authorities; default: those under NSW_HOME/pki/anchors/tsa")
    tsa_every: int = Field(default=600, ge=1, le=86_400, description="seconds between two time-stamps, at least")
    heads_file: Path | None = Field(
        default=None, description="file that the ledger's heads are appended to, best on another machine's disk; default: none"
    )
    heads_every: int = Field(
        default=60, ge=1, le=86_400, description="seconds between two heads in that file, and to the witness, at least"
    )
    heads_mail: str = Field(
        default="",
        pattern=r"^([^\s@,<>]+@[^\s@,<>]+(,[^\s@,<>]+@[^\s@,<>]+)*)?$",
        description="addresses that the ledger's heads are mailed to, split by commas; default: nobody",
    )
    heads_mail_every: int = Field(default=86_400, ge=60, le=604_800, description="seconds between two such mails, at least")
    witness: str = Field(
        default="",
        pattern=r"^([^\s=/]+=https?://[^\s,]+)?$",
        description="the gateway that witnesses the ledger's heads: the PARTY it is here, and its address, PARTY=URL; default: none",
    )
    witness_key_file: Path | None = Field(
        default=None, description="file with the API key that the witness gave this gateway; default: the client certificate says who asks"
    )
    language: str = Field(default="", description="language of the command line; default: the first of the gateway's own party")

    @field_validator("database_read_url", mode="after")
    @classmethod
    def _stands_by_a_server(cls, value: str, info: ValidationInfo) -> str:
        """Refuse a standby of a file: searches would show what another database holds."""
        if value and not info.data.get("database_url", "").startswith("postgresql:"):
            raise ValueError("set NSW_DATABASE_URL to the PostgreSQL that it stands by")
        return value

    @field_validator("tls_key", "tls_client_ca", mode="after")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """Refuse half of a TLS set-up: client certificates are asked for only where TLS is served."""
        if value is not None and info.data.get("tls_certificate") is None:
            raise ValueError("set NSW_TLS_CERTIFICATE as well")
        return value

    @field_validator("heads_mail", mode="after")
    @classmethod
    def _goes_by_a_server(cls, value: str, info: ValidationInfo) -> str:
        """Refuse receivers without a mail server and a sender."""
        if value and not (info.data.get("mail_server") and info.data.get("mail_from")):
            raise ValueError("set NSW_MAIL_SERVER and NSW_MAIL_FROM as well")
        return value

    @property
    def heads_kept(self) -> dict[str, Path]:
        """The files that tell which of the ledger's heads went where, by place; empty where none leave the house."""
        folder, witness = self.home / "heads", self.witness.partition("=")[0]
        places = {
            "file": self.heads_file,
            "mail": folder / "mail.jsonl" if self.heads_mail else None,
            "witness": folder / f"witness-{witness}.jsonl" if witness else None,
        }
        return {name: path for name, path in places.items() if path}

    @property
    def database(self) -> str:
        """The database's address."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'gateway.db'}"

    @property
    def rule_folder(self) -> Path:
        """The folder whose files override the shipped rules."""
        return self.rules or self.home / "rules"

    @property
    def schema_folder(self) -> Path:
        """The folder whose files override the shipped schemas."""
        return self.schemas or self.home / "schemas"

    @property
    def archive_folder(self) -> Path:
        """The folder of archives."""
        return self.archive or self.home / "archive"

    @property
    def pki(self) -> Path:
        """The folder of certificates and the gateway's key."""
        return self.home / "pki"


class _Spoken(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="NSW_")

    language: str = ""


def spoken(languages: Sequence[str]) -> str:
    """Read the language alone, to say in it what is wrong with the other settings; the first where it is none of these."""
    chosen = _Spoken().language
    return chosen if chosen in languages else languages[0]


def unknown() -> list[str]:
    """Name the variables that look like settings and are none: a name that is spelt wrong sets nothing."""
    known = {f"nsw_{name}" for name in Settings.model_fields}
    return sorted(name.upper() for name in EnvSettingsSource(Settings).env_vars if name.startswith("nsw_") and name not in known)


def mistakes(error: ValidationError) -> tuple[Problem, ...]:
    """Say of every wrong setting what it must be."""
    return tuple(_mistake(str(found["loc"][0]), found["type"], found.get("ctx", {})) for found in error.errors())


def wanted(kind: str, limits: Mapping[str, object], *, path: str, see: str) -> Problem:
    """Say what a value must be that was refused, never the value: `kind` and `limits` as pydantic has them, `see` where one can look."""
    text, told = _WANTED.get(kind, ("settings.form", ""))
    bound = str(limits.get(told, ""))
    if kind == "value_error":
        bound = ", ".join(re.findall(r"NSW_\w+", bound))
    return Problem(text=text, path=path, values={"bound": bound.replace(" or ", ", "), "see": see})


def _mistake(name: str, kind: str, limits: Mapping[str, object]) -> Problem:
    field = Settings.model_fields.get(name)
    see = f"docs/reference/settings.md ({field.description})" if field else "docs/reference/settings.md"
    return wanted(kind, limits, path=f"NSW_{name.upper().removeprefix('NSW_')}", see=see)
