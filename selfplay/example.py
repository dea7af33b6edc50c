"""A training example of the replay: its columns, as files and checks know them.

A field of `Sample` is a column that every run has. An entry of `TARGETS` is one that a run has if
its setting `targets` asks for it (docs/targets.md). Readers of a run need no jax, so neither does
this file.
"""

import dataclasses
import enum
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_type_hints

import numpy as np


class Kind(enum.Enum):
    """What a column holds of one example: its shape, and how a symmetry of the game acts on it."""

    SCALAR = "scalar"  # [], a symmetry leaves it as it is
    ACTION = "action"  # [], the number of an action: its image's number
    PER_ACTION = "per action"  # [A], moves with the actions
    PER_CELL = "per cell"  # [H, W] of a board, moves with the cells; as the game is observed
    OBSERVATION = "observation"  # [H, W, C] of a board, likewise


class Column(NamedTuple):
    """One column of the replay."""

    kind: Kind
    dtype: str


class Sample(NamedTuple):
    """Replay examples, N of them; values are for the seat that was to play.

    Truth values may be `Bits`.
    """

    # Or the dtype that the game documents.
    observation: Annotated[np.ndarray, Column(Kind.OBSERVATION, "bool")]
    legal_action_mask: Annotated[np.ndarray, Column(Kind.PER_ACTION, "bool")]
    policy_target: Annotated[np.ndarray, Column(Kind.PER_ACTION, "float16")]
    # The action played.
    action: Annotated[np.ndarray, Column(Kind.ACTION, "int16")]
    # The search's value of each action.
    q: Annotated[np.ndarray, Column(Kind.PER_ACTION, "float16")]
    # The game's return, the search's value, the network's value.
    outcome: Annotated[np.ndarray, Column(Kind.SCALAR, "float32")]
    root_value: Annotated[np.ndarray, Column(Kind.SCALAR, "float32")]
    raw_value: Annotated[np.ndarray, Column(Kind.SCALAR, "float32")]
    # Of the example in the loss.
    weight: Annotated[np.ndarray, Column(Kind.SCALAR, "float32")]
    ply: Annotated[np.ndarray, Column(Kind.SCALAR, "int32")]
    # Unique in the run.
    game_id: Annotated[np.ndarray, Column(Kind.SCALAR, "int64")]
    # The training step of the weights that searched.
    weights_step: Annotated[np.ndarray, Column(Kind.SCALAR, "int64")]
    # By name: what the run also learns, and float32[N], 0 for an example that has no such target.
    targets: Mapping[str, np.ndarray] = {}
    target_weights: Mapping[str, np.ndarray] = {}


class Target(NamedTuple):
    """A target that a run may learn beside policy and value."""

    column: Column
    # When it is known: as a ply is played; from the last position of its game; from all plies of
    # the game, such as how many are left; or from the example itself, which then stores a weight
    # alone.
    at: Literal["ply", "end", "game", "example"]


# docs/targets.md says what each is; `training/targets.py` how.
TARGETS: dict[str, Target] = {
    "final_board": Target(Column(Kind.PER_CELL, "int8"), at="end"),
    "margin": Target(Column(Kind.SCALAR, "float32"), at="end"),
    "reply": Target(Column(Kind.PER_ACTION, "float16"), at="game"),
    "short_value": Target(Column(Kind.SCALAR, "float32"), at="game"),
    "action_values": Target(Column(Kind.PER_ACTION, "float32"), at="example"),
    "soft_policy": Target(Column(Kind.PER_ACTION, "float32"), at="example"),
}


class Form(NamedTuple):
    """What an array holds for each example."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def bytes(self) -> int:
        """Returns the bytes of an example."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def zeros(self, count: int) -> np.ndarray:
        """Returns so many examples of zeros."""
        return np.zeros((count, *self.shape), self.dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Bits:
    """Truth values of examples, bool[N, *row], in a bit each; `np.asarray` gives them unpacked."""

    data: Any  # uint8[N, K], as `np.packbits` makes it of a row
    row: tuple[int, ...]  # the shape of an example's values

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""
        return (*self.data.shape[:-1], *self.row)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the values."""
        return np.dtype(bool)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, chosen: Any) -> "Bits":
        """Returns the chosen examples."""
        return Bits(self.data[chosen], self.row)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Returns the values, bool unless another dtype is asked for."""
        del copy  # they are always new
        values = np.unpackbits(np.asarray(self.data), axis=-1, count=math.prod(self.row))
        return values.view(bool).reshape(self.shape).astype(dtype or bool, copy=False)


def packed(values: Any) -> Any:
    """Returns a column of examples as it is held in memory: of truth values a bit each.

    An array of NumPy stays one, and one of jax, traced or not.
    """
    if isinstance(values, Bits) or values.dtype != bool or values.ndim == 1:
        return values
    rows = values.reshape(len(values), math.prod(values.shape[1:]))
    return Bits(values.__array_namespace__().packbits(rows, axis=1), values.shape[1:])


def held(form: Form) -> Form:
    """Returns the form in memory of examples of a form."""
    one = packed(form.zeros(1))
    one = one.data if isinstance(one, Bits) else one
    return Form(one.shape[1:], one.dtype)


_WEIGHT = Column(Kind.SCALAR, "float32")  # of a target
_PER_TARGET = ("targets", "target_weights")
OF_TARGETS = tuple(f"{field}/" for field in _PER_TARGET)  # begin the flat names of their columns
COLUMNS: dict[str, Column] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Sample, include_extras=True).items()
    if name not in _PER_TARGET
}


def column(name: str) -> Column | None:
    """Returns the definition of a column by its flat name, None if there is no such column."""
    field, _, target = name.partition("/")
    if field == "targets":
        return TARGETS[target].column
    return _WEIGHT if field == "target_weights" else COLUMNS.get(name)


