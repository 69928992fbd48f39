"""Progress bars are for people: a terminal or a notebook, never a log."""

import sys

import pytest

from dmnet import progress


class Terminal:
    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMNET_QUIET", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def test_silent_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.progress(range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_shown_on_a_terminal_unless_told_to_be_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert progress.watched()
    assert not progress.progress(range(3)).disable
    monkeypatch.setenv("DMNET_QUIET", "1")
    assert not progress.watched()


def test_shown_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert progress.watched()
