"""The drawn shapes match docs/reference/openapi.json."""

from __future__ import annotations

from typing import get_type_hints, is_typeddict

import pytest

from shiftwork.api import shapes
from tools.draw_shapes import MODULE, draw

SHAPES = [value for value in vars(shapes).values() if is_typeddict(value)]


def test_the_shapes_match_the_document() -> None:
    assert MODULE.read_text() == draw(), "run: python tools/draw_shapes.py"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_type_that_a_shape_names_is_defined(shape: type) -> None:
    assert get_type_hints(shape).keys() == shape.__annotations__.keys()
