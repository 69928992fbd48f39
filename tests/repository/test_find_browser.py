"""Which browser the tests drive, and what is tried where there is none."""

from pathlib import Path

import conftest
import find_browser
import pytest


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No browser anywhere; the commands that would get one are recorded, and fail."""
    commands: list[str] = []

    def fails(*command: str) -> bool:
        commands.append(" ".join([Path(command[0]).name, *command[1:]]))
        return False

    monkeypatch.setattr(find_browser, "find", lambda: None)
    monkeypatch.setattr(find_browser, "succeeds", fails)
    monkeypatch.setattr(find_browser.shutil, "which", lambda name: f"/usr/bin/{name}")
    return commands


def test_as_root_debians_package_comes_first(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_browser.os, "geteuid", lambda: 0, raising=False)
    find_browser.main()
    assert tried[0].startswith("apt-get") and tried[0].endswith("update")
    assert tried[-1].endswith("-m playwright install chromium")


def test_others_are_left_their_system(
    tried: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(find_browser.os, "geteuid", lambda: 1000, raising=False)
    find_browser.main()
    assert len(tried) == 1 and "apt-get" not in tried[0]
    assert "THERE IS NO BROWSER" in capsys.readouterr().err


def test_one_that_is_there_is_taken(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(
        find_browser.shutil, "which", lambda name: f"/usr/bin/{name}" if "chrome" in name else None
    )
    assert find_browser.find() == "/usr/bin/google-chrome"
    monkeypatch.setattr(find_browser, "succeeds", lambda *command: pytest.fail("nothing is to be installed"))
    monkeypatch.setattr(find_browser, "OTHERS", {"firefox": (lambda: "/usr/bin/firefox", ["firefox-esr"])})
    find_browser.main()


def test_the_others_are_asked_of_debian(tried: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_browser, "find", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(find_browser, "find_shell", lambda: None)
    monkeypatch.setattr(find_browser, "succeeds", lambda *command: tried.append(" ".join(command)) or True)
    others = {"firefox": (lambda: None, ["firefox-esr"]), "webkit": (lambda: "x", ["webkit2gtk-driver"])}
    monkeypatch.setattr(find_browser, "OTHERS", others)
    monkeypatch.setattr(find_browser.os, "geteuid", lambda: 0, raising=False)
    find_browser.main()
    asked = [command.split()[-1] for command in tried if " install " in command]
    assert asked == ["chromium-headless-shell", "firefox-esr"]
    tried.clear()
    monkeypatch.setattr(find_browser.os, "geteuid", lambda: 1000, raising=False)
    find_browser.main()
    assert tried == []


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_without_one_the_tests_are_skipped_and_fail_in_ci(
    ci: str, outcome: type[BaseException], tried: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="needs the Chromium browser"):
        conftest.browser_to_drive()
