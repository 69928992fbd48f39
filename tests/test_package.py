"""What `import dmnet` offers, and what it leaves for later."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dmnet

MOVED = {"notebook": "book", "scores": "benchmark.scores", "submissions": "benchmark.submissions"}


def test_every_name_can_be_had() -> None:
    assert {"load_pretrained", "predict", "evaluate", "train", "overlay"} <= set(dmnet.__all__)
    for name in dir(dmnet):
        if not name.startswith("_"):  # `dmnet.__main__` is the command line
            assert getattr(dmnet, name) is not None
    assert dmnet.systems.names()


def test_editors_see_the_same_names() -> None:
    source = ast.parse(Path(dmnet.__file__).read_text())
    (block,) = (node for node in source.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == {name: f"dmnet.{home}" for name, home in dmnet._HOMES.items()}


@pytest.mark.parametrize("old", MOVED)
def test_what_has_moved_is_found_under_its_old_name(old: str) -> None:
    assert getattr(dmnet, old).__name__ == f"dmnet.{MOVED[old]}"
    assert dmnet._MOVED == MOVED


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, dmnet, dmnet.errors, dmnet.files; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not hasattr(dmnet, "predicted") and not hasattr(dmnet, "_predict")


def test_a_module_that_lacks_a_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "dmnet.plots", raising=False)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match="PIL"):
        dmnet.__getattr__("plots")
