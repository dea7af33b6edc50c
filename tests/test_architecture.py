"""The rules of the folder structure, read from the imports and from what a wheel holds."""

import ast
import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
LAYERS = ("games", "mcts", "selfplay", "training", "scripts")
OWNERS = {
    "mctx": {"mcts/reference.py"},
    "flax": {"training/network.py"},
    "optax": {"training/learner.py"},
    "orbax": set(),
    "tensorstore": {"training/storage/orbax_arrays.py"},
    "pgx": {"games/pgx_adapter.py"},
    "matplotlib": {"training/report/drawing.py"},
    "scipy": {"selfplay/rating/bradley_terry.py"},
    "tyro": {"scripts/terminal/console.py"},
    "rich": {"scripts/terminal/console.py"},
}


def imports(path: pathlib.Path) -> set[str]:
    """Returns the first part of each module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def sources() -> list[pathlib.Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def test_imports_go_one_way():
    for path in sources():
        layer = LAYERS.index(path.relative_to(ROOT).parts[0])
        above = imports(path) & set(LAYERS[layer + 1 :])
        assert not above, f"{path.relative_to(ROOT)} imports {above}, which lie above it"


def test_each_outside_library_has_one_owner_file():
    for path in sources():
        name = str(path.relative_to(ROOT))
        for library in imports(path) & set(OWNERS):
            assert name in OWNERS[library], f"{name} imports {library}, owned by {OWNERS[library]}"


def test_the_checker_sees_imports_inside_functions(tmp_path):
    file = tmp_path / "late.py"
    file.write_text("def f():\n    import optax.losses\n    from flax import nnx\n")
    assert imports(file) == {"optax", "flax"}


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
