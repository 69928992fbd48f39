"""All systems scored, on small data in the real layouts, with weights from a server on this machine."""

# ruff: noqa: F811 (fixtures that come from another file are arguments too)

import hashlib
import multiprocessing
import os
import re
import signal
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from loopback import Server, running, server  # noqa: F401
from small_weights import public

import dmnet
from dmnet import datasets, systems, worlds
from dmnet.benchmark import scores
from dmnet.benchmark.scores import NOT_MEASURED, score_all
from dmnet.datasets.files import FileDataset
from dmnet.datasets.published import PUBLISHED
from dmnet.download import sha256_of
from dmnet.errors import DataError
from dmnet.inference import evaluate
from dmnet.model import build_model, from_system
from dmnet.systems import Evaluation
from dmnet.zoo import Published, load_pretrained, pretrained_file

pytestmark = pytest.mark.filterwarnings("ignore:.* has 3 of the .* examples")

SMALL = {"backbone": "tiny_resnet", "channels": 8, "fusion_channels": 16, "aux_channels": 8}
RESIZED = Evaluation(resize=(160, 96))
FOLDERS = {"voc": "VOCdevkit/VOC2012", "ade20k": "ADEChallengeData2016", "cityscapes": "cityscapes"}
KEYS = [("tiny_voc", "single"), ("tiny_city", "single"), ("tiny_city", "ms+flip"), ("demo_scale", "single")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three drawn scenes, laid out as PASCAL VOC and as Cityscapes, with the classes of those."""
    root = tmp_path_factory.mktemp("world")
    for layout, place in FOLDERS.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        drawn = worlds.DemoDataset("demo_scale", "val", size=3, seed=77)
        worlds.write_layout(drawn, root / place, layout=layout)
        (root / place / "classes.txt").unlink()  # labels 0..6 are then those of the published classes
    return root


def tiny(name: str, like: str, url: str, ms_flip: float | None) -> systems.System:
    """A narrow copy of a published system, with other published scores."""
    system = build_model(like, **SMALL).system
    source = "ssseg" if ms_flip is None else "mmseg"
    published = Published(
        source=source, miou=50.0, miou_ms_flip=ms_flip, config_url="", model_url=url, log_url=""
    )
    evaluation = replace(RESIZED, average=system.evaluation.average)
    return replace(system, name=name, published=published, evaluation=evaluation)


def content_of(system: systems.System, path, seed: int) -> bytes:
    """A checkpoint of random weights, which predict several classes, in the format of the system's source."""
    torch.manual_seed(seed)
    model = from_system(system)
    state = model.state_dict()
    state["head.classify.weight"] *= 100
    state["head.classify.bias"] *= 0
    state["head.classify.bias"][7:] = -1e6  # the classes that the drawn scenes don't have
    source = system.published.source
    state = public(model.state_dict(), source)
    torch.save({"model": state} if source == "ssseg" else {"meta": {}, "state_dict": state}, path)
    return path.read_bytes()


@pytest.fixture
def zoo(server: Server, tmp_path, monkeypatch):
    """Two published systems: one is fetched from the server, one was put into the download folder by hand."""
    monkeypatch.setenv("DMNET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("dmnet.download.time.sleep", lambda seconds: None)
    demo = worlds.DemoDataset("demo_scale", "test", size=2, seed=77)
    load = datasets.load
    monkeypatch.setattr(datasets, "load", lambda name, *a: demo if name == "demo_scale" else load(name, *a))
    voc = tiny("tiny_voc", "ssseg_r50_d8_voc", server.url, None)
    city = tiny("tiny_city", "mmseg_r50_d8_cityscapes_512x1024_40k", "https://nowhere.invalid/c.pth", 60.0)
    server.content = content_of(voc, tmp_path / "voc.pth", 1)
    for name in FOLDERS:  # three scenes are all of the split
        sizes = replace(PUBLISHED[name], sizes={"val": 3})
        monkeypatch.setitem(PUBLISHED, name, sizes)
    downloads = tmp_path / "home" / "downloads"
    downloads.mkdir(parents=True)
    content_of(city, downloads / "c.pth", 2)
    monkeypatch.setattr("dmnet.zoo.PUBLISHED", {voc.name: voc, city.name: city})
    for name in ("demo_context", "street"):
        monkeypatch.delitem(systems.zoo().OWN, name)
    return systems.zoo().PUBLISHED


def run(world, folder, **options):
    lines: list[str] = []
    failed = score_all(world, output=folder, report=lines.append, **options)
    return failed, lines


def everything(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def without_times(folder):
    """The rows of all files but for what differs from run to run."""
    rows = {}
    for name in ("voc", "cityscapes", "demo_scale"):
        rows |= {key: row | {"seconds": ""} for key, row in scores._rows(name, folder).items()}
    return rows


def no_work(*_args, **_named):
    raise AssertionError("nothing should be measured")


# What is measured -----------------------------------------------------------------------------------------


def test_every_system_is_scored_by_every_published_protocol():
    keys = [job.key for job in scores.jobs()]
    assert len(keys) == len(set(keys)) == 24 + 12 + 3
    assert {job.split for job in scores.jobs() if job.system.published} == {"val"}
    assert ("ssseg_r50_d8_voc", "ms+flip") not in keys and not any("small" in name for name, _ in keys)
    job = next(job for job in scores.jobs() if job.protocol == "ms+flip")
    assert job.published == job.system.published.miou_ms_flip
    assert job.evaluation == systems.protocol(job.system, "ms+flip")


def test_scores_are_those_of_evaluate(zoo, world, server, tmp_path):
    folder = tmp_path / "results"
    failed, lines = run(world, folder)
    assert failed == {} and len(lines) == 4
    assert sorted(everything(folder)) == ["scores_cityscapes.csv", "scores_demo_scale.csv", "scores_voc.csv"]
    rows = without_times(folder)
    assert set(rows) == set(KEYS)
    for (name, protocol), row in rows.items():
        system = systems.get(name)
        how = systems.protocol(system, "published" if protocol == "single" else protocol)
        split = "val" if system.published else "test"
        dataset = datasets.load(system.dataset, world, split)
        matrix = evaluate(load_pretrained(name), dataset, protocol=how)
        assert row["measured"] == f"{100 * matrix.miou():.2f}"
        assert row["pixel_accuracy"] == f"{100 * matrix.pixel_accuracy():.2f}"
        iou = [row[f"iou {c}"] for c in dataset.classes]
        assert iou == ["" if np.isnan(v) else f"{100 * v:.2f}" for v in matrix.iou()]
        assert (row["split"], row["images"]) == (split, str(len(dataset)))
        assert row["dmnet"] == dmnet.__version__ and row["torch"] == torch.__version__
        assert "cpu" in row["device"] and "resize=" in row["settings"]
    voc, ms = rows["tiny_voc", "single"], rows["tiny_city", "ms+flip"]
    assert float(voc["difference"]) == pytest.approx(float(voc["measured"]) - 50)
    assert float(ms["difference"]) == pytest.approx(float(ms["measured"]) - 60)
    assert ms["measured"] != rows["tiny_city", "single"]["measured"] and "flip=True" in ms["settings"]
    assert voc["weights"] == hashlib.sha256(server.content).hexdigest()
    assert rows["demo_scale", "single"]["weights"] == sha256_of(pretrained_file("demo_scale"))
    assert rows["demo_scale", "single"]["published"] == rows["demo_scale", "single"]["difference"] == ""


def test_what_is_measured_is_not_measured_again(zoo, world, tmp_path, monkeypatch):
    folder = tmp_path / "results"
    run(world, folder)
    before = everything(folder)
    monkeypatch.setattr(scores, "evaluate", no_work)
    failed, lines = run(world, folder)
    assert failed == {} and all("measured before" in line for line in lines)
    assert everything(folder) == before


@pytest.mark.parametrize("what", ["weights", "dmnet", "settings", "data"])
def test_what_has_changed_is_measured_again(zoo, world, server, tmp_path, monkeypatch, what):
    folder = tmp_path / "results"
    run(world, folder, names=["tiny_voc"])
    if what == "weights":
        server.content = content_of(zoo["tiny_voc"], tmp_path / "new.pth", 9)
        (tmp_path / "home/checkpoints/tiny_voc.safetensors").unlink()
    elif what == "dmnet":
        monkeypatch.setattr(scores, "version", lambda name: "99.0")
    elif what == "settings":
        changed = replace(zoo["tiny_voc"], evaluation=replace(RESIZED, flip=True))
        monkeypatch.setitem(zoo, "tiny_voc", changed)
    else:
        monkeypatch.setattr(FileDataset, "seed", 5, raising=False)
    row = scores._rows("voc", folder)["tiny_voc", "single"]
    _, (line,) = run(world, folder, names=["tiny_voc"])
    assert "measured before" not in line
    new = scores._rows("voc", folder)["tiny_voc", "single"]
    assert {name for name in ("dmnet", "weights", "data", "settings") if new[name] != row[name]} == {what}


def test_other_rows_are_left_as_they_are(zoo, world, tmp_path):
    folder = tmp_path / "results"
    run(world, folder, names=["tiny_city"])
    file = folder / "scores_cityscapes.csv"
    text = file.read_text().replace("tiny_city,ms+flip", "retired_system,ms+flip")
    file.write_text(text)
    run(world, folder, names=["tiny_city"])
    assert set(text.splitlines()) < set(file.read_text().splitlines())


# What cannot be measured ----------------------------------------------------------------------------------


def test_without_data_everything_stands_as_not_measured(zoo, tmp_path, server):
    failed, lines = run(tmp_path / "nothing", tmp_path / "results")
    assert set(failed) == set(KEYS[:3])
    assert all("not found" in reason for reason in failed.values())
    assert server.requests == []  # no weights are fetched where there is nothing to score
    for key in KEYS[:3]:
        row = without_times(tmp_path / "results")[key]
        known = {name for name, value in row.items() if value}
        assert known == {"split", "published", "measured"}
        assert row["measured"] == NOT_MEASURED
    assert [line.partition(":")[0] for line in lines] == [f"{a}, {b}" for a, b in KEYS]


def test_one_failure_does_not_cost_the_others(zoo, world, server, tmp_path):
    server.script = [404]
    failed, _ = run(world, tmp_path / "results")
    assert set(failed) == {("tiny_voc", "single")} and "404" in failed["tiny_voc", "single"]
    rows = without_times(tmp_path / "results")
    assert [rows[key]["measured"] == NOT_MEASURED for key in KEYS] == [True, False, False, False]
    failed, lines = run(world, tmp_path / "results")
    assert failed == {} and sum("measured before" in line for line in lines) == 3


def test_a_score_stays_where_the_data_are_gone(zoo, world, tmp_path):
    folder = tmp_path / "results"
    run(world, folder)
    before = everything(folder)
    failed, _ = run(tmp_path / "nothing", folder)
    assert len(failed) == 3 and everything(folder) == before


def test_a_gpu_that_is_too_small_does_not_end_the_work(zoo, world, tmp_path, monkeypatch):
    def too_small(model, *args, **named):
        if model.system.name == "tiny_voc":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return evaluate(model, *args, **named)

    monkeypatch.setattr(scores, "evaluate", too_small)
    failed, _ = run(world, tmp_path / "results")
    assert failed == {("tiny_voc", "single"): "CUDA out of memory"}


def test_a_part_of_a_data_set_is_not_scored(zoo, world, tmp_path, monkeypatch):
    whole = replace(PUBLISHED["voc"], sizes={"val": 1449})
    monkeypatch.setitem(PUBLISHED, "voc", whole)
    reasons = score_all(world, ["tiny_voc"], tmp_path / "results", report=lambda line: None)
    assert "3 of its 1449 images" in reasons["tiny_voc", "single"]


def test_a_network_of_our_own_is_scored_on_the_pictures_of_the_folder(tmp_path, monkeypatch):
    drawn = worlds.DemoDataset("demo_scale", "test", size=2, seed=77)
    worlds.write_layout(drawn, tmp_path / "CamVid", layout="camvid")
    (tmp_path / "CamVid" / "classes.txt").unlink()
    monkeypatch.setitem(PUBLISHED, "camvid", replace(PUBLISHED["camvid"], sizes={"test": 2}))
    failed, _ = run(tmp_path, tmp_path / "results", names=["street"])
    row = scores._rows("camvid", tmp_path / "results")["street", "single"]
    assert failed == {} and (row["split"], row["images"], row["published"]) == ("test", "2", "")
    assert row["weights"] == sha256_of(pretrained_file("street")) and float(row["measured"]) < 50


def test_other_classes_are_not_scored(zoo, tmp_path):
    drawn = worlds.DemoDataset("demo_scale", "val", size=1, seed=77)
    worlds.write_layout(drawn, tmp_path / "own", layout="voc")
    failed, _ = run(tmp_path / "own", tmp_path / "results", names=["tiny_voc"])
    assert "classes of its own" in failed["tiny_voc", "single"]


# Interrupted ----------------------------------------------------------------------------------------------


def killed_at_image(number: int, world, folder, log) -> None:
    """Score everything in this process, and kill it when it asks for so many pictures."""
    asked = 0
    read, write = FileDataset.__getitem__, scores._write

    def counted(self, index):
        nonlocal asked
        asked += 1
        if asked == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, index)

    def noted(dataset, folder, new):
        write(dataset, folder, new)
        with log.open("a") as file:
            file.writelines(f"{key} {row['measured']}\n" for key, row in new.items())

    FileDataset.__getitem__, scores._write = counted, noted
    run(world, folder)


def test_killed_and_restarted_it_ends_with_the_same_files(zoo, world, tmp_path):
    """Nine pictures are to be read: killed in the first system, at the border, and in the last."""
    unbroken, folder, log = tmp_path / "unbroken", tmp_path / "results", tmp_path / "log"
    run(world, unbroken)
    codes = []
    for number in (2, 4, 3, 99):
        process = multiprocessing.get_context("fork").Process(
            target=killed_at_image, args=(number, world, folder, log)
        )
        process.start()
        process.join(60)
        codes.append(process.exitcode)
    assert codes == [-signal.SIGKILL] * 3 + [0]
    assert without_times(folder) == without_times(unbroken)
    done = [line for line in log.read_text().splitlines() if NOT_MEASURED not in line]
    assert len(done) == len(set(done)) == 4  # nothing was done twice
    assert list(folder.glob("*.csv")) and not [p for p in folder.iterdir() if p.suffix != ".csv"]


def fill(folder, protocol: str, both_are_here) -> None:
    job = next(job for job in scores.jobs(["tiny_city"]) if job.protocol == protocol)
    read = scores._rows

    def slowly(*where):
        rows = read(*where)
        time.sleep(0.3)  # the other process has read the file, too, unless it has to wait
        return rows

    scores._rows = slowly
    both_are_here.wait(60)
    scores._write("cityscapes", folder, {job.key: scores._placeholder(job) | {"measured": "1.00"}})


def test_two_processes_may_write_one_file(zoo, tmp_path):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=fill, args=(tmp_path, name, barrier)) for name in ("single", "ms+flip")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert [row["measured"] for row in scores._rows("cityscapes", tmp_path).values()] == ["1.00", "1.00"]


# Damaged --------------------------------------------------------------------------------------------------


DAMAGE = {
    "no number": (lambda text: re.sub(r"val,3,50.00,[\d.]+", "val,3,50.00,about 12", text), "about 12"),
    "another column": (lambda text: text.replace("iou aeroplane", "iou airplane"), "columns"),
    "no columns": (lambda text: "\0\1\2", "damaged"),
    "two rows": (lambda text: text + text.splitlines(keepends=True)[-1], "damaged"),
    "a cell too many": (lambda text: text + text.splitlines()[-1] + ",7\n", "damaged"),
    "not text": (lambda text: text.encode() + b"\xff\xfe", "damaged"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_before_work_begins(zoo, world, tmp_path, monkeypatch, damage):
    change, words = DAMAGE[damage]
    run(world, tmp_path, names=["tiny_voc"])
    file = tmp_path / "scores_voc.csv"
    broken = change(file.read_text())
    file.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    before = file.read_bytes()
    monkeypatch.setattr(scores, "evaluate", no_work)
    with pytest.raises(DataError) as caught:
        run(world, tmp_path, names=["tiny_voc"])
    assert str(file) in str(caught.value) and words in str(caught.value)
    assert file.read_bytes() == before


# Reading --------------------------------------------------------------------------------------------------


def test_read_gives_numbers(zoo, world, tmp_path):
    run(world, tmp_path, names=["tiny_voc"])
    run(tmp_path / "nothing", tmp_path, names=["tiny_city"])
    voc, city = scores.read("voc", tmp_path), scores.read("cityscapes", tmp_path)
    row = voc.loc["tiny_voc", "single"]
    assert row["measured"] - row["published"] == pytest.approx(row["difference"])
    assert voc[[c for c in voc if c.startswith("iou ")]].shape == (1, 21)
    assert city["measured"].isna().all() and city["published"].tolist() == [50, 60]
    with pytest.raises(DataError, match="no trained system belongs to the data set 'ade20k'"):
        scores.read("ade20k", tmp_path)


def test_the_table_says_what_was_not_measured(zoo, world, tmp_path):
    run(world, tmp_path, names=["tiny_voc"])
    table = scores.table(tmp_path)
    assert table.index.tolist() == ["tiny_voc", "tiny_city"]
    assert table.loc["tiny_voc", "difference"].startswith(("+", "-"))
    assert table.loc["tiny_voc", "ms+flip published"] == table.loc["tiny_voc", "ms+flip measured"] == "–"
    assert table.loc["tiny_city", ["measured", "ms+flip measured"]].tolist() == [NOT_MEASURED] * 2
    assert table.loc["tiny_city", ["published", "ms+flip published"]].tolist() == ["50.00", "60.00"]
    assert table.loc["tiny_city", "difference"] == "–"


def test_the_projects_own_results(root):
    """24 systems and three of our own; what stands as measured, was measured with the published weights."""
    folder = root / "data" / "results"
    table = scores.table(folder)
    assert len(table) == 24 and (table["measured"] != "–").all()
    names = dict.fromkeys(job.system.dataset for job in scores.jobs())
    rows = {key: row for name in names for key, row in scores._rows(name, folder).items()}
    assert list(rows) == [
        job.key for job in sorted(scores.jobs(), key=lambda j: list(names).index(j.system.dataset))
    ]
    for job in scores.jobs():
        row = rows[job.key]
        assert row["published"] == ("" if job.published is None else f"{job.published:.2f}")
        if row["measured"] != NOT_MEASURED:
            assert row["settings"] == "; ".join(f"{k}={v}" for k, v in asdict(job.evaluation).items())
        if row["measured"] != NOT_MEASURED and job.system.weights:
            assert row["weights"] == sha256_of(root / "data" / "weights" / job.system.weights)
            assert row["data"] == scores.data_digest(datasets.load(job.system.dataset, split="test"))
    assert float(rows["demo_scale", "single"]["measured"]) == pytest.approx(92.82, abs=0.05)
    assert float(rows["demo_context", "single"]["measured"]) == pytest.approx(93.7, abs=0.05)