def shape(kind: Kind, observation_shape: tuple[int, ...], num_actions: int) -> tuple[int, ...]:
    """Returns the shape of what a column holds of one example."""
    shapes = {
        Kind.PER_ACTION: (num_actions,),
        Kind.PER_CELL: observation_shape[:-1] or observation_shape,  # `cells_of`, without jax
        Kind.OBSERVATION: observation_shape,
    }
    return shapes.get(kind, ())


def form(column: Column, game: Any) -> Form:
    """Shape and dtype of a column for one example of a game."""
    found = shape(column.kind, tuple(game.observation_shape), game.num_actions)
    return Form(found, np.dtype(column.dtype))


def target_forms(targets: Collection[str], game: Any) -> dict[str, Form]:
    """Returns the forms of the columns that a run has for its targets, by flat name."""
    stored = [name for name in targets if TARGETS[name].at != "example"]
    values = {f"targets/{name}": form(TARGETS[name].column, game) for name in stored}
    return values | {f"target_weights/{name}": form(_WEIGHT, game) for name in targets}


def forms(game: Any, targets: Collection[str] = ()) -> dict[str, Form]:
    """Returns the forms of all columns by flat name; observations bool, as most games have them."""
    core = {name: form(column, game) for name, column in COLUMNS.items()}
    return core | target_forms(targets, game)


def parse_targets(text: str) -> dict[str, float]:
    """Returns the weight in the loss of each target, from text such as `margin=0.1,reply=0.15`.

    Raises:
      ValueError: no such target, or no weight above 0.
    """
    weights: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, weight = part.partition("=")
        if name not in TARGETS:
            known = ", ".join(TARGETS)
            raise ValueError(f"targets: there is no target {name!r}; there are {known}")
        if name in weights:
            raise ValueError(f"targets: {name!r} is named twice")
        try:
            weights[name] = float(weight)
        except ValueError:
            weights[name] = 0.0
        if not 0 < weights[name] < float("inf"):
            raise ValueError(f"targets must be NAME=WEIGHT, a weight above 0, got {part!r}")
    return weights


def target_problems(text: str) -> list[str]:
    """The faults of a text that `parse_targets` takes."""
    try:
        parse_targets(text)
    except ValueError as error:
        return [str(error)]
    return []


# ---- examples as columns -------------------------------------------------------------------------

R = TypeVar("R")  # a NamedTuple of arrays, and of dicts of arrays


def flat(examples: Any) -> dict[str, Any]:
    """Returns the arrays of a tuple of columns by name: of a dict in it, as `targets/NAME`."""
    columns: dict[str, Any] = {}
    for field, value in examples._asdict().items():
        if isinstance(value, Mapping):
            columns |= {f"{field}/{name}": part for name, part in value.items()}
        else:
            columns[field] = value
    return columns


def nested(kind: type[R], columns: Mapping[str, Any]) -> R:
    """Returns the tuple whose columns are given by flat name."""
    fields: dict[str, Any] = {}
    for name, value in columns.items():
        field, _, part = name.partition("/")
        if part:
            fields.setdefault(field, {})[part] = value
        else:
            fields[field] = value
    return kind(**fields)


def take(examples: Sample, chosen: Any) -> Sample:
    """Returns the chosen examples."""
    return nested(Sample, {name: column[chosen] for name, column in flat(examples).items()})


def concatenate(parts: Sequence[Sample]) -> Sample:
    """Returns the examples of all parts, which have the same columns."""
    columns = [flat(part) for part in parts]
    return nested(Sample, {n: _joined([part[n] for part in columns]) for n in columns[0]})


def _joined(parts: Sequence[Any]) -> Any:
    if all(isinstance(part, Bits) for part in parts):
        return Bits(np.concatenate([part.data for part in parts]), parts[0].row)
    return np.concatenate([np.asarray(part) for part in parts])


def make(observation: np.ndarray, **columns: Any) -> Sample:
    """Returns examples of which some columns are given, as the definition wants them.

    A number stands for one in each example. What is not given is 0, but for `weight`, which is 1.
    """
    count, given = len(observation), {"weight": 1.0, **columns}
    filled = {}
    for name, column in COLUMNS.items():
        if name == "observation":
            filled[name] = observation
            continue
        shape = given["legal_action_mask"].shape if column.kind is Kind.PER_ACTION else (count,)
        value = np.asarray(given.get(name, 0), column.dtype)
        filled[name] = value if value.shape == shape else np.full(shape, value)
    return nested(Sample, filled)


# ---- examples as rows: a minibatch is one gather on the host, and one transfer ------------------


class Layout(NamedTuple):
    """What a row holds, column after column."""

    columns: tuple[tuple[str, Form], ...]  # by flat name, the form of an example's values

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of a row in NumPy, a field a column; truth values as bits."""
        forms = [(name, held(form)) for name, form in self.columns]
        return np.dtype([(name, form.dtype, form.shape) for name, form in forms])


def layout_of(columns: Mapping[str, Any]) -> Layout:
    """Returns the layout of rows that hold these columns."""
    forms = {name: Form(column.shape[1:], column.dtype) for name, column in columns.items()}
    return Layout(tuple(forms.items()))


def fill_rows(rows: np.ndarray, columns: Mapping[str, Any], places: Any = slice(None)) -> None:
    """Puts examples into rows of a layout, at `places`."""
    for name, column in columns.items():
        values = packed(column)
        rows[name][places] = values.data if isinstance(values, Bits) else values


def columns_of(rows: np.ndarray, layout: Layout) -> dict[str, Any]:
    """Returns the columns of rows, by flat name."""
    return {
        name: Bits(rows[name], form.shape) if held(form) != form else rows[name]
        for name, form in layout.columns
    }
