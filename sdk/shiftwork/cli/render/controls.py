"""Make control characters visible, so that no text of a job can steer the terminal."""

from __future__ import annotations

#: C0 but for line breaks and tabs, DEL, and C1; and what lets a terminal show text backwards.
_VISIBLE = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
} | {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def visible(text: str) -> str:
    r"""Return a text with its control characters written out, such as `\x1b`.

    Line breaks and tabs stay.
    """
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def one_line(text: str) -> str:
    r"""Return a text as `visible` does, with its line breaks and tabs written out as well."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")
