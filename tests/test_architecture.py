"""The rules of the folder structure, read from the imports and from what a wheel holds."""

import ast
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
LAYERS = ("games", "mcts", "selfplay", "training", "scripts")
# Who may import an outside library: files, or rooms, which end with a slash.
OWNERS = {
    "mctx": {"mcts/reference.py"},
    "flax": {"training/networks/"},
    "optax": {"training/learner.py"},
    "orbax": set(),
    "pgx": {"games/pgx_adapter.py"},
    "pyspiel": {"games/conformance/reference.py"},
    "matplotlib": {"training/report/drawing.py"},
    "scipy": {"selfplay/rating/bradley_terry.py"},
    "ray": {"training/workers/"},
    "onnx": {"training/export/"},
    "onnxruntime": {"training/export/"},
    "safetensors": {"training/export/"},
    "tyro": {"scripts/terminal/options.py"},
    "rich": {"scripts/terminal/console.py"},
    "starlette": {"scripts/web/"},
    "uvicorn": {"scripts/web/"},
}
# An algorithm file is one beside the rooms of a package: `mcts/search.py`. These are the rooms that
# it may import; all others attach themselves to it, by being passed in or named in a table.
ALGORITHMS = LAYERS[:-1]
OPEN_ROOMS = {"files", "storage", "amplify"}
# How many files of ours an import loads at most, packages counted too.
CLOSURES = {
    "training.run": 80,
    "training.players": 62,
    "training.learner": 24,  # no search: it learns from rows
    "selfplay.self_play": 36,
}
# What a person in the field would search for. Beside these, a game may begin with its own name.
TERMS = re.compile(
    r"""\b(amplify|auxiliary.target|backup|board|checkpoint|child.process|configuration|data.parallelism
    |distill?|FLOP|game|Gumbel|hyperparameter|KL.divergence|learning.rate|loss|MCTS|mctx|metric
    |multi.host.training|training.(loop|step)
    |NaN|network|optimizer|pgx|player|plug.in|policy|position|preset|PRNG|PUCT|registry|replay
    |search|self.play|setting|simulation|spelling.suggestion|symmetr(y|ie)|task.queue|training.example
    |trajectory|tree|untrusted.code)(s|es)?\b""",
    re.IGNORECASE | re.VERBOSE,
)


def imports(path: pathlib.Path) -> set[str]:
    """Returns the first part of each module that a file imports, anywhere in it."""
    libraries = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            libraries |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            libraries.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call):
            libraries |= {name.partition(".")[0] for name in named_in_call(node)}
    return libraries


