"""Compiles a schema once; libxml2 judges documents, xmlschema explains what it refuses."""

import copy
import io
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from urllib.parse import quote, unquote
from urllib.response import addinfourl

import xmlschema
from lxml import etree

from gateway.errors import Code, Problem

from .crowded import is_crowded, located, suspicion
from .explain import explain
from .namespaces import XS
from .parse import parse
from .sources import Closure, SchemaDocument, SchemasInvalid
from .translate import Finding, findings, translate

MAX_EXPLAINED = 64 * 1024  # bytes of a document; xmlschema takes seconds on 1 MiB
MAX_EXPLAINING = 256 * 1024  # bytes of a schema; xmlschema builds 160 KiB in 0.4 s, and a refusal must come within 1 s
MAX_PROBLEMS = 20
MAX_LOGGED = 200  # findings of libxml2 that are looked at; xmlschema would take a second over a document that has more

_BASE = "http://schemas.invalid/"  # a name no network answers (RFC 2606); both engines join relative locations to it
_BLANK = " \t\r\n"
_NOTHING = etree.Element("nothing")
_UNBOUNDED = re.compile(r"[*+]|\{\d+,\}")


class Schema:
    """One compiled schema, used by any number of threads.

    libxml2 keeps what it found in a log that belongs to the compiled schema, so threads that share one would read each
    other's findings. Verdicts come from one copy, whose log nobody reads; explanations from another, under a lock.
    """

    def __init__(self, closure: Closure) -> None:
        """Compile; raises SchemasInvalid with what libxml2 has against it. Compile before threads start: lxml's loader is global."""
        self._judge = _compiled(closure)
        self._witness = _compiled(closure)
        self._files = {document.name: document.data for document in closure.documents}
        self._files |= {location: document.data for location, document in closure.remote.items()}
        self._explainable = closure.size <= MAX_EXPLAINING and not any(slow_patterns(document) for document in closure.documents)
        self._explainer: xmlschema.XMLSchema10 | None = None
        self._lock = threading.Lock()

    def problems(self, root: etree._Element, *, size: int) -> tuple[Problem, ...]:
        """Say what is wrong with a document of `size` bytes; nothing where it is valid."""
        if is_crowded(root, size):
            return self._crowded_problems(root)
        if _holds(self._judge, root):
            return ()
        _holds(self._judge, _NOTHING)  # empties the log: it may hold a line for each of 200,000 elements
        with self._lock:
            return self._explained(root, size)

    def _crowded_problems(self, root: etree._Element) -> tuple[Problem, ...]:
        suspected = suspicion(self._judge, root, MAX_LOGGED)
        if suspected is None:
            return ()
        with self._lock:
            found = located(self._witness, root, suspected, MAX_LOGGED)
            _holds(self._witness, _NOTHING)
        return translate(found, root, MAX_PROBLEMS)

    def _explained(self, root: etree._Element, size: int) -> tuple[Problem, ...]:
        _holds(self._witness, root)
        found = findings(self._witness, root, MAX_LOGGED)
        _holds(self._witness, _NOTHING)
        if self._holds_when_trimmed(root, found):
            return ()
        if size <= MAX_EXPLAINED and len(found) < MAX_LOGGED and (explainer := self._explaining()) is not None:
            explained = explain(explainer, root, MAX_PROBLEMS)
            if explained:
                return explained
        return translate(found, root, MAX_PROBLEMS) or (Problem(text="schema.engine"),)

    def _holds_when_trimmed(self, root: etree._Element, found: tuple[Finding, ...]) -> bool:
        """Judge again without the white space around dates that the standard allows and libxml2 refuses."""
        if not found or not all(finding.is_padded for finding in found):
            return False
        trimmed = copy.deepcopy(root)
        places = dict(zip(root.iter(), trimmed.iter(), strict=True))
        for finding in found:
            places[finding.element].text = (finding.element.text or "").strip(_BLANK)
        return _holds(self._witness, trimmed)

    def _explaining(self) -> xmlschema.XMLSchema10 | None:
        """Build the explaining schema when it is first needed; one that cannot be built is never tried again."""
        if self._explainable and self._explainer is None:
            try:
                self._explainer = _built(self._files)
            except (xmlschema.XMLSchemaException, OSError, ValueError, TypeError, LookupError, RecursionError):
                self._explainable = False  # libxml2 has compiled it, so it judges and its own words explain
        return self._explainer


