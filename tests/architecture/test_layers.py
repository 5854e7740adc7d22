"""Who may import whom, and where each library lives. The contracts themselves stand in pyproject.toml."""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports

# library -> the only places that import it; the decision records in docs/adr say why it is there at all.
HOMES: Mapping[str, tuple[str, ...]] = {
    "alembic": ("gateway/store/",),
    "cel_expr_python": ("gateway/routing/",),
    "cryptography": ("gateway/security/", "gateway/evidence/", "gateway/testing/"),
    "fastapi": ("gateway/web/",),
    "fpdf": ("gateway/evidence/",),
    "jinja2": ("gateway/evidence/",),
    "lxml": ("gateway/", "adapters/"),
    "pkcs11": ("gateway/security/", "gateway/testing/"),
    "prometheus_client": ("gateway/telemetry.py", "gateway/hub.py", "gateway/bootstrap.py", "gateway/web/operations/"),
    "psycopg": ("gateway/store/", "gateway/testing/"),
    "pycurl": ("gateway/transport/",),
    "pydantic": ("gateway/config.py", "gateway/evidence/record.py", "gateway/routing/", "gateway/web/", "gateway/cli/"),
    "pydantic_core": ("gateway/routing/", "gateway/store/compact.py"),
    "pydantic_settings": ("gateway/config.py",),
    "python_multipart": ("gateway/web/",),
    "rfc3161_client": ("gateway/security/", "gateway/evidence/"),
    "rich": ("gateway/cli/",),
    "signxml": ("gateway/security/",),
    "sqlalchemy": (
        "gateway/store/",
        "gateway/outbox/",
        "gateway/evidence/",
        "gateway/security/sql.py",
        "gateway/bootstrap.py",
        "gateway/ports.py",
    ),
    "starlette": ("gateway/web/",),
    "tenacity": ("gateway/transport/",),
    "typer": ("gateway/cli/",),
    "uvicorn": ("gateway/web/",),
    "xmlschema": ("gateway/xml/",),
    "zeep": ("gateway/protocols/wsdl/",),
}


@pytest.fixture(scope="module")
def project(root: Path) -> Mapping[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def _libraries(tree: ast.Module) -> set[str]:
    roots = {name.partition(".")[0] for name in _imported(tree)}
    return roots - set(sys.stdlib_module_names) - {"gateway", "adapters"}


def _written(tree: ast.Module) -> set[ast.expr]:
    """Find what stands before the brackets of an assignment, as in os.environ["NAME"] = value."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)}


def test_the_contracts_in_pyproject_hold(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)

    assert lint_imports(no_cache=True) == 0


def test_each_library_is_imported_at_home_only(product: Sequence[Any]) -> None:
    astray = {
        f"{module.name}: {library}"
        for module in product
        for library in _libraries(module.tree)
        if not module.name.startswith(HOMES.get(library, ()))
    }

    assert not astray


def test_each_home_is_inhabited(product: Sequence[Any]) -> None:
    used = {library for module in product for library in _libraries(module.tree)}

    assert used == set(HOMES)


def test_every_adapter_is_under_the_contract_of_independence(root: Path, project: Mapping[str, Any]) -> None:
    folders = {f"adapters.{file.parent.name}" for file in (root / "adapters").glob("*/adapter.py")}
    contracts = project["tool"]["importlinter"]["contracts"]

    assert folders == {name for contract in contracts if contract["type"] == "independence" for name in contract["modules"]}


def test_every_adapter_has_its_entry_points(root: Path, project: Mapping[str, Any]) -> None:
    folders = {file.parent.name for file in (root / "adapters").glob("*/adapter.py")}
    points = project["project"]["entry-points"]

    assert folders == set(points["nsw_gateway.adapters"]) == set(points["nsw_gateway.simulators"])


def test_the_environment_is_read_in_one_place(product: Sequence[Any]) -> None:
    readers = {
        f"{module.name}:{node.lineno}"
        for module in product
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"} and node not in _written(module.tree)
    }

    assert not readers, "settings come from gateway/config.py, which reads the environment through pydantic-settings"


def test_one_file_makes_parsers(product: Sequence[Any]) -> None:
    makers = {f"etree.{name}" for name in ("XMLParser", "HTMLParser", "XMLPullParser", "iterparse", "parse", "fromstring", "XML", "HTML")}
    libraries = {"xml.etree.ElementTree", "xml.dom.minidom", "xml.sax", "xml.dom", "xml.etree", "xml", "lxml.html", "lxml.objectify"}
    found = {
        module.name
        for module in product
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in makers
    }
    foreign = {module.name for module in product if libraries & set(_imported(module.tree))}

    assert found == {"gateway/xml/parse.py"}
    assert not foreign
