"""Make control characters visible, so that no text of a job can steer the terminal."""

from __future__ import annotations

#: C0 but for line breaks and tabs, DEL, and C1.
_VISIBLE = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}


def visible(text: str) -> str:
    r"""Return a text with its control characters written out, such as `\x1b`.

    Line breaks and tabs stay.
    """
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def one_line(text: str) -> str:
    r"""Return a text as `visible` does, with its line breaks and tabs written out as well."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")
