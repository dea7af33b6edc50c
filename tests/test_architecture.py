"""The rules of the folder structure, read from the imports and from what a wheel holds."""

import ast
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
LAYERS = ("games", "mcts", "selfplay", "training", "scripts")
# Who may import an outside library: files, or rooms, which end with a slash.
OWNERS = {
    "mctx": {"mcts/reference.py"},
    "flax": {"training/network.py"},
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


def test_no_file_is_named_for_nothing():
    vague = {"utils.py", "common.py", "helpers.py", "types.py"}
    assert not [path for path in sources() if path.name in vague]


def test_a_wheel_holds_every_package():
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in sources()}
    assert set(named) == {".".join(folder.parts) for folder in folders}


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
