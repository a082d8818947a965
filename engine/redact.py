"""The one redactor: takes secrets out of text before it is kept, shown or sent.

It knows two kinds. Values that this process has resolved or read are looked for as they are, in
base64 (at any of its three places in a longer text), percent-encoded and escaped as in JSON; they
lie in memory only, because what has to be found has to be known. And forms that look like secrets
whatever they are: bearer tokens, tokens of ours and of a Vault, passwords in addresses, private
keys. A value shorter than `LENGTH_MIN` is not looked for: it would be found in every other word.

Redacting twice changes nothing more, and a JSON text stays a JSON text.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import logging
import re
import threading
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar
from urllib.parse import quote, quote_plus

MARK: Final = "[redacted]"
LENGTH_MIN: Final = 8
# A larger value is a document, and never stands whole in a line.
LENGTH_MAX: Final = 64 * 1024
_VALUES_MAX: Final = 1_000

# What people and the outside say in events and rows. All else there is a name, a digest, a number.
TEXT_FIELDS: Final = frozenset(
    {"asked_reason", "comment", "message", "note", "notes", "problems", "reason", "sentence",
     "summary", "text"}
)  # fmt: skip

_BEARER: Final = r"(?=[A-Za-z0-9._~+/=-]*\d|[A-Za-z0-9._~+/=-]{24})[A-Za-z0-9._~+/=-]{8,}"
# What stands in every text that a shape could fit, in lower case, and the shape. Most lines are
# done after a look for the former.
_SHAPES: Final = tuple(
    (hint, re.compile(pattern, re.ASCII))
    for hint, pattern in (
        (
            "private key",
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\+[nrt]|[A-Za-z0-9+/=\s:,-])*?"
            r"-----END [A-Z0-9 ]*PRIVATE KEY-----",
        ),
        (
            "private key",
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\+[nrt]|[A-Za-z0-9+/=\s:,-])*",
        ),
        ("bearer", rf"(?i:(?<=\bbearer )|(?<=\bbearer%20)){_BEARER}"),
        (
            "authorization",
            r"(?i:(?<=authorization: basic )|(?<=authorization\": \"basic ))[A-Za-z0-9+/=_-]{4,}",
        ),
        (
            "token: ",
            r"(?i:(?<=x-vault-token: )|(?<=x-consul-token: )|(?<=private-token: ))"
            r"[A-Za-z0-9._~+/=-]{4,}",
        ),
        ("apikey=", r"(?i:(?<=apikey=))[A-Za-z0-9._~+/=-]{4,}"),
        ("x-api-key: ", r"(?i:(?<=x-api-key: ))[A-Za-z0-9._~+/=-]{4,}"),
        ("rl_", r"(?<![A-Za-z0-9_])rl_[0-9a-f]{8}_[A-Za-z0-9_-]{20,}"),
        ("hv", r"(?<![A-Za-z0-9_.])hv[sbr]\.[A-Za-z0-9_-]{16,}"),
        (".", r"(?<![A-Za-z0-9_.])[sbr]\.[A-Za-z0-9]{24,}"),
        ("whsec_", r"(?<![A-Za-z0-9_])whsec_[A-Za-z0-9+/=_-]{16,}"),
        ("@", r"(?<=://)[^\s/:@?#\"'<>\\\[\]]*:[^\s/?#\"'<>\\\[\]]+(?=@)"),
        ("@", r"(?<=://)[A-Za-z0-9_-]{20,}(?=@)"),
    )
)

Row = TypeVar("Row")


class Redactor:
    """Thread-safe. Forgets the oldest values when it was taught more than a thousand."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()
        self._forms: tuple[str, ...] = ()

    def learn(self, value: bytes | str) -> None:
        """From now on this value is taken out, in every form. White space around it is not it."""
        raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        raw = raw.strip()
        text = raw.decode("utf-8", "surrogateescape")
        if len(text) < LENGTH_MIN or len(raw) > LENGTH_MAX:
            return
        with self._lock:
            if raw in self._values:
                self._values.move_to_end(raw)
                return
            self._values[raw] = tuple(_forms(raw, text))
            if len(self._values) > _VALUES_MAX:
                self._values.popitem(last=False)
            found = {form for forms in self._values.values() for form in forms}
            # The longest first: a value that holds another one goes as a whole.
            self._forms = tuple(sorted(found, key=lambda form: (-len(form), form)))

    def text(self, text: str) -> str:
        """The text with `[redacted]` for every secret in it."""
        while (cleaner := self._once(text)) != text:
            text = cleaner
        return text

    def document(self, value: Any) -> Any:
        """A JSON value with every text in it redacted, keys too."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {self.document(key): self.document(one) for key, one in value.items()}
            case list() | tuple():
                return [self.document(one) for one in value]
            case _:
                return value

    def record(self, row: Row) -> Row:
        """An event or a row with its free texts redacted, nested ones too; the same object when
        there was nothing to take out."""
        changed = {
            name: new
            for name, free in _parts(type(row))
            if (new := self._part(old := getattr(row, name), free=free)) is not old
        }
        return dataclasses.replace(row, **changed) if changed else row  # type: ignore[type-var]

    def _part(self, value: Any, *, free: bool) -> Any:
        if isinstance(value, str):
            new: Any = self.text(value) if free else value
        elif isinstance(value, tuple):
            new = tuple(self._part(one, free=free) for one in value)
        elif dataclasses.is_dataclass(value):
            return self.record(value)
        else:
            return value
        return value if new == value else new

    def _once(self, text: str) -> str:
        parts = text.split(MARK)
        for form in self._forms:
            if form in text:
                parts = [piece for part in parts for piece in part.split(form)]
        lower = text.lower()
        for hint, shape in _SHAPES:
            if hint in lower:
                parts = [piece for part in parts for piece in shape.split(part)]
        if len(parts) == 1:
            return text
        # A backslash before what was taken out would escape the mark, and break a JSON text.
        return MARK.join([*(_unescaping(part) for part in parts[:-1]), parts[-1]])


def _unescaping(part: str) -> str:
    slashes = len(part) - len(part.rstrip("\\"))
    return part[:-1] if slashes % 2 else part


def _forms(raw: bytes, text: str) -> Iterator[str]:
    """Every form in which the value is looked for."""
    plain = [text, html.escape(text)]
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        plain += [once, json.dumps(once)[1:-1]]
    for encode in (quote, quote_plus):
        for safe in ("", "/"):
            coded = encode(raw, safe=safe)
            plain += [coded, re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), coded)]
    for form in plain:
        # What ends in the middle of an escape is looked for without that end.
        form = _unescaping(form)
        if MARK not in form:
            yield form
    for before in range(3):
        # The letters that its bytes alone decide, wherever it stands in what was encoded.
        coded = base64.b64encode(b"\0" * before + raw).decode()
        first = (before * 8 + 5) // 6
        core = coded[first : (before + len(raw)) * 8 // 6]
        yield from {core, core.replace("+", "-").replace("/", "_")}


def _parts(kind: type) -> tuple[tuple[str, bool], ...]:
    """Names of the fields to look into, and whether a text there is somebody's own words."""
    known = _known_parts.get(kind)
    if known is None:
        fields = dataclasses.fields(kind)
        known = tuple((field.name, field.name in TEXT_FIELDS) for field in fields)
        _known_parts[kind] = known
    return known


