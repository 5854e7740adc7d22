"""The gateway's own address, as it stands in WSDL files and on pages."""

import ipaddress
import re

from starlette.types import Scope

_LOOPBACK_OF = {str(ipaddress.IPv4Address(0)): "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_HOST = re.compile(r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?")


def base_url(scope: Scope, configured: str | None) -> str:
    """Give the address to tell others: the configured one, else the one the caller used, without a trailing slash.

    A Host header that is not plainly a host and a port is not repeated to anyone; the connection's own address takes its place.
    """
    if configured:
        return configured.rstrip("/")
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host if _HOST.fullmatch(host) else _own(scope)}"


def url_of(scheme: str, host: str, port: int) -> str:
    """Write the address of a listening socket; a wildcard becomes the loopback address of its family."""
    return f"{scheme}://{_bracketed(_LOOPBACK_OF.get(host, host))}:{port}"


def is_loopback(host: str) -> bool:
    """Say whether an address is on this machine only; a name never is, resolve it first."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def same_origin(origin: bytes, host: bytes | None) -> bool:
    """Say whether a browser's Origin header names the host that was called."""
    return host is not None and origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower())


def local_host(host: bytes | None) -> bool:
    """Say whether a Host header names this machine: what a page elsewhere cannot make a browser send."""
    match = _HOST.fullmatch((host or b"").decode("latin-1"))
    return match is not None and (match["host"].lower() == "localhost" or is_loopback(match["host"].strip("[]")))


def _own(scope: Scope) -> str:
    host, port = scope.get("server") or ("localhost", None)
    return f"{_bracketed(host)}:{port}" if port else _bracketed(host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
