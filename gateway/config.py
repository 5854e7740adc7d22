"""What an installation can set: read once from the environment, every mistake reported together."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .outbox.orders import FourEyes


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
    threads: int = Field(default=8, ge=1, le=256, description="deliveries under way at once in this process")
    intake_threads: int = Field(default=4, ge=1, le=256, description="messages taken in at once in this process")
    four_eyes: FourEyes = Field(
        default=FourEyes.OFF, description="which acts of staff on deliveries wait until a second person approves them: off, bulk or all"
    )
    language: str = Field(default="", description="language of the command line; default: the first of the gateway's own party")

    @field_validator("tls_key", "tls_client_ca", mode="after")
    @classmethod
    def _belongs_to_a_certificate(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        """Refuse half of a TLS set-up: client certificates are asked for only where TLS is served."""
        if value is not None and info.data.get("tls_certificate") is None:
            raise ValueError("set NSW_TLS_CERTIFICATE as well")
        return value

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
    def pki(self) -> Path:
        """The folder of certificates and the gateway's key."""
        return self.home / "pki"
