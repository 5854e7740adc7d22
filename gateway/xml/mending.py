"""Mends the known faults of the field's schemas, each by a rule that keeps what the schema means."""

import codecs
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from html import unescape

from gateway.errors import Problem

from .namespaces import XS
from .sources import Link, SchemaDocument, is_remote, links
from .wording import shortened

_NOT_BLANK = r"\s*\S[\s\S]*"  # at least one character that is not white space, found without going back
_SAME_AS_NOT_BLANK = frozenset({
    r"(\s*[^\s]\s*)+", r"(\s*[^\s]+\s*)+", r"(\s*\S\s*)+", r"(\s*\S+\s*)+", r"(\s*[\S]\s*)+", r"([\s]*[^\s][\s]*)+",
})  # fmt: skip
_EMPTY_NAMESPACE = re.compile(r"(<(?:[\w.\-]+:)?schema\b[^>]*?)\s+targetNamespace\s*=\s*(?:\"\s*\"|'\s*')")
_PATTERN = re.compile(r"(<(?:[\w.\-]+:)?pattern\b[^>]*?\bvalue\s*=\s*)(\"[^\"]*\"|'[^']*')")
_LOCATION = r"\bschemaLocation\s*=\s*(?:\"\s*{0}\s*\"|'\s*{0}\s*')"
_ANY_LOCATION = re.compile(r"\s+schemaLocation\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_IMPORT = r"<(?:[\w.\-]+:)?import\b[^>]*?\bnamespace\s*=\s*(?:\"{0}\"|'{0}')(?:\s+schemaLocation\s*=\s*(?:\"[^\"]*\"|'[^']*'))?"
_REFERENCE = r"<(?:[\w.\-]+:)?(?:include|import)\b[^>]*?" + _LOCATION + r"[^>]*?(?:/>|>[\s\S]*?</(?:[\w.\-]+:)?(?:include|import)\s*>)"


_Rule = Callable[[str, str], tuple[str, list[Problem]]]  # a document's text and name -> its text, what was done


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A document's bytes after mending, what was done to it, and which references that lead nowhere it lost."""

    data: bytes
    repairs: tuple[Problem, ...]
    lost: tuple[Problem, ...]


def mend(document: SchemaDocument, pack: Mapping[str, SchemaDocument]) -> Mended:
    """Mend a document of a pack, given by file name; one without a known fault stays as it is, byte by byte."""
    encoding = "utf-16" if document.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"
    text = document.data.decode(encoding)
    repairs: list[Problem] = []
    lost = [link for link in _absent(document, pack) if not _namesakes(link, pack)]
    for rule in (*_link_rules(document, pack), *_import_rules(document, pack), _without_empty_namespace, _with_plain_patterns):
        text, done = rule(text, document.name)
        repairs += done
    return Mended(data=text.encode(encoding) if repairs else document.data, repairs=tuple(repairs), lost=tuple(map(_missing, lost)))


def _absent(document: SchemaDocument, pack: Collection[str]) -> list[Link]:
    return [link for link in links(document) if link.target is not None and link.target not in pack]


def _link_rules(document: SchemaDocument, pack: Collection[str]) -> Iterator[_Rule]:
    """Give a rule for each reference to a file that is not there: the spelling it must have meant, or none at all."""
    for link in _absent(document, pack):
        found = _namesakes(link, pack)
        yield _relocating(link, found[0]) if len(found) == 1 else _dropping(link)


def _import_rules(document: SchemaDocument, pack: Mapping[str, SchemaDocument]) -> Iterator[_Rule]:
    """Give a rule for each import without a place of ours whose namespace one file of the pack declares."""
    for reference in document.root.iterchildren(f"{{{XS}}}import"):
        namespace, location = reference.get("namespace"), reference.get("schemaLocation", "").strip()
        declaring = [name for name, other in pack.items() if namespace and other.namespace == namespace and name != document.name]
        beside = [name for name in declaring if posixpath.dirname(name) == posixpath.dirname(document.name)]
        target = next((names[0] for names in (beside, declaring) if len(names) == 1), None)
        if namespace and target and (not location or is_remote(location)):
            yield _placing(namespace, location, _relative(document.name, target))


def _namesakes(link: Link, names: Collection[str]) -> list[str]:
    """Find what a reference must have meant: the same path in other letters, or else the one file of that name."""
    wanted = (link.target or "").lower()
    same_path = [name for name in names if name.lower() == wanted]
    same_name = [name for name in names if posixpath.basename(name).lower() == posixpath.basename(wanted)]
    return same_path or (same_name if len(same_name) == 1 else [])


def _relocating(link: Link, target: str) -> _Rule:
    location = _relative(link.by, target)

    def rule(text: str, name: str) -> tuple[str, list[Problem]]:
        found = _written(_LOCATION, link, text)
        if found is None:
            return text, []
        done = Problem(text="schema.mended-location", path=name, line=link.line, values={"old": link.location, "new": location})
        return f'{text[: found.start()]}schemaLocation="{_escaped(location)}"{text[found.end() :]}', [done]

    return rule


def _dropping(link: Link) -> _Rule:
    def rule(text: str, name: str) -> tuple[str, list[Problem]]:
        found = _written(_REFERENCE, link, text)
        if found is None:
            return text, []
        done = Problem(text="schema.mended-include", path=name, line=link.line, values={"old": link.location})
        return text[: found.start()] + text[found.end() :], [done]

    return rule


def _placing(namespace: str, old: str, location: str) -> _Rule:
    def rule(text: str, name: str) -> tuple[str, list[Problem]]:
        found = re.search(_IMPORT.format(re.escape(_escaped(namespace))), text)
        if found is None:
            return text, []
        tag = _ANY_LOCATION.sub("", found[0])
        kind = "mended-location" if old else "mended-import"
        values = {"old": old, "new": location, "namespace": namespace}
        done = Problem(text=f"schema.{kind}", path=name, line=_line(text, found.start()), values=values)
        return f'{text[: found.start()]}{tag} schemaLocation="{_escaped(location)}"{text[found.end() :]}', [done]

    return rule


def _relative(base: str, target: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(base) or ".")


def _written(form: str, link: Link, text: str) -> re.Match[str] | None:
    return re.search(form.format(re.escape(_escaped(link.location))), text)


def _without_empty_namespace(text: str, name: str) -> tuple[str, list[Problem]]:
    found = _EMPTY_NAMESPACE.search(text)
    if found is None:
        return text, []
    return text[: found.end(1)] + text[found.end() :], [Problem(text="schema.mended-namespace", path=name, line=_line(text, found.end(1)))]


def _with_plain_patterns(text: str, name: str) -> tuple[str, list[Problem]]:
    found = [match for match in _PATTERN.finditer(text) if unescape(match[2][1:-1]) in _SAME_AS_NOT_BLANK]
    done = [
        Problem(
            text="schema.mended-pattern",
            path=name,
            line=_line(text, match.start(2)),
            values={"old": shortened(unescape(match[2][1:-1])), "new": _NOT_BLANK},
        )
        for match in found
    ]
    for match in reversed(found):
        text = f'{text[: match.start(2)]}"{_escaped(_NOT_BLANK)}"{text[match.end(2) :]}'
    return text, done


def _escaped(value: str) -> str:
    return value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _missing(link: Link) -> Problem:
    return Problem(text="schema.file-missing", path=link.by, line=link.line, values={"file": link.target or link.location})