def slow_patterns(document: SchemaDocument) -> tuple[etree._Element, ...]:
    """Find the patterns that may back-track: a repeated group in which something is repeated."""
    return tuple(p for p in document.root.iter(f"{{{XS}}}pattern") if _may_back_track(p.get("value", "")))


def _may_back_track(pattern: str) -> bool:
    repeats = [False]  # by depth of group: something in it is repeated without end
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 2 if char == "\\" else 1
        if char == "[":
            at = _class_end(pattern, at)
        elif char == "(":
            repeats.append(False)
        elif char == ")" and len(repeats) > 1:
            inner = repeats.pop()
            repeated = _UNBOUNDED.match(pattern, at) is not None
            if inner and repeated:
                return True
            repeats[-1] |= inner or repeated
        elif _UNBOUNDED.match(pattern, at - 1):
            repeats[-1] = True
    return False


def _class_end(pattern: str, at: int) -> int:
    depth = 1
    while at < len(pattern) and depth:
        depth += {"[": 1, "]": -1}.get(pattern[at], 0)
        at += 2 if pattern[at] == "\\" else 1
    return at


def _holds(schema: etree.XMLSchema, root: etree._Element) -> bool:
    try:
        return bool(schema(root))
    except etree.XMLSchemaValidateError:  # libxml2 gave up: not valid as far as anyone can tell
        return False


# --- libxml2 ----------------------------------------------------------------------------------------------------------


class _Closed(etree.Resolver):
    """Answers libxml2 from a closure, and refuses whatever is not in it."""

    def __init__(self, documents: Mapping[str, bytes]) -> None:
        super().__init__()
        self._documents = documents

    def resolve(self, system_url: str, _public_id: str, context: object) -> object:  # type: ignore[override]  # lxml passes a context
        data = self._documents.get(unquote(system_url))
        if data is None:
            raise FileNotFoundError(system_url)
        return self.resolve_string(data, context, base_url=system_url)


def _compiled(closure: Closure) -> etree.XMLSchema:
    documents = {_BASE + document.name: document.data for document in closure.documents}
    documents |= {unquote(location): document.data for location, document in closure.remote.items()}
    tree = parse(closure.entry.data).getroottree()  # its parser is this document's own, so the resolver serves nothing else
    tree.docinfo.URL = _BASE + quote(closure.entry.name)
    tree.parser.resolvers.add(_Closed(documents))
    try:
        return etree.XMLSchema(tree)
    except etree.XMLSchemaParseError as error:
        raise SchemasInvalid(Code.RULES, *_compile_problems(error, closure)) from error


def _compile_problems(error: etree.XMLSchemaParseError, closure: Closure) -> tuple[Problem, ...]:
    found = [
        Problem(
            text="schema.file-invalid",
            path=unquote(entry.filename or "").removeprefix(_BASE) or closure.entry.name,
            line=entry.line,
            values={"reason": entry.message.removeprefix("Element ")[:300]},
        )
        for entry in error.error_log
    ]
    return tuple(found[:MAX_PROBLEMS]) or (Problem(text="schema.file-invalid", path=closure.entry.name, values={"reason": "unknown"}),)


# --- xmlschema --------------------------------------------------------------------------------------------------------


class _Shelf(urllib.request.BaseHandler):
    """Answers xmlschema from the files of a closure; its opener knows no other way to anything."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def http_open(self, request: urllib.request.Request) -> addinfourl:
        name = unquote(request.full_url).removeprefix(_BASE)
        if name not in self._files:
            raise urllib.error.URLError(name)
        return addinfourl(io.BytesIO(self._files[name]), Message(), request.full_url, 200)

    def https_open(self, request: urllib.request.Request) -> addinfourl:
        return self.http_open(request)


def _built(files: Mapping[str, bytes]) -> xmlschema.XMLSchema10:
    opener = urllib.request.OpenerDirector()
    opener.add_handler(_Shelf(files))
    return xmlschema.XMLSchema10(_BASE + quote(next(iter(files))), opener=opener, defuse="always", use_fallback=False)
