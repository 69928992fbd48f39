"""One address of the project, or none: who gives it, what an index shows, what a first cell installs."""

import functools
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
for folder in ("tools", "book/extensions"):
    sys.path.insert(0, str(ROOT / folder))
downloads = importlib.import_module("downloads")
repository = importlib.import_module("repository")
set_repository = importlib.import_module("set_repository")

GITHUB = "https://github.com/someone/book"


def listed() -> list[str]:
    """Every file that is, or will be, committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        pytest.skip("not a git clone: there is no list of what is committed")
    return [name for name in listing.stdout.split("\0") if (ROOT / name).is_file()]


def copy(names: list[str], target: Path) -> Path:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy(listed(), tmp_path_factory.mktemp("clone"))


def set_address(clone: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "tools/set_repository.py", *words]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True)


def texts(clone: Path) -> dict[str, str]:
    names = ["_config.yml", "README.md", "CONTRIBUTING.md", "pyproject.toml", "CITATION.cff"]
    names += [str(path.relative_to(clone)) for path in clone.glob("book/*.ipynb")]
    return {name: (clone / name).read_text(encoding="utf8") for name in names}


def first_cell(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf8"))["cells"]
    return "".join(next(cell for cell in cells if cell["cell_type"] == "code")["source"])


def test_the_files_give_the_address_that_is_set() -> None:
    assert [str(path.relative_to(ROOT)) for path, _ in set_repository.changes()] == []


def test_an_address_goes_into_every_file_and_out_again(clone: Path) -> None:
    assert set_address(clone, "").returncode == 0
    empty = texts(clone)
    assert [name for name, text in empty.items() if "someone/book" in text] == []
    assert "git clone <this repository> dmnet" in empty["CONTRIBUTING.md"]
    assert "](data/README.md)" in empty["README.md"] and "[project.urls]" not in empty["pyproject.toml"]

    assert set_address(clone, GITHUB).returncode == 0
    full = texts(clone)
    assert [name for name, text in full.items() if GITHUB not in text or "<this repository>" in text] == []
    assert all(f"git+{GITHUB}@main" in full[name] for name in full if name.endswith(("README.md", ".ipynb")))
    assert f"git clone {GITHUB} dmnet" in full["CONTRIBUTING.md"]
    assert f"]({GITHUB}/raw/main/book/assets/overview.png)" in full["README.md"]
    assert f'repository-code: "{GITHUB}"' in full["CITATION.cff"]
    assert set_address(clone, "--check").returncode == 0

    other = "https://gitlab.com/group/other"
    assert set_address(clone, other).returncode == 0
    assert f"]({other}/-/raw/main/book/assets/overview.png)" in (clone / "README.md").read_text()
    assert not any("someone/book@" in text or f"{GITHUB}/" in text for text in texts(clone).values())
    assert set_address(clone, "").returncode == 0
    assert texts(clone) == empty


def test_a_file_that_does_not_agree_is_named(clone: Path) -> None:
    assert set_address(clone, "").returncode == 0
    citation, chapter = clone / "CITATION.cff", clone / "book" / "01_scale.ipynb"
    for path, text in ((citation, citation.read_text()), (chapter, chapter.read_text())):
        path.write_text(
            text.replace("license:", f'repository-code: "{GITHUB}"\nlicense:', 1).replace("whl", "zip")
        )
        done = set_address(clone, "--check")
        assert done.returncode != 0 and f"says: {path.relative_to(clone)}; mended by" in done.stderr
        path.write_text(text)
    assert set_address(clone, "--check").returncode == 0


@pytest.mark.parametrize(
    "url", ["github.com/owner/name", "https://a b", 'https://h/"o"/n', "https://h/o/n@v"]
)
def test_an_address_that_pip_cannot_use_is_refused(clone: Path, url: str) -> None:
    before = texts(clone)
    done = set_address(clone, url)
    assert done.returncode != 0 and "one like https://host/owner/name is needed" in done.stderr
    assert texts(clone) == before


def build(clone: Path, target: Path) -> Path:
    """Return the wheel of a clone; hatchling refuses classifiers that an index does not know."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    (wheel,) = target.glob("*.whl")
    return wheel


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode("utf8"))


