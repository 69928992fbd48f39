"""The repository itself: what is committed, what is declared, and that nothing of one machine is in it."""

import ast
import csv
import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import tidy_notebooks

MAX_BYTES = 1_500_000  # weights of the demo systems are the largest files
BINARY = {".png", ".jpg", ".npz", ".safetensors", ".gz", ".wasm", ".onnx"}
# Names that pip and PyPI use for what is imported under another one.
IMPORTED_AS = {
    "fonttools": "fontTools",
    "beautifulsoup4": "bs4",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyspellchecker": "spellchecker",
    "pyyaml": "yaml",
}
WITH_TORCH = {"filelock"}  # torch itself requires it
WINGS = {
    "analysis", "benchmark", "book", "cli", "doctor", "download", "export", "playground", "prepare", "worlds",
    "zoo",
}  # fmt: skip


@pytest.fixture(scope="module")
def tracked(root: Path) -> list[Path]:
    """Every file that git tracks and that exists."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git clone: there is no list of what is committed")
    return [root / name for name in listing.stdout.split("\0") if name and (root / name).is_file()]


@pytest.fixture(scope="module")
def texts(tracked: list[Path]) -> dict[Path, str]:
    return {path: path.read_text(encoding="utf8") for path in tracked if path.suffix not in BINARY}


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def notebooks() -> list[Path]:
    return sorted(tidy_notebooks.BOOK.glob("*.ipynb"))


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebook_is_tidy(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf8"))
    assert tidy_notebooks.faults(notebook) == []


def test_tidying_finds_and_mends_every_fault() -> None:
    nbformat = pytest.importorskip("nbformat")
    cell = nbformat.v4.new_code_cell("1 + 1", metadata={"collapsed": True, "tags": ["hide-input"]})
    cell.outputs = [nbformat.v4.new_output("stream", text="2")]
    cell.execution_count = 3
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell("Text")])
    notebook.cells[1].id = cell.id
    notebook.metadata.kernelspec = {"name": "my-env", "display_name": "my-env"}
    found = "\n".join(tidy_notebooks.faults(notebook))
    for fault in (
        "metadata of the notebook",
        "no id of its own",
        "other metadata",
        "outputs",
        "execution count",
    ):
        assert fault in found
    tidy_notebooks.tidy(notebook)
    assert tidy_notebooks.faults(notebook) == []
    assert notebook.cells[0].metadata.tags == ["hide-input"]


def test_a_long_cell_is_a_fault() -> None:
    cell = {
        "cell_type": "code",
        "source": "x = 1\n" * 26,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    assert tidy_notebooks.cell_faults(cell) == ["has more than 25 lines"]
    cell["source"] = "x = 1\n" * 25
    assert tidy_notebooks.cell_faults(cell) == []


def test_files_are_small(tracked: list[Path]) -> None:
    most = {".safetensors": 4 * MAX_BYTES}  # weights, which compress no further
    assert [path.name for path in tracked if path.stat().st_size > most.get(path.suffix, MAX_BYTES)] == []


def test_nothing_of_one_machine(texts: dict[Path, str]) -> None:
    """A path of the machine it was written on, or a package registry's host, would not work elsewhere."""
    hosts = ["files.py" + "thonhosted", "registry.npm" + "js", "pypi" + ".org", "py" + "torch.org/whl"]
    places = re.compile(r"(?<![\w.])/(?:root|work|home/\w+|tmp/\w+)/")
    wrong = [
        f"{path.name}: {line.strip()[:80]}"
        for path, text in texts.items()
        for line in text.splitlines()
        if places.search(line) or any(host in line for host in hosts)
    ]
    assert wrong == []


def test_the_table_of_contents_lists_every_page(root: Path) -> None:
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    listed = set(re.findall(r"book/[\w/]+", json.dumps(toc)))
    pages = {
        str(path.relative_to(root).with_suffix(""))
        for suffix in ("*.md", "*.ipynb")
        for path in (root / "book").glob(suffix)
    }
    assert listed == pages


def modules(root: Path) -> list[str]:
    """Return the package's modules, e.g. "dmnet.datasets.files"."""
    files = sorted((root / "dmnet").rglob("*.py"))
    names = [
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in files
    ]
    return [name for name in names if not name.split(".")[-1].startswith("_")]


def test_every_module_has_a_place_in_the_reference(root: Path) -> None:
    """Modules of the core on its page, those of the wings on theirs."""
    pages = {path.stem: path.read_text() for path in sorted((root / "book").glob("api*.md"))}
    core = pages.pop("api") + pages.pop("api_core")
    parts = {"core": core, "wings": "\n".join(pages.values())}
    listed = {part: re.findall(r"automodule:: (dmnet[\w.]*)", text) for part, text in parts.items()}
    assert sorted(itertools.chain(*listed.values())) == sorted(modules(root))
    assert {name for name in listed["core"] if name.split(".")[1:2] and name.split(".")[1] in WINGS} == set()
    assert {name.split(".")[1] for name in listed["wings"]} == WINGS