def sources() -> list[pathlib.Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def test_imports_go_one_way():
    for path in sources():
        layer = LAYERS.index(path.relative_to(ROOT).parts[0])
        above = imports(path) & set(LAYERS[layer + 1 :])
        assert not above, f"{path.relative_to(ROOT)} imports {above}, which lie above it"


def modules() -> dict[str, pathlib.Path]:
    """Returns each module's file by its dotted name; a package's is its `__init__.py`."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sources()
    }


def origin(node: ast.ImportFrom, path: pathlib.Path) -> str:
    """Returns the whole name of the module that `from X import ...` in a file names."""
    if not node.level:
        return node.module or ""
    package = path.relative_to(ROOT).parent.parts
    return ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])


def named_in_call(node: ast.Call) -> set[str]:
    """Returns the module that `import_module("...")` or `__import__("...")` names."""
    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
    text = node.args[0] if node.args else None
    late = called in ("import_module", "__import__") and isinstance(text, ast.Constant)
    return {str(text.value)} if late else set()


def imported_modules(path: pathlib.Path, known: dict[str, pathlib.Path]) -> set[str]:
    """Returns which of the `known` modules a file imports, anywhere in it."""
    result = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            result |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Call):
            result |= named_in_call(node)
        elif isinstance(node, ast.ImportFrom):
            module = origin(node, path)
            within = {f"{module}.{alias.name}" for alias in node.names}
            result |= (within & known.keys()) or {module}
    return result & known.keys()


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Returns the names along a circle of a graph; none if there is no circle."""
    finished: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in finished:
            return []
        for other in sorted(graph.get(name, ())):
            if found := walk(other, [*way, name]):
                return found
        finished.add(name)
        return []

    return next((way for name in sorted(graph) if (way := walk(name, []))), [])


def rooms(graph: dict[str, set[str]], known: dict[str, pathlib.Path]) -> dict[str, set[str]]:
    """Returns the graph of rooms: of the folders within a layer, and of the files beside them."""

    def room(name: str) -> str:
        return ".".join(known[name].relative_to(ROOT).with_suffix("").parts[:2])

    result: dict[str, set[str]] = {}
    for name, others in graph.items():
        result.setdefault(room(name), set()).update(map(room, others))
    return {name: others - {name} for name, others in result.items()}


def test_no_files_and_no_rooms_import_each_other_in_a_circle():
    known = modules()
    graph = {name: imported_modules(path, known) - {name} for name, path in known.items()}
    assert not circle(graph), " imports ".join(circle(graph))
    assert not circle(rooms(graph, known)), " imports ".join(circle(rooms(graph, known)))


def test_a_circle_is_found_wherever_it_is_and_nothing_else_is():
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d", "b"]
    known = {
        name: ROOT / f"{name.replace('.', '/')}.py"
        for name in ("training.run", "training.room.a", "training.room.b")
    }
    graph = {"training.run": {"training.room.a"}, "training.room.b": {"training.run"}}
    assert circle(graph) == []
    assert circle(rooms(graph, known)) == ["training.room", "training.run", "training.room"]


def owns(name: str, owners: set[str]) -> bool:
    """Returns whether a file is an owner, or lies in a room that is one."""
    return any(name == owner or (owner[-1] == "/" and name.startswith(owner)) for owner in owners)


def test_a_room_may_own_a_library_and_its_neighbours_do_not():
    assert owns("training/workers/pool.py", {"training/workers/"})
    assert not owns("training/workers.py", {"training/workers/"})
    assert not owns("training/network.py.py", {"training/network.py"})


def test_processes_of_ours_are_started_by_one_helper():
    """With `-P` or `-I`: code in the current folder must not stand for a module of ours."""
    own = {"selfplay/children.py", "games/conformance/purity.py"}
    named = {
        str(path.relative_to(ROOT)) for path in sources() if "sys.executable" in path.read_text()
    }
    assert named == own


def test_each_outside_library_has_one_owner_file():
    for path in sources():
        name = str(path.relative_to(ROOT))
        for library in imports(path) & set(OWNERS):
            assert owns(name, OWNERS[library]), (
                f"{name} imports {library}, owned by {OWNERS[library]}"
            )


def test_the_checker_sees_imports_inside_functions(tmp_path):
    file = tmp_path / "late.py"
    file.write_text("def f():\n    import optax.losses\n    from flax import nnx\n")
    assert imports(file) == {"optax", "flax"}


def test_the_checker_sees_every_way_to_import_a_module_of_ours(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "training" / "room" / "a.py"
    file.parent.mkdir(parents=True)
    known = dict.fromkeys(("training.run", "training.room", "training.room.b"), file)
    for text, wanted in (
        ("import training.run as x", "training.run"),
        ("from training import run", "training.run"),
        ("from training.run import train", "training.run"),
        ("def f():\n    from .. import run", "training.run"),
        ("from ..run import train", "training.run"),
        ("from . import b", "training.room.b"),
        ("from .b import c", "training.room.b"),
        ("from training.room import c", "training.room"),
        ("importlib.import_module('training.run')", "training.run"),
        ("x = __import__('training.run')", "training.run"),
    ):
        file.write_text(text + "\n")
        assert imported_modules(file, known) == {wanted}, text


def algorithm_files() -> list[pathlib.Path]:
    return [path for layer in ALGORITHMS for path in sorted((ROOT / layer).glob("*.py"))]


def room_of(path: pathlib.Path) -> str:
    """Returns the room that a file of an algorithm's package lies in; empty for none."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if len(parts) > 2 and parts[0] in ALGORITHMS else ""


def closed_rooms(path: pathlib.Path, known: dict[str, pathlib.Path]) -> set[str]:
    """Returns the rooms that a file imports, anywhere in it, and an algorithm file must not."""
    return {room_of(known[name]) for name in imported_modules(path, known)} - OPEN_ROOMS - {""}


def test_an_algorithm_file_imports_no_room_but_files_storage_and_amplify():
    known = modules()
    for path in algorithm_files():
        name, found = path.relative_to(ROOT).as_posix(), closed_rooms(path, known)
        assert not found, f"{name} imports of the rooms {found}: pass it in"


def planted(root: pathlib.Path, files: dict[str, str]) -> None:
    """Writes files below `root`, and what makes their folders packages."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in (path.parent, *path.parent.parents):
            if folder == root:
                break
            (folder / "__init__.py").touch()
        path.write_text(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from selfplay.gtp import engine", {"gtp"}),
        ("def f():\n    import selfplay.gtp.engine", {"gtp"}),
        ("from selfplay import gtp", {"gtp"}),
        ("importlib.import_module('selfplay.gtp.engine')", {"gtp"}),
        ("from selfplay.files import npz\nfrom selfplay.amplify import slot", set()),
        ("from selfplay import example\nimport scripts.web.app", set()),
    ],
)
def test_an_algorithm_file_that_imports_a_room_is_found(text, found, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    rooms = dict.fromkeys((f"selfplay/{room}.py" for room in ("gtp/engine", "row")), "")
    open_rooms = {"selfplay/files/npz.py": "", "selfplay/amplify/slot.py": "import selfplay.gtp"}
    breach = {"training/a.py": text, "scripts/web/app.py": ""}
    planted(tmp_path, {**rooms, **open_rooms, **breach})
    known = modules()
    assert closed_rooms(tmp_path / "training/a.py", known) == found
    checked = [path.relative_to(tmp_path).as_posix() for path in algorithm_files()]
    assert "training/a.py" in checked
    assert "selfplay/amplify/slot.py" not in checked
    assert "scripts/web/app.py" not in checked


def loaded(module: str) -> list[pathlib.Path]:
    """Returns the files of ours that are loaded by `import module`, in a new process."""
    code = (
        f"import sys, {module}\n"
        "print(*(m.__file__ for m in [*sys.modules.values()] if getattr(m, '__file__', None)),"
        " sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = {pathlib.Path(line) for line in done.stdout.splitlines()}
    return sorted(files & {*sources()})


def test_an_import_of_the_core_stays_under_its_bound_and_out_of_the_rooms():
    for module, most in CLOSURES.items():
        files = loaded(module)
        names = [path.relative_to(ROOT).as_posix() for path in files]
        assert len(files) <= most, f"import {module} loads {len(files)} files:\n" + "\n".join(names)
        # Here also what the open rooms import, of which the rule above knows nothing.
        assert {room_of(path) for path in files} <= {*OPEN_ROOMS, ""}, (module, names)


def test_the_files_that_an_import_loads_are_counted(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    texts = {
        "training/a.py": "import json\nfrom training import b\nif False:\n    import training.c",
        "training/b.py": "def f():\n    import training.c\nimport training.room.d",
        "training/c.py": "",
        "training/room/d.py": "",
    }
    planted(tmp_path, texts)
    names = ["__init__.py", "a.py", "b.py", "room/__init__.py", "room/d.py"]
    assert loaded("training.a") == [tmp_path / "training" / name for name in names]
    monkeypatch.setitem(globals(), "CLOSURES", {"training.a": 4})
    with pytest.raises(AssertionError, match=r"import training\.a loads 5 files"):
        test_an_import_of_the_core_stays_under_its_bound_and_out_of_the_rooms()
    monkeypatch.setitem(globals(), "CLOSURES", {"training.a": 5})
    with pytest.raises(AssertionError, match="room/d"):
        test_an_import_of_the_core_stays_under_its_bound_and_out_of_the_rooms()


def searched_for(path: pathlib.Path) -> bool:
    """Returns whether a file's first line has a word that a person would search for."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    line = text.partition("\n")[0]
    own_name = path.stem.replace("_", ".")
    is_game = path.parent == ROOT / "games" and re.match(own_name, line, re.IGNORECASE)
    return bool(is_game or TERMS.search(line))


def test_the_first_line_of_an_algorithm_file_has_a_term_of_the_field():
    """That it is the right one, no test can tell."""
    for path in algorithm_files():
        name = path.relative_to(ROOT).as_posix()
        assert searched_for(path), f"{name}: no term of the field in its first line"


def test_a_first_line_in_words_of_our_own_is_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    lines = {
        "training/a.py": '"""What the lot of the others owes."""',
        "training/b.py": '"""The replayed."""',
        "training/c.py": '"""What is what.\n\nThe replay buffer.\n"""',
        "training/d.py": "x = 1",
        "training/nim.py": '"""Nim: take matches."""',
        "games/nim.py": '"""Nim: take matches."""',
        "training/e.py": '"""The replay buffer."""',
        "training/f.py": '"""FLOP/s: of self-play."""',
    }
    planted(tmp_path, lines)
    found = {name for name in lines if searched_for(tmp_path / name)}
    assert found == {"games/nim.py", "training/e.py", "training/f.py"}


def test_no_file_is_named_for_nothing():
    vague = {"utils.py", "common.py", "helpers.py", "types.py"}
    assert not [path for path in sources() if path.name in vague]


def test_a_wheel_holds_every_package_but_the_developers():
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in sources()}
    assert {*named, "scripts.developer"} == {".".join(folder.parts) for folder in folders}
    assert "scripts.developer" not in named


def test_the_map_of_files_names_all_that_are_there_and_no_others():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for layer in LAYERS:
        section = text.partition(f"### `{layer}/`")[2].partition("###")[0]
        named = set(re.findall(r"`([\w/]+\.py)`", section))
        files = {
            str(path.relative_to(ROOT / layer))
            for path in (ROOT / layer).rglob("*.py")
            if path.name != "__init__.py"
        }
        assert named - {"__init__.py"} == files, layer


def test_no_test_module_imports_another():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in getattr(node, "names", [])]
            named = [m for m in modules if any(p.startswith("test_") for p in m.split("."))]
            assert not named, f"{path.relative_to(ROOT)} imports {named}: share it in tests/support"


def test_hints_and_look_ups_name_our_distribution_and_extras_that_it_has():
    """`selfplay` on the package index is somebody else's: no hint may install it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pages = [ROOT / "README.md", ROOT / "constraints.txt", *(ROOT / "docs").rglob("*.md")]
    texts = {path: path.read_text() for path in [*sources(), *pages]}
    named = (
        r"""pip install (?:-e )?'?([\w.-]+)|metadata\.version\(['"]([\w-]+)|"""
        r"""dependencies = \["([\w-]+)"""
    )
    others = {"tensorboardX", "bitbully"}  # of other people, by intent
    for path, text in texts.items():
        for match in re.finditer(named, text):
            name = next(filter(None, match.groups())).rstrip(".") or "."
            assert name in {project["name"], ".", *others}, f"{path.relative_to(ROOT)}: {match[0]}"
        for extra in re.findall(r"selfplay-zero\[(\w+)\]|'\.\[(\w+)\]'", text):
            assert "".join(extra) in project["optional-dependencies"], path.relative_to(ROOT)
    assert sum("selfplay-zero[" in text for text in texts.values()) > 3
