"""What may be a name can be written, shown in a line, and told from every other name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftwork_core.domain.names import line_fault, name_fault
from shiftwork_core.domain.requests.queue_names import MAX_SHARDS, queue_name, shard_names

TEXTS = st.text(st.characters(exclude_categories=()), max_size=210)


@pytest.mark.parametrize("text", ["render", "invite[0]", "a b", "größe", "...", "r-1.1.0.1", "a/b"])
def test_ordinary_names_are_names(text: str) -> None:
    assert name_fault(text) is None


@given(TEXTS)
def test_a_name_is_one_line_that_utf_8_can_write(text: str) -> None:
    if name_fault(text) is None:
        assert 1 <= len(text.encode()) <= 800
        assert text.splitlines() == [text]
        assert line_fault(text) is None


@given(st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS))
def test_two_queues_or_shards_never_share_a_name(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    if all(name_fault(text) is None for text in (*one, *other)):
        assert (queue_name(*one) == queue_name(*other)) is (one == other)
        assert queue_name(*one) not in other
        queues = {
            queue_name(name, domain)
            for name in (one[0], other[0])
            for domain in (None, one[1], other[1])
        }
        shards = [shard for queue in queues for shard in shard_names(queue, MAX_SHARDS)]
        assert len({*shards}) == len(queues) * MAX_SHARDS
