"""Find where the next record of JSON lines or CSV ends: patterns, so that no byte is looped over.

No quantifier gives back what it has matched (`*+`, `++`): each byte is looked at a fixed number of
times, whatever it is, and a pattern never holds more than its position.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from shiftwork_core.domain.requests.manifests.places import Syntax

#: Match the next record in data at a position, with the blank lines before it and the line feed
#: that ends it; group 1 is the record without that. None if no record is complete.
FindRecord = Callable[[bytes, int], re.Match[bytes] | None]

_JSON_LINE = rb"(?:[ \t\r]*+\n)*+([^\n]++)\n"
#: A quote is one only at a field's start, as every reader of CSV has it; `""` in quotes is a quote.
#: What follows the closing quote is wrong, but ends where the field ends.
_FIELD = rb'(?:"[^"]*+(?:""[^"]*+)*+"[^,\n]*+|(?!")[^,\n]*+)'
#: Most records have no quote at all.
_CSV_RECORD = rb'(?:\r*+\n)*+([^"\n]++|' + _FIELD + rb"(?:," + _FIELD + rb")*+)\n"

FIND_RECORD: dict[Syntax, FindRecord] = {
    Syntax.JSON_LINES: re.compile(_JSON_LINE).match,
    Syntax.CSV: re.compile(_CSV_RECORD).match,
}
#: What blank lines are made of.
BLANK = {Syntax.JSON_LINES: b" \t\r\n", Syntax.CSV: b"\r\n"}
