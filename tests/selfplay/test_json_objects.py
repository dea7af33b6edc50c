"""JSON as dataclasses: what fits, and how what does not fit is named."""

import dataclasses
import os

import numpy as np
import pytest

from selfplay.files import json_lines, json_objects


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaf:
    share: float
    count: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    name: str
    sure: bool = False
    range: tuple[float, float] | None = None
    leaves: tuple[Leaf, ...] = ()
    by_name: dict[str, Leaf] = dataclasses.field(default_factory=dict)


def test_a_file_of_one_object_is_read_within_its_bound(tmp_path):
    path = tmp_path / "object.json"
    path.write_text('{"a": 1}')
    assert json_lines.read_object(path, 8) == {"a": 1}
    with pytest.raises(ValueError, match=r"object\.json: it has more than 7 bytes"):
        json_lines.read_object(path, 7)
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"object\.json: it holds no JSON object"):
        json_lines.read_object(path)
    path.unlink()
    os.mkfifo(path)
    # Open at both ends, or a reader that opens it would hang this test.
    with open(os.open(path, os.O_RDWR), "rb"), pytest.raises(OSError, match="pipe"):
        json_lines.read_object(path)


def test_a_whole_object_is_read_and_entries_that_are_not_named_are_passed_over():
    value = {
        **{"name": "a", "sure": True, "range": [0, 1.5], "new": {"b": 1}},
        **{"leaves": [{"share": 1, "newer": []}], "by_name": {"x": {"share": 0.5, "count": 3}}},
    }
    assert json_objects.read(Tree, value) == Tree(
        name="a",
        sure=True,
        range=(0, 1.5),
        leaves=(Leaf(share=1),),
        by_name={"x": Leaf(share=0.5, count=3)},
    )


def test_an_entry_that_is_not_there_has_its_default_and_null_is_none():
    assert json_objects.read(Tree, {"name": "a", "range": None}) == Tree(name="a")
    assert json_objects.read(Leaf, {"share": np.float64(0.5)}).share == 0.5


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": 3}, "name"),
        ({"sure": 1}, "sure"),
        ({"range": [1]}, "range"),
        ({"range": [1, float("nan")]}, "range"),
        ({"leaves": {}}, "leaves"),
        ({"leaves": [{"share": 1}, {}]}, "leaves.1.share"),
        ({"leaves": [{"share": True}]}, "leaves.0.share"),
        ({"leaves": None}, "leaves"),
        ({"by_name": {"x": {"share": 1, "count": 1.5}}}, "by_name.x.count"),
        ({"by_name": {"x": 3}}, "by_name.x"),
        ({"by_name": {"x": {"share": 10**400}}}, "by_name.x.share"),
    ],
)
def test_what_does_not_fit_is_named_by_its_path(change, path):
    with pytest.raises(ValueError, match=rf"^'{path}' must be "):
        json_objects.read(Tree, {"name": "a"} | change)
