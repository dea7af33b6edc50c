"""Values of JSON as frozen dataclasses, checked against their annotations.

An annotation is int, float, str, bool, a dataclass, `dict[str, X]`, `tuple[X, ...]`, a pair of
numbers, or `X | None`. An entry that is not there has its default; one that no field names is
passed over.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias, TypeVar

from selfplay.files import json_lines

Reader: TypeAlias = Callable[[Any, str], Any]  # of a value at a path, which its errors name
T = TypeVar("T")


def read(kind: type[T], value: Any) -> T:
    """Returns a value of JSON as a dataclass.

    Raises:
      ValueError: it does not fit; says which entry, as `a.b.0.c`.
    """
    made: T = _reader(typing.cast(Hashable, kind))(value, "")
    return made


@functools.cache
def _reader(kind: Hashable) -> Reader:
    """Returns what reads values that are annotated so."""
    arguments = typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _object_reader(typing.cast(type, kind))
    if isinstance(kind, types.UnionType):  # X | None
        some = _reader(arguments[0])
        return lambda value, path: None if value is None else some(value, path)
    if typing.get_origin(kind) is dict:
        each = _reader(arguments[1])
        return lambda value, path: {
            name: each(item, f"{path}.{name}") for name, item in _object(value, path).items()
        }
    if typing.get_origin(kind) is tuple:
        return _list_reader(_reader(arguments[0])) if arguments[1] is ... else _pair
    return SIMPLE[kind]


def _object_reader(kind: type) -> Reader:
    fields = [
        (field.name, _reader(typing.cast(Hashable, field.type)), _is_required(field))
        for field in dataclasses.fields(kind)
    ]

    def reader(value: Any, path: str) -> Any:
        entries, prefix = _object(value, path), f"{path}." if path else ""
        return kind(
            **{
                name: inner(entries.get(name), f"{prefix}{name}")
                for name, inner, required in fields
                if required or name in entries
            }
        )

    return reader


def _is_required(field: Any) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def _list_reader(each: Reader) -> Reader:
    def reader(value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{path!r} must be a list")
        return tuple(each(item, f"{path}.{i}") for i, item in enumerate(value))

    return reader


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path!r} must be an object")
    return value


def _is_number(value: Any) -> bool:
    # What json would write as one, too: NumPy's float64 is a float.
    return json_lines.is_number(float(value) if isinstance(value, float) else value)


def _pair(value: Any, path: str) -> tuple[Any, Any]:
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value))):
        raise ValueError(f"{path!r} must be two numbers")
    return value[0], value[1]


def _number(value: Any, path: str) -> Any:
    if not _is_number(value):
        raise ValueError(f"{path!r} must be a number")
    return value


def _whole(value: Any, path: str) -> Any:
    if not isinstance(_number(value, path), int):
        raise ValueError(f"{path!r} must be a whole number")
    return value


def _text(value: Any, path: str) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{path!r} must be text")
    return value


def _flag(value: Any, path: str) -> Any:
    if not isinstance(value, bool):
        raise ValueError(f"{path!r} must be true or false")
    return value


SIMPLE: dict[Hashable, Reader] = {int: _whole, float: _number, str: _text, bool: _flag}
