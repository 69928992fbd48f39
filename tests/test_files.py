"""Files are written completely or not at all; progress bars are for people, never a log."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmnet import errors, files
from dmnet.files import atomic_write, data_dir, shipped


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@given(content=st.binary(max_size=4096), old=st.none() | st.binary(max_size=64))
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, old: bytes | None
) -> None:
    target = tmp_path_factory.mktemp("write") / "weights.safetensors"
    if old is not None:
        target.write_bytes(old)
    with atomic_write(target) as temporary:
        temporary.write_bytes(content)
        assert (target.read_bytes() if target.exists() else None) == old  # not there before the block ends
    assert target.read_bytes() == content
    assert names(target.parent) == [target.name]


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("no")]
)
def test_a_failed_write_changes_nothing(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "log.csv"
    target.write_text("old")
    with pytest.raises(type(error)), atomic_write(target) as temporary:
        temporary.write_text("half of the n")
        raise error
    assert target.read_text() == "old"
    assert names(tmp_path) == ["log.csv"]


def test_a_killed_write_changes_nothing(tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    program = (
        "import sys, time; from dmnet.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(target)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    assert target.read_bytes() == b"old"


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with atomic_write(target) as first, atomic_write(target) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() == "first"  # the outer block ends last, and wins as a whole
    assert names(tmp_path) == ["a.txt"]


def test_the_temporary_file_keeps_the_suffix_and_folder(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "new" / "folder" / "mask.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == (tmp_path / "new" / "folder").resolve()
        temporary.touch()


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing was written"), atomic_write(tmp_path / "a"):
        pass


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with atomic_write(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_write(tmp_path / "atomic") as temporary:
        temporary.touch()
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


def test_data_lie_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DMNET_HOME", str(tmp_path))
    assert data_dir() == tmp_path


def test_data_lie_in_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMNET_HOME", raising=False)
    root = Path(__file__).parents[1]
    assert data_dir() == root / "data"
    assert shipped("README.md") == root / "data" / "README.md"
    assert shipped("README.md").is_file()


def test_data_of_an_installed_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMNET_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "site-packages" / "dmnet")
    assert tmp_path / "site-packages" not in data_dir().parents
    assert data_dir().name == "dmnet"
    assert shipped("weights", "a") == tmp_path / "site-packages" / "dmnet" / "_data" / "weights" / "a"


def test_every_error_can_be_caught_as_one() -> None:
    raised = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    assert len(raised) == 6
    for error in raised:
        assert issubclass(error, errors.DMNetError)
        assert issubclass(error, ValueError)


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left.*weights"), atomic_write(tmp_path / "weights"):
        raise OSError(28, "No space left on device")
    with pytest.raises(OSError, match="'other'"), atomic_write(tmp_path / "weights"):
        raise OSError(28, "No space left on device", "other")


class Terminal:
    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None: ...


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DMNET_QUIET", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


@pytest.mark.usefixtures("nobody")
def test_silent_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(files.progress(range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("nobody")
def test_shown_on_a_terminal_unless_told_to_be_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert files.interactive()
    assert not files.progress(range(3)).disable
    monkeypatch.setenv("DMNET_QUIET", "1")
    assert not files.interactive()


@pytest.mark.usefixtures("nobody")
def test_shown_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert files.interactive()
