"""The size of the house and its stairs: lines, floors, what an import loads, what every docstring says.

A *floor* is one above everything that it imports, imports inside of functions counted. The *core* is what a
student reads; the *wings* are what it takes to get data, compare, export and show.
"""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CORE_LINES, ALL_LINES, FLOORS, BASE_REQUIREMENTS = 3_600, 10_500, 9, 10  # at most
WINGS = {
    "analysis", "benchmark", "book", "cli", "doctor", "download", "export", "playground", "prepare", "worlds",
    "zoo",
}  # fmt: skip
DOORS = {("dmnet.datasets", "dmnet.worlds"), ("dmnet.systems", "dmnet.zoo")}  # imported when asked for
# What a student reads from top to bottom: the network, data, training, inference, metrics.
READING = {
    "backbone", "datasets", "dynamic", "inference", "losses", "metrics", "model", "sampling", "training",
    "transforms", "upsampling",
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package, parsed, by its name."""
    files = sorted((ROOT / "dmnet").rglob("*.py"))
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in files]
    names = [".".join(part).removesuffix(".__init__") for part in parts]
    return {name: ast.parse(path.read_text("utf8")) for name, path in zip(names, files, strict=True)}


def part(name: str) -> str:
    """The folder or file below dmnet/ that a module belongs to."""
    return name.split(".")[1] if "." in name else name


def lines(parts: set[str] | None = None) -> int:
    """Lines of all modules, or of those that belong to these parts; docstrings and blank lines count."""
    files = {path: path.relative_to(ROOT / "dmnet").parts[0] for path in (ROOT / "dmnet").rglob("*.py")}
    wanted = [path for path, first in files.items() if parts is None or first.removesuffix(".py") in parts]
    return sum(len(path.read_text("utf8").splitlines()) for path in wanted)


def core() -> set[str]:
    """The parts that are neither a wing nor an entrance to one."""
    found = {path.relative_to(ROOT / "dmnet").parts[0] for path in (ROOT / "dmnet").rglob("*.py")}
    return {name.removesuffix(".py") for name in found} - WINGS - {"__main__"}


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules of the package that are imported anywhere in a module, but for the sake of types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            deeper = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in sources() else str(node.module) for name in deeper)
        yield from imports(node)


@cache
def graph() -> dict[str, set[str]]:
    """What each module imports, the two doors left out."""
    return {
        name: {other for other in imports(tree) if other in sources() and (name, other) not in DOORS} - {name}
        for name, tree in sources().items()
    }


def test_the_core_is_small() -> None:
    assert core() >= READING
    assert lines(core()) <= CORE_LINES


def test_the_whole_is_small() -> None:
    assert lines() <= ALL_LINES


def test_nothing_imports_in_circles_and_the_house_is_low() -> None:
    floors: dict[str, int] = {}
    for name in graphlib.TopologicalSorter(graph()).static_order():  # a circle is an error
        floors[name] = 1 + max((floors[other] for other in graph()[name]), default=0)
    assert [f"{name}: {floor}" for name, floor in floors.items() if floor > FLOORS] == []


def test_the_core_imports_no_wing_but_through_the_doors() -> None:
    wrong = [
        f"{name} -> {other}"
        for name, others in graph().items()
        for other in others
        if part(name) not in WINGS | {"__main__"} and part(other) in WINGS
    ]
    assert wrong == []


def loaded(code: str) -> set[str]:
    """What a fresh Python has loaded after some code."""
    code = f"import sys\n{code}\nprint('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("module", ["dmnet.backbone", "dmnet.dynamic", "dmnet.datasets"])
def test_what_is_imported_is_what_is_loaded(module: str) -> None:
    found = loaded(f"import {module}")
    assert len([name for name in found if name.split(".")[0] == "dmnet"]) <= 4
    assert {"torchvision", "cv2", "PIL", "pandas", "matplotlib", "pydantic", "safetensors"} & found == set()
    assert ("torch" in found) == (module != "dmnet.datasets")


@pytest.mark.parametrize("arguments", [["--help"], ["systems"], None])
def test_the_command_line_answers_before_pytorch_is_there(arguments: list[str] | None) -> None:
    run = f"from dmnet.cli import main\ntry: main({arguments})\nexcept SystemExit as end: assert not end.code"
    found = loaded(run if arguments else "import dmnet")
    assert {"torch", "dmnet.training", "dmnet.doctor", "dmnet.worlds"} & found == set()


def test_the_readme_tells_the_truth_about_the_size() -> None:
    readme = " ".join((ROOT / "README.md").read_text("utf8").split())
    found = re.search(r"a core of ([\d,]+) lines, of which ([\d,]+) are", readme)
    assert found, "README.md says: a core of N lines, of which M are what one reads from top to bottom"
    assert found.groups() == (f"{lines(core()):,}", f"{lines(READING):,}")


def public(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


def test_every_docstring_says_where_the_book_shows_it() -> None:
    pages = {path.stem for path in (ROOT / "book").iterdir() if path.suffix in {".md", ".ipynb"}}
    wrong = []
    for name, tree in sources().items():
        if part(name) in {"cli", "__main__"}:  # its docstrings are what --help prints
            continue
        for node in public(tree):
            named = set(re.findall(r"\{doc\}`([\w/]+)`", ast.get_docstring(node) or ""))
            if not named or not named <= pages:
                wrong.append(f"{name}.{node.name}")
    assert wrong == []


def test_few_packages_are_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    assert len(project["dependencies"]) <= BASE_REQUIREMENTS