@pytest.mark.slow
def test_on_an_index_links_and_picture_of_the_readme_hold(clone: Path, tmp_path: Path) -> None:
    assert set_address(clone, GITHUB).returncode == 0
    shown = metadata(build(clone, tmp_path))
    assert set_address(clone, "").returncode == 0
    urls = dict(url.split(", ") for url in shown.get_all("Project-URL"))
    assert urls["Repository"] == GITHUB and {"Changelog", "Issues"} <= urls.keys()
    assert (
        shown["License-Expression"] == "Apache-2.0" and shown["Description-Content-Type"] == "text/markdown"
    )
    assert len(shown.get_all("Classifier")) > 10 and shown["Summary"] and shown["Keywords"]

    addresses = re.findall(r"\]\(([^)]*)\)", shown.get_payload())
    assert len(addresses) >= 7 and f"{GITHUB}/raw/main/book/assets/overview.png" in addresses
    found = [
        re.fullmatch(rf"{GITHUB}/(?:blob|raw)/main/(.+)", one) for one in [*addresses, urls["Changelog"]]
    ]
    assert all(one and (clone / one[1]).is_file() for one in found), addresses


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that has all that the package requires, but not the package."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    libraries = folder / "libraries"
    libraries.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "dmnet" not in entry.name and entry.suffix != ".pth":
            (libraries / entry.name).symlink_to(entry)
    program = folder / "bin" / "python"
    paths = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    (Path(paths) / "libraries.pth").write_text(str(libraries))
    return program


USES = """
import dmnet.files
scene = dmnet.datasets.load("demo_scale", split="test", size=1)[0][0]
labels = dmnet.predict(dmnet.load_pretrained("demo_scale"), scene)
assert labels.shape == scene.shape[:2] and dmnet.files.shipped("reference", "fill_weights.py").is_file()
print("from", dmnet.__file__)
"""


def run_first_cell(python: Path, notebook: Path, uses: str = USES, **environ: str) -> str:
    """Run a notebook's first cell in its folder, and lines that use what it installs; pip is offline."""
    program = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "for code in sys.argv[1:]: shell.run_cell(code).raise_error()"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DMNET_HOME")}
    clean |= {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environ}
    clean |= {
        "XDG_CACHE_HOME": str(notebook.parent / "cache"),
        "IPYTHONDIR": str(notebook.parent / "ipython"),
    }
    command = [str(python), "-c", program, first_cell(notebook), uses]
    run = subprocess.run(command, cwd=notebook.parent, env=clean, capture_output=True, text=True)
    return run.stdout + run.stderr


