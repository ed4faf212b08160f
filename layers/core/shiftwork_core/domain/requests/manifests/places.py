"""Where a manifest is, and in which format; what is wrong with one that cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from shiftwork_core.domain.json_bounds import is_broken
from shiftwork_core.domain.payloads import Json

#: Names of buckets and aliases of access points (the naming rules of Amazon S3).
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_URI = re.compile(r"s3://([^/]*)/(.*)", re.DOTALL)
#: The longest key of an object in S3, in UTF-8.
MAX_KEY_BYTES = 1024
#: From the end of one record to the end of the next: blank lines between them count.
MAX_RECORD_BYTES = 1024 * 1024
#: As much of a wrong value as a message quotes.
_QUOTED = 200


class ManifestFault(Exception):
    """A manifest cannot be used, and asking again changes nothing.

    The message is for people: what is wrong, where, and what to do about it.
    """


@dataclass(frozen=True, slots=True)
class Place:
    """An object in S3."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Syntax(Enum):
    """How a manifest's bytes tell its records apart."""

    #: A JSON value on each line.
    JSON_LINES = "JSON lines"
    #: RFC 4180, and a line feed alone ends a line too. The first record has the columns' names.
    CSV = "CSV"


@dataclass(frozen=True, slots=True)
class Format:
    """What the object of a manifest holds."""

    syntax: Syntax
    is_gzipped: bool = False


_ENDINGS = {".jsonl": Syntax.JSON_LINES, ".ndjson": Syntax.JSON_LINES, ".csv": Syntax.CSV}
_GZIPPED = ".gz"


def place_of(value: Json) -> Place:
    """Return the place that a value names: `s3://bucket/key`, or an object of bucket and key.

    Raises
    ------
    ManifestFault
        If it is neither, or S3 can have no such bucket or key.
    """
    match value:
        case {"bucket": str(bucket), "key": str(key)} if len(value) == 2:
            pass
        case str() if found := _URI.fullmatch(value):
            bucket, key = found.groups()
        case _:
            raise ManifestFault(
                f"{_quoted(value)} is no place of a manifest; give s3://bucket/key,"
                ' or {"bucket": ..., "key": ...}'
            )
    if not _BUCKET.fullmatch(bucket):
        raise ManifestFault(
            f"{_quoted(bucket)} is no bucket's name: give one of 3 to 63 lower-case letters,"
            " digits, dots and hyphens"
        )
    if not key or is_broken(key) or len(key.encode()) > MAX_KEY_BYTES:
        raise ManifestFault(
            f"{_quoted(key)} is no object's key: give one of 1 to {MAX_KEY_BYTES:,} bytes of UTF-8"
        )
    return Place(bucket, key)


def format_of(place: Place) -> Format:
    """Return the format that the key's ending names, in any case.

    Raises
    ------
    ManifestFault
        If it names none.
    """
    name = place.key.lower()
    plain = name.removesuffix(_GZIPPED)
    for ending, syntax in _ENDINGS.items():
        if plain.endswith(ending):
            return Format(syntax, plain != name)
    raise ManifestFault(
        f"{place} has no ending of a manifest: name it {', '.join(_ENDINGS)} (or one of these and"
        f" then {_GZIPPED}) after what it holds, JSON lines or CSV with a header"
    )


def _quoted(value: Json) -> str:
    return repr(value)[:_QUOTED]