def imported(folder: Path, root: Path) -> set[str]:
    """Return the top-level names that the Python files below a folder import from elsewhere."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).split(".")[0])
    own = {path.stem for place in ("tests", "tools", "book") for path in (root / place).rglob("*.py")} | {
        "dmnet",
        "tests",
    }
    return found - sys.stdlib_module_names - own


def declared(requirements: list[str]) -> set[str]:
    names = {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in requirements}
    return {IMPORTED_AS.get(name, name).replace("-", "_") for name in names}


def foreign_imports(tree: ast.AST, extra: str = "") -> Iterator[tuple[str, str]]:
    """What a module imports, but for types alone, and which extra it names where that is missing."""
    for node in ast.iter_child_nodes(tree):
        inside = extra
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.With) and isinstance(call := node.items[0].context_expr, ast.Call):
            inside = ast.literal_eval(call.args[0]) if ast.unparse(call.func) == "extra" else extra
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], extra) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module).split(".")[0], extra
        yield from foreign_imports(node, inside)


def test_the_package_imports_what_it_declares(root: Path, project: dict) -> None:
    """Everywhere what `pip install .` brings; an extra's inside `extra(...)` or in the wing of its name."""
    extras = {name: declared(wanted) for name, wanted in project["optional-dependencies"].items()}
    everywhere = declared(project["dependencies"]) | sys.stdlib_module_names | {"dmnet"} | WITH_TORCH
    wrong = []
    for path in (root / "dmnet").rglob("*.py"):
        wing = extras.get(path.relative_to(root / "dmnet").parts[0], set())
        for name, extra in foreign_imports(ast.parse(path.read_text())):
            if name not in everywhere | wing | extras.get(extra, set()):
                wrong.append(f"{path.relative_to(root)}: {name}")
    assert wrong == []
    uses = imported(root / "dmnet", root)
    assert declared(project["dependencies"]) <= uses, "a requirement that nothing imports"
    assert set().union(*(extras[name] for name in (WINGS - {"book"}) & extras.keys())) <= uses | {
        "onnxscript"
    }


def all_requirements(project: dict) -> list[str]:
    return [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]


def test_the_tests_import_what_is_declared(root: Path, project: dict) -> None:
    everything = declared(all_requirements(project))
    everything |= {"sphinx", "docutils", "myst_nb", "jupyter_cache"}  # they come with jupyter-book
    everything |= {"pytest"} | WITH_TORCH
    everything |= {"ssseg"}  # what tools/speed.py measures beside, where somebody installed it
    for folder in ("tests", "tools", "book"):
        assert imported(root / folder, root) <= everything


def test_every_requirement_is_pinned_for_the_build(root: Path, project: dict) -> None:
    pins = {
        re.split(r"==", line)[0].lower().replace("_", "-")
        for line in (root / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    names = {re.split(r"[\[<>=!~; ]", requirement)[0].lower() for requirement in all_requirements(project)}
    assert names - {"dmnet"} <= pins


def test_every_pin_admits_every_python_that_is_promised(root: Path, project: dict) -> None:
    assert project["requires-python"] == ">=3.11.4"  # the first with tarfile's filters
    promised = ("3.11.4", "3.12.0", "3.13.0", "3.14.0")
    pins = re.findall(r"^([\w.-]+)==", (root / "constraints.txt").read_text(), flags=re.M)
    here = {re.sub(r"[-_.]+", "-", one.name).lower(): one.metadata for one in distributions()}
    checked = [name for name in pins if name.lower() in here]  # a few belong to other systems
    assert len(checked) > 100
    for name in checked:
        wanted = SpecifierSet(here[name.lower()].get("Requires-Python") or "")
        assert [python for python in promised if python not in wanted] == [], name


def test_torch_and_torchvision_are_pinned_as_pairs(root: Path) -> None:
    text = (root / "constraints.txt").read_text()
    pins: dict[str, dict[str, tuple[int, int, int]]] = {}
    for name, version, machine in re.findall(r"^(torch|torchvision)==([\d.]+); (.+)$", text, flags=re.M):
        major, minor, patch = map(int, version.split("."))
        pins.setdefault(machine, {})[name] = (major, minor, patch)
    assert len(pins) == 2
    for pair in pins.values():  # torch 2.m.p belongs to torchvision 0.(m + 15).p
        _, minor, patch = pair["torch"]
        assert pair["torchvision"] == (0, minor + 15, patch)


def test_every_mutant_that_survives_has_a_reason(root: Path) -> None:
    with (root / "data" / "results" / "mutation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["why"] and row["before"] != row["after"]
        assert f"def {row['function'].split('.')[-1]}(" in (root / row["file"]).read_text(), row


def test_versions_agree(root: Path, project: dict) -> None:
    import dmnet

    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert dmnet.__version__ == project["version"] == citation["version"]


def test_readme_names_every_make_target(root: Path) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (root / "Makefile").read_text(), flags=re.M)
    readme = (root / "README.md").read_text()
    assert {"book", "serve", "test", "test-long", "lint", "clean"} <= set(targets)
    assert [name for name in targets if f"make {name}`" not in readme] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "data/README.md"])
def test_links_between_files_lead_somewhere(root: Path, name: str) -> None:
    path = root / name
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text()) + re.findall(r'src="([^"]+)"', path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []
