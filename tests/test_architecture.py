"""The house as docs/architecture.md draws it: which way imports point, what is short.

Each check is a function from a tree of modules to a list of complaints; the tests expect none, and the
self-tests at the end show on small trees that each check can fail.
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
TOP = "handful"

LAYERS = (  # highest first; rooms of one line do not know each other
    ("__main__",),
    ("cli",),
    ("demo", "studio", "learn"),
    ("serve", "batch"),
    ("report", "exporters"),
    ("training",),
    ("telling",),
    ("results",),
    ("card",),
    ("evaluation", "suggesting"),
    ("classifier",),
    ("audit", "finetune"),
    ("frozen",),
    ("features", "heads"),
    ("engines",),
    ("steps",),
    ("networks",),
    ("artefact",),
    ("data",),
    ("notebook",),
    ("metrics",),
    ("config",),
    ("backbones",),
    ("progress", "files", "extras", "plain", "arrays", "contents"),
    ("errors", "version"),
)
DEPTH = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}

KERAS_ROOMS = ("networks", "finetune", "steps", "engines.keras_engine", "exporters")
KERAS = {"tensorflow", "keras"}
ONE_FILE = ("ai_edge_litert", "ray")
NO_NOUN = {"utils", "util", "helpers", "misc"}
FILE_LINES, FILE_LIMIT, BODY_LIMIT, BODY_MEDIAN = 400, 500, 60, 8

# Every exception to a rule, with its reason: (check, what) -> why.
EXCEPTIONS: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Module:
    """One parsed source file; `name` without the package ("data.images"; "" for the package itself)."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Import:
    """One import: of what (full name), on which line, and whether it runs when the file is loaded."""

    target: str
    line: int
    on_load: bool


Tree = dict[str, Module]


def read(source: Path) -> Tree:
    """Parse every file of the package below `source`."""
    modules: Tree = {}
    for path in sorted((source / TOP).rglob("*.py")):
        parts = path.relative_to(source / TOP).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8")))
    return modules


@cache
def house() -> Tree:
    return read(SOURCE)


def imports(module: Module, tree: Tree) -> list[Import]:
    """Every import of a module, those inside functions and under TYPE_CHECKING included."""
    nodes = _nodes(module.tree, on_load=True)
    found = [Import(t, node.lineno, on_load) for node, on_load in nodes for t in _targets(node, module, tree)]
    return list(dict.fromkeys(found))


def _nodes(node: ast.AST, on_load: bool) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.expr):
            yield child, on_load
        yield from _nodes(child, on_load and not _runs_later(child))


