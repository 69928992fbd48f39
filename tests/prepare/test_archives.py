"""Archives that are dangerous, damaged, too large or interrupted; each kind in the true format."""

import contextlib
import io
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmnet import prepare
from dmnet.errors import DataError
from dmnet.prepare import unpack

FILES = {"set/a.txt": b"a" * 3000, "set/deep/b.bin": random.Random(0).randbytes(2_500_000), "set/empty": b""}
KINDS = ["tar", "tgz", "zip"]


def pack(path: Path, files: dict[str, bytes], kind: str) -> Path:
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if kind == "tgz" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def found(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A folder to unpack in; what is beside it must not change."""
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


def refuses(archive: Path, inside: Path, match: str, **options: object) -> None:
    before = {path for path in inside.parent.rglob("*") if path != archive}
    with pytest.raises(DataError, match=match) as caught:
        unpack(archive, inside / "out", **options)
    assert archive.name in str(caught.value)
    assert {path for path in inside.parent.rglob("*") if path != archive} == before


# What is right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_unpacks_everything_and_leaves_nothing_else(kind: str, tmp_path: Path, inside: Path) -> None:
    unpack(pack(tmp_path / "misnamed", FILES, kind), inside / "new" / "out")
    assert found(inside) == {f"new/out/{name}": content for name, content in FILES.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_unpacks_a_part(kind: str, tmp_path: Path, inside: Path) -> None:
    files = {
        "./set/cls/a": b"1",
        "set/cls/b": b"2",
        "set/cls2/c": b"3",
        "set/list": b"4",
        "other/cls/d": b"5",
    }
    archive = pack(tmp_path / "x", files, kind)
    unpack(archive, inside / "out", part="set", only=("cls", "list"))
    assert found(inside / "out") == {"cls/a": b"1", "cls/b": b"2", "list": b"4"}


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,3}(/[a-z]{4,6}){0,2}\.x", fullmatch=True), st.binary(max_size=99)
    ),
    st.sampled_from(KINDS),
)
def test_any_files_come_back(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], kind: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    archive = pack(folder / "archive", files, kind)
    if files:
        unpack(archive, folder / "out")
        assert found(folder / "out") == files
    else:
        with pytest.raises(DataError, match="holds no files"):
            unpack(archive, folder / "out")


def test_owners_and_permissions_of_the_archive_come_to_nothing(tmp_path: Path, inside: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("program")
        info.mode, info.uid = 0o6777, 0
        archive.addfile(info)
    unpack(tmp_path / "x.tar", inside / "out")
    assert not (inside / "out" / "program").stat().st_mode & 0o7022


def test_a_folder_that_exists_is_kept(tmp_path: Path, inside: Path) -> None:
    (inside / "out").mkdir()
    (inside / "out" / "mine").touch()
    refuses(pack(tmp_path / "x.zip", FILES, "zip"), inside, "could not be unpacked")


# What is dangerous ---------------------------------------------------------------------------------------

ELSEWHERE = ["../evil", "a/../../evil", "/evil", "\\evil", "..\\evil", "C:/evil", "a/..", "a:stream"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_path_leaves_the_folder(name: str, kind: str, tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x", {"good": b"1", name: b"2"}, kind)
    before = set(tmp_path.rglob("*"))
    with contextlib.suppress(DataError):
        unpack(archive, inside / "out")
    new = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(inside / "out") for path in new)
    assert not Path("/evil").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_left_out(kind: bytes, tmp_path: Path, inside: Path) -> None:
    (tmp_path / "outside").mkdir()
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("set/odd")
        info.type, info.linkname = kind, "../../../outside"
        archive.addfile(info)
        archive.addfile(tarfile.TarInfo("set/odd/file"))  # would go through the link
        archive.addfile(tarfile.TarInfo("plain/file"))
    unpack(tmp_path / "x.tar", inside / "out")
    assert found(inside / "out") == {"set/odd/file": b"", "plain/file": b""}
    assert not list((tmp_path / "outside").iterdir())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO])
def test_links_in_a_zip_are_plain_files(kind: int, tmp_path: Path, inside: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("odd")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    unpack(tmp_path / "x.zip", inside / "out")
    assert not (inside / "out" / "odd").is_symlink()
    assert (inside / "out" / "odd").read_bytes() == b"/etc/passwd"


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_bombs_are_refused_before_anything_is_written(
    kind: str, tmp_path: Path, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "SMALL", 1 << 20)
    archive = pack(tmp_path / "x", {f"{i}": bytes(1 << 20) for i in range(3)}, kind)
    assert archive.stat().st_size < 20_000
    refuses(archive, inside, "claims to hold more than 1,048,576 bytes")


def test_a_claim_is_refused_without_reading_what_it_claims(tmp_path: Path, inside: Path) -> None:
    info = tarfile.TarInfo("huge")
    info.size = 1 << 60
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    start = time.monotonic()
    refuses(tmp_path / "x.tar", inside, "claims to hold more")
    assert time.monotonic() - start < 5


def test_a_million_empty_files_are_refused(
    tmp_path: Path, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "MOST_FILES", 10)
    refuses(pack(tmp_path / "x", dict.fromkeys(map(str, range(11)), b""), "zip"), inside, "10 files")


# What is damaged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9])
def test_cut_off(kind: str, share: float, tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x", FILES, kind)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    refuses(archive, inside, "could not be unpacked")


@pytest.mark.parametrize("kind", ["tgz", "zip"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_changed_bytes(kind: str, share: float, tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x", FILES, kind)
    content = bytearray(archive.read_bytes())
    content[int(len(content) * share)] ^= 0xFF
    archive.write_bytes(content)
    refuses(archive, inside, "could not be unpacked")


@pytest.mark.parametrize("kind", ["bz2", "xz"])
def test_changed_bytes_of_what_else_tarfile_reads(kind: str, tmp_path: Path, inside: Path) -> None:
    """Each of its libraries has an error of its own."""
    archive = tmp_path / f"x.{kind}"
    with tarfile.open(archive, f"w:{kind}") as opened:
        info = tarfile.TarInfo("a")
        info.size = 90_000
        opened.addfile(info, io.BytesIO(random.Random(0).randbytes(info.size)))
    content = bytearray(archive.read_bytes())
    for place in (0.5, 0.9):
        content[int(len(content) * place)] ^= 0xFF
    archive.write_bytes(content)
    refuses(archive, inside, "could not be unpacked")


def test_nonsense_between_the_files_is_not_taken_for_the_end(tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x.tar", {"a": b"1", "b": b"2"}, "tar")
    content = bytearray(archive.read_bytes())
    content[1024:1536] = b"?" * 512  # the header of b
    archive.write_bytes(content)
    refuses(archive, inside, "no header at byte 1024")


def test_what_is_no_archive(tmp_path: Path, inside: Path) -> None:
    page = tmp_path / "x.zip"
    page.write_text("<!doctype html>Please log in." * 100)
    refuses(page, inside, "could not be unpacked")


def test_an_encrypted_zip(tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x.zip", {"a": b"1"}, "zip")
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # general purpose bit 0, here and in the list of contents
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    refuses(archive, inside, "encrypted")


def test_a_part_that_is_not_there(tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x.zip", FILES, "zip")
    refuses(archive, inside, "holds no VOCdevkit/VOC2012", part="VOCdevkit/VOC2012")


# Full disks, killed processes ----------------------------------------------------------------------------


def test_a_disk_that_is_too_small_is_noticed_first(
    tmp_path: Path, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(tmp_path / "x.tgz", FILES, "tgz")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 2_502_999))
    refuses(archive, inside, r"disk is full: x\.tgz needs 2,503,000 bytes.*2,502,999 are free")


def in_another_process(archive: Path, folder: Path, before: str) -> subprocess.Popen[str]:
    code = f"{before}\nfrom pathlib import Path\nfrom dmnet.prepare import unpack\n"
    code += f"unpack(Path({str(archive)!r}), Path({str(folder)!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason="limits of the file size are a thing of POSIX")
def test_a_disk_that_fills_up_is_a_clear_error(tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x.zip", FILES, "zip")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
    _, errors = in_another_process(archive, inside / "out", limit).communicate(timeout=60)
    assert "x.zip could not be unpacked" in errors and "File too large" in errors
    assert not list(inside.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a thing of POSIX")
def test_a_killed_process_leaves_nothing_under_the_name(tmp_path: Path, inside: Path) -> None:
    archive = pack(tmp_path / "x.tar", FILES, "tar")
    process = in_another_process(archive, inside / "out", "import os, time; os.sync = lambda: time.sleep(60)")
    deadline = time.monotonic() + 60
    while not list(inside.rglob("b.bin")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not (inside / "out").exists() and list(inside.iterdir())
    unpack(archive, inside / "out")
    assert [path.name for path in inside.iterdir()] == ["out"] and found(inside / "out") == FILES
