"""Match the regular expressions of schemas in linear time: RE2, which never backtracks."""

from __future__ import annotations

from functools import lru_cache

import re2

from shiftwork_core.adapters.schemas.meter import current

MAX_PATTERN_LENGTH = 1000
#: Of a schema; so many fit the cache, and compiling them takes less than half a second.
MAX_PATTERNS = 100
#: RE2 refuses a pattern whose program takes more: some 16,000 instructions.
_MAX_MEMORY_BYTES = 1024 * 1024
#: RE2's time is at most the product of program and text. Measured with the worst patterns: 2.2 ns
#: each, so these take about as long as a step.
_PRODUCT_PER_STEP = 2000


def pattern_fault(pattern: str) -> str | None:
    """Return why a pattern is not accepted, None if it is."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        return f"a pattern has at most {MAX_PATTERN_LENGTH:,} characters"
    try:
        _compiled(pattern)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        return (
            f"{pattern[:100]!r} is not accepted: {reason[:200]}; patterns are those of RE2, which "
            "has neither look-around nor back-references"
        )
    return None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern matches anywhere in the text."""
    compiled = _compiled(pattern)
    content = text.encode(errors="surrogatepass")
    size = compiled.programsize + compiled.reverseprogramsize
    current().spend(1 + size * len(content) // _PRODUCT_PER_STEP)
    return compiled.search(content) is not None


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    return re2._Regexp(pattern.encode(errors="surrogatepass"), options)