def _runs_later(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _targets(node: ast.AST, module: Module, tree: Tree) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        origin = _absolute(node, module)
        return [_member(origin, alias.name, tree) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
        first = node.args[0]
        return [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
    return []


def _absolute(node: ast.ImportFrom, module: Module) -> str:
    if not node.level:
        return node.module or ""
    parts = [TOP, *module.name.split(".")] if module.name else [TOP]
    drop = node.level - (module.path.name == "__init__.py")
    return ".".join([*parts[: len(parts) - drop], *([node.module] if node.module else [])])


def _member(origin: str, name: str, tree: Tree) -> str:
    """`from handful.data import images` imports a module, `from handful.errors import DataError` does not."""
    whole = f"{origin}.{name}"
    return whole if whole.removeprefix(f"{TOP}.") in tree else origin


def inner(target: str, tree: Tree) -> str | None:
    """The module of our own that `target` names, or None for a foreign one."""
    parts = target.split(".")
    while parts[1:] and parts[0] == TOP:
        if (name := ".".join(parts[1:])) in tree:
            return name
        parts.pop()
    return None


# Checks -------------------------------------------------------------------------------------------


def unknown_rooms(tree: Tree) -> list[str]:
    return sorted({f"{m.room}: not in LAYERS" for m in tree.values() if m.name and m.room not in DEPTH})


def upward_imports(tree: Tree) -> list[str]:
    """Imports of a room above, of one on the same line, or of no known room."""
    wrong = []
    for module in tree.values():
        for found in imports(module, tree) if module.name else ():
            top, _, room = found.target.partition(".")
            room = room.partition(".")[0] if top == TOP else ""
            if room and room != module.room and DEPTH.get(room, -1) <= DEPTH.get(module.room, -1):
                wrong.append(f"{module.name}:{found.line} imports {found.target}")
    return wrong


def imports_from_the_top(tree: Tree) -> list[str]:
    """`import handful` and `from handful import X` inside the package: the knot that cycles begin with."""
    below = [module for module in tree.values() if module.name]
    found = [(module, one) for module in below for one in imports(module, tree)]
    return [f"{m.name}:{i.line} imports {i.target}" for m, i in found if i.target == TOP]


def cycles(tree: Tree) -> list[str]:
    """Each import cycle between modules once, as a path; imports inside functions counted."""
    graph = {
        m.name: {inner(i.target, tree) for i in imports(m, tree)} - {None, m.name} for m in tree.values()
    }
    found: dict[frozenset[str], str] = {}
    done: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            ring = trail[trail.index(name) :]
            found.setdefault(frozenset(ring), " -> ".join([*ring, name]))
        elif name not in done:
            for target in sorted(filter(None, graph[name])):
                visit(target, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return list(found.values())


def keras_on_load(tree: Tree) -> list[str]:
    """Modules outside the Keras rooms that load Keras, directly or through a module they load."""
    loads = {m.name: [i.target for i in imports(m, tree) if i.on_load] for m in tree.values()}
    brings: dict[str, str] = {}  # module -> the import of it that ends in Keras
    grown = -1
    while grown != len(brings):
        grown = len(brings)
        for name, targets in loads.items():
            via = [t for t in targets if t.partition(".")[0] in KERAS or inner(t, tree) in brings]
            brings |= {name: via[0]} if via else {}
    return [f"{name}: loads {via}" for name, via in brings.items() if not _may_load_keras(name)]


def _may_load_keras(name: str) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in KERAS_ROOMS)


def users_of(foreign: str, tree: Tree) -> list[str]:
    return sorted(m.name for m in tree.values() if any(_is_of(i.target, foreign) for i in imports(m, tree)))


def _is_of(target: str, package: str) -> bool:
    return target == package or target.startswith(f"{package}.")


def talkative_rooms(tree: Tree) -> list[str]:
    """Rooms whose `__init__.py` is anything but a docstring."""
    doors = [m for m in tree.values() if m.name and m.path.name == "__init__.py"]
    return [m.name for m in doors if ast.get_docstring(m.tree) is None or len(m.tree.body) != 1]


def names_without_a_noun(tree: Tree) -> list[str]:
    return [m.name for m in tree.values() if NO_NOUN & set(m.name.split("."))]


def long_files(tree: Tree, limit: int = FILE_LINES) -> list[str]:
    lengths = {m.name: len(m.path.read_text(encoding="utf-8").splitlines()) for m in tree.values()}
    return [f"{name}: {lines} lines" for name, lines in lengths.items() if lines > limit]


def bodies(tree: Tree) -> dict[str, int]:
    """Lines of each function's body, its docstring and functions without code left out."""
    lengths = {}
    for module in tree.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (lines := _body_lines(node)):
                lengths[f"{module.name}:{node.lineno} {node.name}"] = lines
    return lengths


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body or (len(body) == 1 and ast.unparse(body[0]) == "..."):
        return 0
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1


def long_functions(tree: Tree) -> list[str]:
    return [f"{name}: {lines} lines" for name, lines in bodies(tree).items() if lines > BODY_LIMIT]


def without_exceptions(check: str, complaints: list[str]) -> list[str]:
    """Leave out what the table excuses; the part of a complaint before ":" is what it is about."""
    return [line for line in complaints if (check, line.partition(":")[0]) not in EXCEPTIONS]


# The package as it stands -------------------------------------------------------------------------


def test_every_room_is_in_the_plan() -> None:
    assert unknown_rooms(house()) == []


def test_a_room_imports_only_what_stands_below_it() -> None:
    assert without_exceptions("layers", upward_imports(house())) == []


def test_nothing_inside_the_package_imports_from_its_top() -> None:
    assert imports_from_the_top(house()) == []


def test_no_import_goes_round_in_a_circle() -> None:
    assert cycles(house()) == []


def test_keras_is_loaded_at_module_level_only_in_its_rooms() -> None:
    assert without_exceptions("keras", keras_on_load(house())) == []


@pytest.mark.parametrize("foreign", ONE_FILE)
def test_a_foreign_library_has_one_file(foreign: str) -> None:
    assert len(users_of(foreign, house())) <= 1


def test_the_door_of_a_room_is_only_a_docstring() -> None:
    assert talkative_rooms(house()) == []


def test_every_file_is_named_after_a_noun() -> None:
    assert names_without_a_noun(house()) == []


def test_files_are_short() -> None:
    assert without_exceptions("file", long_files(house())) == []


def test_no_file_is_longer_than_the_hard_limit() -> None:
    assert long_files(house(), FILE_LIMIT) == []


def test_no_function_is_long() -> None:
    assert without_exceptions("function", long_functions(house())) == []


def test_most_functions_are_very_short() -> None:
    assert statistics.median(bodies(house()).values()) <= BODY_MEDIAN


def test_every_exception_has_a_reason() -> None:
    assert all(len(reason.split()) >= 3 for reason in EXCEPTIONS.values())


# Self-tests: each check can fail ------------------------------------------------------------------

_DOOR = '"""Room."""\n'
_LONG = "def f():\n" + "    x = 1\n" * 61
Check = Callable[[Tree], list[str]]


def _tree(root: Path, files: dict[str, str]) -> Tree:
    for name, text in files.items():
        path = root / TOP / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read(root)


_CAUGHT: list[tuple[Check, dict[str, str], str]] = [
    (unknown_rooms, {"attic.py": ""}, "attic"),
    (upward_imports, {"files.py": "from handful.config import C", "config.py": ""}, "files:1"),
    (upward_imports, {"data/a.py": "def f():\n    import handful.training", "training.py": ""}, "data.a:2"),
    (upward_imports, {"heads/a.py": "from handful.features import b", "features/b.py": ""}, "heads.a:1"),
    (upward_imports, {"data/a.py": "from ..training import t", "training.py": ""}, "data.a:1"),
    (upward_imports, {"errors.py": "import_module('handful.files')", "files.py": ""}, "errors:1"),
    (imports_from_the_top, {"__init__.py": "", "data/a.py": "from handful import train"}, "data.a:1"),
    (imports_from_the_top, {"__init__.py": "", "data/a.py": "import handful"}, "data.a:1"),
    (cycles, {"data/a.py": "import handful.data.b", "data/b.py": "def f():\n from . import a"}, "data.a -> "),
    (keras_on_load, {"data/a.py": "try:\n    import keras.ops\nexcept ImportError: pass"}, "data.a"),
    (keras_on_load, {"data/a.py": "class C:\n    import tensorflow as tf"}, "data.a"),
    (
        keras_on_load,
        {"training.py": "from handful.networks import b", "networks/b.py": "import keras"},
        "training",
    ),
    (talkative_rooms, {"data/__init__.py": '"""Room."""\nX = 1'}, "data"),
    (talkative_rooms, {"data/__init__.py": ""}, "data"),
    (names_without_a_noun, {"data/utils.py": ""}, "data.utils"),
    (long_files, {"files.py": "\n" * 401}, "files: 401"),
    (long_functions, {"files.py": _LONG}, "files:1 f: 61"),
]


@pytest.mark.parametrize(("check", "files", "complaint"), _CAUGHT)
def test_a_breach_is_caught(check: Check, files: dict[str, str], complaint: str, tmp_path: Path) -> None:
    found = check(_tree(tmp_path, files))
    assert len(found) == 1
    assert found[0].startswith(complaint)


def test_what_the_plan_allows_is_not_caught(tmp_path: Path) -> None:
    later = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import keras\ndef f():\n    import keras"
    )
    files = {
        "__init__.py": "from handful.training import go",
        "data/__init__.py": _DOOR,
        "data/images.py": f"{later}\nfrom handful.errors import E\nfrom handful.data import row",
        "data/row.py": "",
        "networks/cut.py": "import keras",
        "errors.py": "",
        "training.py": "from handful.data.images import f\ndef g():\n    from handful.networks import cut",
    }
    tree = _tree(tmp_path, files)
    checks: set[Check] = {check for check, _, _ in _CAUGHT}
    assert [line for check in checks for line in check(tree)] == []


def test_a_second_user_of_a_foreign_library_is_counted(tmp_path: Path) -> None:
    tree = _tree(tmp_path, {"a.py": "import ray", "b.py": "from ray.data import x", "c.py": "import rays"})
    assert users_of("ray", tree) == ["a", "b"]


def test_bodies_are_counted_without_docstrings_and_stubs(tmp_path: Path) -> None:
    text = 'def f():\n    """Long\n\n    words."""\n    x = 1\n    return x\n\ndef g():\n    ...\n'
    assert bodies(_tree(tmp_path, {"files.py": text})) == {"files:1 f": 2}


def test_an_exception_excuses_only_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCEPTIONS, ("file", "a"), "one table, read by eye")
    assert without_exceptions("file", ["a: 401 lines", "b: 402 lines"]) == ["b: 402 lines"]
