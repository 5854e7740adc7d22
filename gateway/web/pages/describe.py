"""The OpenAPI document as a page, rendered here: readable without scripts and without a network."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/pages.css"></head><body>
<h1>{title}</h1><p class="second">{version} · <a href="/openapi.json">openapi.json</a> · <a href="/">/</a></p>
<p>{description}</p>
"""


def describe_page(openapi: Mapping[str, Any]) -> str:
    """Write the whole page: every operation with its parameters, bodies and answers, then every schema."""
    info = openapi["info"]
    head = _HEAD.format(title=escape(info["title"]), version=escape(info["version"]), description=escape(info.get("description", "")))
    return "".join([head, *_operations(openapi["paths"]), *_schemas(openapi["components"]["schemas"]), "</body></html>"])


def _operations(paths: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Operations</h2>"
    for path, methods in paths.items():
        for method, operation in methods.items():
            yield f"<details><summary><b>{escape(method.upper())}</b> <code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
            yield f"<p>{escape(operation.get('description', ''))}</p>"
            yield from _parameters(operation.get("parameters", []))
            yield from _contents("Body", operation.get("requestBody", {}).get("content", {}))
            yield from _answers(operation["responses"])
            yield "</details>"


def _parameters(parameters: list[Mapping[str, Any]]) -> Iterator[str]:
    if not parameters:
        return
    yield "<h3>Parameters</h3><table>"
    for each in parameters:
        name = f"<code>{escape(each['name'])}</code> ({each['in']})"
        yield _row(name, escape(each.get("description", "")), _code(", ".join(_form(each["schema"]))))
    yield "</table>"


def _answers(responses: Mapping[str, Any]) -> Iterator[str]:
    yield "<h3>Answers</h3><table>"
    for status, answer in responses.items():
        yield _row(_code(status), escape(answer["description"]), _code(", ".join(_media(answer.get("content", {})))))
    yield "</table>"


def _contents(title: str, contents: Mapping[str, Any]) -> Iterator[str]:
    for media_type, content in contents.items():
        yield f"<h3>{title}: <code>{escape(media_type)}</code> {escape(', '.join(_form(content.get('schema', {}))))}</h3>"
        if "example" in content:
            yield f"<pre>{escape(content['example'])}</pre>"


def _schemas(schemas: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>Schemas</h2>"
    for name, schema in schemas.items():
        yield f"<details id='{escape(name)}'><summary><code>{escape(name)}</code> {escape(schema.get('description', ''))}</summary><table>"
        for member, form in schema.get("properties", {}).items():
            example = json.dumps(form["examples"][0], ensure_ascii=False) if form.get("examples") else ""
            yield _row(_code(member), _code(", ".join(_form(form))), escape(form.get("description", "")), _code(example))
        yield "</table></details>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _media(contents: Mapping[str, Any]) -> Iterator[str]:
    for name, content in contents.items():
        yield f"{name}: {', '.join(_form(content.get('schema', {})))}"


def _form(schema: Mapping[str, Any]) -> Iterator[str]:
    """Name a schema in few words: its type or reference, its values and its limits."""
    for choice in schema.get("anyOf", []):
        yield from _form(choice)
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    if "type" in schema:
        items = f"[{', '.join(_form(schema['items']))}]" if "items" in schema else ""
        yield schema["type"] + items
    if "enum" in schema:
        yield " | ".join(map(str, schema["enum"]))
    yield from (f"{name} {schema[name]}" for name in ("format", "default", "minimum", "maximum", "maxLength", "pattern") if name in schema)