def installed(python: Path, said: str) -> None:
    """Check that the package came into the environment, and take it out again."""
    assert f"from {python.parents[1]}" in said, said
    subprocess.run([str(python), "-m", "pip", "uninstall", "-qy", "dmnet"], check=True)


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the address that a server on this machine gives it."""
    folder = tmp_path_factory.mktemp("served")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
def test_a_notebook_from_the_zip_installs_the_wheel_beside_it(python: Path, tmp_path: Path) -> None:
    downloads.write_zip(tmp_path / "first.zip")
    downloads.write_zip(tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        archive.extractall(tmp_path / "my folder")
    (folder,) = (tmp_path / "my folder").iterdir()
    wanted = {path.name for path in ROOT.glob("book/*.ipynb")}
    others = {path.name for path in folder.iterdir()} - wanted
    assert len(others) == 2 and "README.txt" in others
    (wheel,) = others - {"README.txt"}
    assert wheel in (folder / "README.txt").read_text()
    installed(python, run_first_cell(python, folder / "welcome.ipynb"))


@pytest.mark.slow
def test_a_notebook_alone_installs_from_the_address(
    python: Path, clone: Path, served: tuple[Path, str], tmp_path: Path
) -> None:
    assert set_address(clone, f"{served[1]}/repository").returncode == 0
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *words], cwd=clone, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", clone, served[0] / "repository"], check=True)
    subprocess.run(["git", "update-server-info"], cwd=served[0] / "repository", check=True)
    alone = Path(shutil.copy(clone / "book" / "welcome.ipynb", tmp_path))
    assert set_address(clone, "").returncode == 0
    # The builder, too, is here already: an environment of its own would ask the network for it. That what the
    # package requires is asked for, and that a wheel predicts, is held by the test above.
    options = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_NO_COMPILE": "1"}
    installed(python, run_first_cell(python, alone, "print('from', dmnet.__file__)", **options))


@pytest.mark.slow
def test_a_notebook_alone_without_an_address_says_what_to_do(
    python: Path, clone: Path, tmp_path: Path
) -> None:
    assert set_address(clone, "").returncode == 0
    said = run_first_cell(python, Path(shutil.copy(clone / "book" / "01_scale.ipynb", tmp_path)))
    assert "FileNotFoundError: the package is not here: put its file dmnet-*.whl beside this notebook" in said


def test_binder_brings_the_pytorch_that_the_package_asks_for() -> None:
    wanted = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text())["dependencies"]
    project = (ROOT / "pyproject.toml").read_text()
    bounds = dict(one.split(">=") for one in wanted if ">=" in one)
    assert bounds.keys() == {"pytorch-cpu", "torchvision"}
    for name, bound in bounds.items():
        assert f'"{name.replace("py", "").removesuffix("-cpu")}>={bound}"' in project
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK)


SERVICES = {"colab_url": "https://c", "kaggle_url": "https://k", "binderhub_url": "https://b"}


@pytest.mark.parametrize(
    ("url", "shown", "services"),
    [
        ("", "", []),
        ("http://127.0.0.1:8000/name", "", []),
        ("https://example.org/owner/name", "", []),
        (f"{GITHUB}.git", GITHUB, ["colab_url", "kaggle_url", "binderhub_url"]),
        ("https://gitlab.com/owner/name/", "https://gitlab.com/owner/name", ["binderhub_url"]),
    ],
)
def test_the_theme_gets_the_buttons_that_an_address_is_good_for(
    url: str, shown: str, services: list[str]
) -> None:
    options = {"repository_url": url, "launch_buttons": dict(SERVICES)}
    repository.choose_buttons(SimpleNamespace(), SimpleNamespace(html_theme_options=options))
    assert options["repository_url"] == shown
    assert options["use_edit_page_button"] == options["use_repository_button"] == bool(shown)
    assert list(options["launch_buttons"]) == services


def leading(page: Path) -> set[str]:
    """Return where the buttons at the top of a page lead."""
    soup = BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")
    return {str(link["href"]) for link in soup.select(".article-header-buttons a[href]")}


def test_buttons_of_the_book_lead_out_of_it_only_with_an_address() -> None:
    page = ROOT / "_build" / "html" / "book" / "01_scale.html"
    if not page.is_file():
        pytest.skip("the book is not built: `make book` builds it")
    address, links = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"], leading(page)
    assert any("://" in link for link in links) == bool(address)
    assert any(link.endswith("_sources/book/01_scale.ipynb") for link in links)


@pytest.mark.slow
def test_a_page_has_the_buttons(tmp_path: Path) -> None:
    """A small book with our settings, built by Jupyter Book itself."""
    copy(["_config.yml", "book/references.bib", "book/extensions/repository.py"], tmp_path)
    config = (tmp_path / "_config.yml").read_text()
    config = config.replace('  url: ""', f'  url: "{GITHUB}"', 1)
    config = re.sub(r"^    (?!repository)\w+: book/extensions\n", "", config, flags=re.M)
    config = re.sub(r"^(logo:|  favicon:|    html_(static_path|css_files):).*\n", "", config, flags=re.M)
    (tmp_path / "_config.yml").write_text(config)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/small\n")
    small = {"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# Small"}]}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    small |= {"metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "book" / "small.ipynb").write_text(json.dumps(small))
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", ".", "-W", "-n", "--keep-going"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    links = leading(tmp_path / "_build/html/book/small.html")
    place, hub = "blob/main/book/small.ipynb", "https://mybinder.org/v2/gh/someone/book/main"
    wanted = {
        GITHUB,
        f"{GITHUB}/edit/main/book/small.ipynb",
        f"https://colab.research.google.com/github/someone/book/{place}",
        f"https://www.kaggle.com/kernels/welcome?src={GITHUB}/{place}",
        f"{hub}?urlpath=lab/tree/book/small.ipynb",
    }
    assert {link for link in links if "://" in link} == wanted
    assert any(link.endswith("_sources/book/small.ipynb") for link in links)