_known_parts: Final[dict[type, tuple[tuple[str, bool], ...]]] = {}
_redactor: Final = Redactor()
learn: Final = _redactor.learn
redact: Final = _redactor.text
redact_document: Final = _redactor.document


def redact_record(row: Row) -> Row:
    """As `Redactor.record`, by what this process knows."""
    return _redactor.record(row)


# --- log records ------------------------------------------------------------------------------


def install() -> None:
    """Have every log record of this process redacted, whichever handler writes it."""
    made = logging.getLogRecordFactory()
    if getattr(made, "redacts", False):
        return

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        return clean(made(*args, **kwargs))

    factory.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


def clean(record: logging.LogRecord) -> logging.LogRecord:
    """The record with its message, its arguments and its traceback redacted."""
    if isinstance(record.msg, str):
        record.msg = redact(record.msg)
    if isinstance(record.args, tuple):  # kept apart where possible: access logs format them later
        record.args = tuple(redact(one) if isinstance(one, str) else one for one in record.args)
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):  # its own handler reports a format that does not fit
        return record
    cleaner = redact(message)
    if cleaner != message:
        record.msg, record.args = cleaner, ()
    if record.exc_info and record.exc_info[0] is not None:
        told = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        record.exc_text = redact(told)
        if record.exc_text != told:  # or a handler with a taste of its own would tell it anew
            record.exc_info = None
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    return record
