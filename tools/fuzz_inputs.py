"""What `tools/fuzz.py` feeds the package with: valid things of every kind, and what chance makes of them."""

import contextlib
import copy
import io
import itertools
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from dmnet import datasets, worlds
from dmnet.checkpoints import save_weights
from dmnet.errors import DMNetError
from dmnet.images import read_image, read_mask
from dmnet.model import build_model

SMALL = {"channels": 4, "fusion_channels": 4, "filter_sizes": (3,)}

WORDS = """
photo.png broken.png w.safetensors broken.safetensors world empty run missing demo_scale demo_context
small_r18 ssseg_r50_d8_voc voc pairs train val . - -- é [red] {} %s auto cpu cuda:9 fp16 bf16 0 1 2 -1 nan
1e9 1.5 ٣ 32x32 0x0 64x 0.5,1 1,,2 slide = x=1 crop=(1, iterations=0 filter_sizes=(3,5) iterations=[1]
"""  # of command lines

Use = Callable[[Random], object]  # makes one input by these chances, and gives it to the package


# What chance does --------------------------------------------------------------------------------------

EDGES = (0, 1, 127, 128, 255, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
VALUES = (None, True, False, 0, 1, -1, 0.5, 2**31, 10**30, float("nan"), float("inf"), "", "x", "é", "\0")
VALUES += ("train", "../..", "a" * 300, [], [[]], [1, 2], {}, {"x": 1}, "1", "\ud800", "0" * 5000)


def damaged(content: bytes, draw: Random, reach: int | None = None) -> bytes:
    """Change bytes, numbers or spans of a file, at the beginning (`reach`) or anywhere; or cut it off."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        end = min(len(data), draw.choice((64, 400, reach or len(data), len(data)))) or 1
        at, length = draw.randrange(end), draw.choice((1, 2, 4, 8, 100, draw.randrange(1, end + 1)))
        other = draw.randrange(end)
        match draw.randrange(8):
            case 0 | 1:
                data[at : at + 1] = bytes([draw.choice((*EDGES[:5], draw.randrange(256)))])
            case 2:
                number, order = draw.choice(EDGES), draw.choice(("little", "big"))
                data[at : at + 4] = number.to_bytes(4, order)
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[other : other + length]
            case 5:
                data[at : at + length] = data[other : other + length]
            case 6:
                data[at:at] = draw.randbytes(min(length, 100))
            case 7 if draw.random() < 0.3:
                del data[at:]
    return bytes(data)


def altered(value: Any, draw: Random) -> Any:
    """Return a JSON's value with one thing in it changed, lost, added or exchanged."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
        for key in list(keys):
            places.append((part, key))
            walk(part[key])

    walk(value)
    if not places or draw.random() < 0.02:
        return draw.choice(VALUES)
    part, key = draw.choice(places)
    match draw.randrange(4):
        case 0:
            del part[key]
        case 1:
            part[key] = [part[key]] if draw.random() < 0.5 else str(part[key])
        case 2:
            where, which = draw.choice(places)
            part[key] = copy.deepcopy(where[which]) if which in where or isinstance(where, list) else None
        case _:
            part[key] = draw.choice(VALUES)
    return value


def changed_json(value: Any, draw: Random) -> bytes:
    """Return a JSON with changed values, or changed as text; now and then much too deep."""
    if draw.random() < 0.01:
        return b"[" * 100_000
    if draw.random() < 0.7:
        for _ in range(draw.choice((1, 1, 2, 3))):
            with contextlib.suppress(IndexError, KeyError):  # what is exchanged may be gone
                value = altered(value, draw)
        return json.dumps(value).encode("utf-8", "surrogatepass")
    return damaged(json.dumps(value).encode(), draw)


# The kinds: what each prepares in its folder, and how one input is made and used ------------------------


def checkpoints(folder: Path) -> Use:
    """PyTorch's two formats: bytes of the file, or of the pickle in a zip whose checksums hold."""
    from dmnet.zoo import load_checkpoint

    model, path = build_model("demo_scale", **SMALL), folder / "w.pth"
    wholes = []
    for zipped in (True, False):
        for state in (
            model.state_dict(),
            {"epoch": 3, "model": dict(model.state_dict()), "meta": {"CLASSES": []}},
        ):
            torch.save(state, path, _use_new_zipfile_serialization=zipped)
            wholes.append(path.read_bytes())

    def use(draw: Random) -> object:
        whole = draw.choice(wholes)
        if whole.startswith(b"PK") and draw.random() < 0.6:
            new = io.BytesIO()
            with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(new, "w") as archive:
                for name in old.namelist():
                    content = old.read(name)
                    archive.writestr(name, damaged(content, draw) if name.endswith("data.pkl") else content)
            content = new.getvalue()
        else:
            content = damaged(whole, draw, reach=len(whole) // 10)
        path.unlink(missing_ok=True)  # an earlier one may still be mapped
        path.write_bytes(content)
        return load_checkpoint(model, path)

    return use


def safetensors(folder: Path) -> Use:
    """Our own weight files: bytes, the header, and the notes in it."""
    from dmnet.zoo import load_checkpoint, load_pretrained

    model, path = build_model("demo_scale", **SMALL), folder / "w.safetensors"
    save_weights(model, path, miou=0.5)
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8:end]), whole[end:]

    def use(draw: Random) -> object:
        if draw.random() < 0.3:
            content = damaged(whole, draw, reach=end)
        else:
            new = copy.deepcopy(header)
            if noted := draw.random() < 0.6:
                notes = changed_json(json.loads(header["__metadata__"]["dmnet"]), draw)
                new["__metadata__"]["dmnet"] = notes.decode("utf-8", "replace")
            text = json.dumps(new).encode() if noted else changed_json(header, draw)
            content = len(text).to_bytes(8, "little") + text + data
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return load_pretrained(path) if draw.random() < 0.7 else load_checkpoint(model, path)

    return use


def pictures(folder: Path) -> Use:
    """Images and masks, of all formats that are read."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    grey, exif, wholes = Image.fromarray(noise[..., 0]), Image.Exif(), []
    exif[0x0112], exif[0x010E] = 6, "a picture"
    indexed = Image.fromarray(noise).convert("P", palette=Image.Palette.ADAPTIVE)
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    for suffix in ("png", "jpg", "tif", "webp", "gif", "bmp", "ppm"):
        more = {"exif": exif} if suffix in ("png", "jpg", "tif", "webp") else {}
        images = [(Image.fromarray(noise), more)]
        images += [(grey, {}), (indexed, {})] if suffix in ("png", "tif", "gif", "bmp") else []
        images += [(deep, {}), (deep, {"compression": "tiff_lzw"})] if suffix == "tif" else []
        for image, options in images:
            image.save(file := folder / f"sound.{suffix}", **options)
            wholes.append((suffix, file.read_bytes()))

    def use(draw: Random) -> object:
        suffix, whole = draw.choice(wholes)
        path = folder / f"damaged.{suffix}"
        path.write_bytes(damaged(whole, draw, reach=200))
        return (read_image if draw.random() < 0.5 else read_mask)(path)

    return use


def lists(folder: Path) -> Use:
    """Lists of ids and of classes, in both layouts of one's own data."""
    splits = [worlds.DemoDataset("demo_scale", split, size=3, seed=1) for split in ("train", "val")]
    layout = worlds.write_layout(splits, folder / "layout", "voc")
    pairs = folder / "pairs"
    for source, target in (("JPEGImages", "images"), ("SegmentationClass", "masks")):
        shutil.copytree(layout / source, pairs / target)
    inside = "ImageSets/Segmentation"
    for file in (*(layout / inside).glob("*.txt"), layout / "classes.txt"):
        shutil.copy(file, pairs)
    wholes = {"folder": (layout, {}), "pairs": (pairs, {})}
    for name, (root, whole) in wholes.items():
        for file in (
            "classes.txt",
            *(f"{inside if name == 'folder' else '.'}/{one}.txt" for one in ("train", "val")),
        ):
            whole[file] = (root / file).read_bytes()
    ids = [name.encode() for one in splits for name in one.ids]
    words = [*ids, b"(ignored)", b"__ignore__", b"0: sky", b"../x", b"/etc/passwd", b".", b"a.png"]

    def use(draw: Random) -> object:
        name = draw.choice(("folder", "pairs"))
        root, whole = wholes[name]
        file = draw.choice(sorted(whole))
        content = damaged(whole[file], draw)
        if draw.random() < 0.5:
            lines = whole[file].splitlines()
            lines[draw.randrange(len(lines))] = draw.choice(words) * draw.choice((1, 1, 2))
            draw.shuffle(lines)
            content = draw.choice((b"\n", b"\r\n", b"\0", b"\n\n")).join(lines)
        try:
            (root / file).write_bytes(content)
            datasets.layout_of(root)
            dataset = datasets.load(name, root, draw.choice(("train", "val", "all")))
            return [dataset[index] for index in range(min(len(dataset), 2))]
        finally:
            (root / file).write_bytes(whole[file])

    return use


def annotations(folder: Path) -> Use:
    """Labels of other programs: COCO, labelme, YOLO, Roboflow, CVAT."""
    from dmnet.prepare.convert import convert

    noise = np.random.default_rng(0).integers(0, 3, (12, 16), np.uint8)
    corners = [[1, 1], [9, 1], [9, 8], [2, 7]]
    flat = list(itertools.chain(*corners))
    one = {"id": 7, "image_id": 5, "category_id": 2, "segmentation": [flat], "iscrowd": 0}
    runs = {"size": [12, 16], "counts": [20, 30, 142]}
    labelled: dict[str, dict[str, Any]] = {
        "coco": {
            "a.json": {
                "images": [{"id": 5, "file_name": "images/a.png", "height": 12, "width": 16}],
                "categories": [{"id": 2, "name": "disc"}, {"id": 9, "name": "ring"}],
                "annotations": [one, one | {"id": 8, "category_id": 9, "segmentation": runs, "iscrowd": 1}],
            }
        },
        "labelme": {
            "images/a.json": {
                "imagePath": "a.png",
                "imageData": None,
                "imageHeight": 12,
                "imageWidth": 16,
                "shapes": [
                    {"label": "disc", "shape_type": "polygon", "points": corners},
                    {"label": "ring", "shape_type": "circle", "points": corners[:2]},
                    {"label": "ring", "shape_type": "rectangle", "points": corners[::2]},
                ],
            }
        },
        "yolo": {
            "data.yaml": b"names: [disc, ring]\ntrain: images\n",
            "labels/a.txt": b"0 0.1 0.1 0.5 0.1 0.5 0.6\n1 0.2 0.2 0.9 0.2 0.9 0.9 0.3 0.8\n",
        },
        "roboflow": {"_classes.csv": b"Pixel Value, Class\n0, background\n1, disc\n2, ring\n"},
        "cvat": {"labelmap.txt": b"# label:color_rgb:parts:actions\nx:0,0,0::\ndisc:1,1,1::\nring:2,2,2::\n"},
    }
    for kind in labelled:
        place = folder / kind / {"cvat": "JPEGImages", "roboflow": "."}.get(kind, "images")
        place.mkdir(parents=True)
        Image.fromarray(np.repeat(noise[..., None] * 90, 3, -1)).save(place / "a.png")
    (folder / "cvat" / "SegmentationClass").mkdir()
    Image.fromarray(np.repeat(noise[..., None], 3, -1)).save(folder / "cvat/SegmentationClass/a.png")
    Image.fromarray(noise).save(folder / "roboflow/a_mask.png")
    for kind, contents in labelled.items():
        for name, content in contents.items():
            (folder / kind / name).parent.mkdir(parents=True, exist_ok=True)
            whole = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / kind / name).write_bytes(whole)

    def use(draw: Random) -> object:
        kind = draw.choice(sorted(labelled))
        file, content = draw.choice(sorted(labelled[kind].items()))
        path = folder / kind / file
        whole, out = path.read_bytes(), folder / "out"
        try:
            text = isinstance(content, bytes)
            path.write_bytes(damaged(whole, draw) if text else changed_json(content, draw))
            return convert(folder / kind, out, draw.choice((kind, None)))
        finally:
            path.write_bytes(whole)
            shutil.rmtree(out, ignore_errors=True)

    return use


def archives(folder: Path) -> Use:
    """Zip, tar and compressed tar, also with links, devices and paths that lead elsewhere."""
    from dmnet.prepare import unpack

    names, wholes = ("set/a.txt", "set/deep/b.bin", "../out.txt", "/abs.txt", "set/../../c"), []
    links = ((tarfile.SYMTYPE, "/etc"), (tarfile.LNKTYPE, "set/a.txt"), (tarfile.CHRTYPE, ""))
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(file := io.BytesIO(), "w", compression) as archive:
            for number, name in enumerate(names):
                archive.writestr(name, bytes([number]) * 300)
        wholes.append(file.getvalue())
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        with tarfile.open(fileobj=(file := io.BytesIO()), mode=mode) as archive:
            for number, name in enumerate(names):
                info = tarfile.TarInfo(name)
                info.size = 300
                archive.addfile(info, io.BytesIO(bytes([number]) * 300))
            for kind, target in links:
                info = tarfile.TarInfo(f"set/{kind.decode()}")
                info.type, info.linkname = kind, target
                archive.addfile(info)
        wholes.append(file.getvalue())
    path, inside = folder / "archive", folder / "inside"
    inside.mkdir()

    def use(draw: Random) -> object:
        path.write_bytes(damaged(draw.choice(wholes), draw, reach=600))
        part, only = draw.choice((("set", ()), ("", ()), ("set", ("a.txt", "deep"))))
        try:
            unpack(path, inside / "out", part, only)
        finally:
            shutil.rmtree(inside / "out", ignore_errors=True)
            if strange := {*folder.iterdir()} - {path, inside} | {*inside.iterdir()}:
                raise AssertionError(f"written elsewhere: {strange}")

    return use


def runs(folder: Path) -> Use:
    """A run's folder, of which one file is damaged: read, and in one of thirty cases resumed."""
    from dmnet.training import train
    from dmnet.zoo import load_initial, load_pretrained

    data = worlds.DemoDataset("demo_scale", "train", size=2, seed=1)
    settings: dict[str, Any] = {"iterations": 1, "batch_size": 2, "crop": (32, 32), "progress": False} | SMALL
    settings |= {"device": "cpu", "options": {"data": "x"}}
    train("demo_scale", data, None, run := folder / "run", **settings)
    suffixes = (".json", ".ckpt", ".csv")
    wholes = {file.name: file.read_bytes() for file in run.iterdir() if file.suffix in suffixes}
    state = torch.load(run / "last.ckpt", weights_only=True)
    plain = {name: value for name, value in state.items() if name not in ("model", "optimizer", "random")}
    model = build_model("demo_scale", **SMALL)
    (run / "last.safetensors").unlink()  # last.ckpt is the newest

    def use(draw: Random) -> object:
        for name, content in wholes.items():
            (run / name).unlink(missing_ok=True)
            (run / name).write_bytes(content)
        name = draw.choice(sorted(wholes))
        if name.endswith(".json"):
            content = changed_json(json.loads(wholes[name]), draw)
        elif name.endswith(".ckpt") and draw.random() < 0.7:
            new = altered(plain, draw) if draw.random() < 0.7 else {}
            new = state | new if isinstance(new, dict) else state
            for part in ("model", "optimizer", "random") if draw.random() < 0.5 else ():
                if draw.random() < 0.4:
                    new = new | {part: draw.choice((None, [], {}, "x", state["model"], [(1, 2)]))}
            torch.save(new, file := io.BytesIO())
            content = file.getvalue()
        else:
            content = damaged(wholes[name], draw)
        (run / name).write_bytes(content)
        if draw.random() < 0.03:
            return train("demo_scale", data, None, run, resume=True, **settings)
        return load_pretrained(run) if draw.random() < 0.7 else load_initial(model, run)

    return use


def commands(folder: Path) -> Use:
    """Arguments of `dmnet`, good ones and others; training, exports and downloads are not begun."""
    from dmnet import download, export, prepare, training
    from dmnet.benchmark import scores
    from dmnet.cli import application
    from dmnet.zoo import pretrained

    splits = [worlds.DemoDataset("demo_scale", split, size=2, seed=1) for split in ("train", "val")]
    worlds.write_layout(splits, folder / "world", "voc")
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(folder / "photo.png")
    save_weights(build_model("demo_scale", **SMALL), folder / "w.safetensors")
    (folder / "broken.safetensors").write_bytes(b"12345678{}")
    (folder / "broken.png").write_bytes(b"\x89PNG")
    (folder / "empty").mkdir()
    settings: dict[str, Any] = {"iterations": 1, "batch_size": 2, "crop": (32, 32), "progress": False} | SMALL
    settings |= {"device": "cpu", "options": {"system": "demo_scale"}}
    training.train("demo_scale", splits[0], None, folder / "run", **settings)
    words = [*WORDS.split(), "", "\udcff", "a" * 300, "x\0y"]
    application()  # imports all commands
    from typer.main import get_command

    from dmnet.cli._shared import app

    options: list[str] = []
    starts: list[list[str]] = []

    def walk(command: Any, before: list[str]) -> None:
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, [*before, name])
        if not hasattr(command, "commands"):
            starts.append(before)
        options.extend(one for given in command.params for one in given.opts if one.startswith("-"))

    walk(get_command(app), [])
    usual = {  # arguments that work, which the options are added to
        "predict": ["w.safetensors", "photo.png"],
        "evaluate": ["w.safetensors", "--data", "world"],
        "train": ["demo_scale", "--data", "world", "--run", "new"],
        "systems": ["demo_scale"],
        "check": ["world"],
        "draw": ["demo_scale", "--output", "drawn", "--size", "1"],
    }
    fetching = (download, prepare, pretrained)
    stops = [  # what takes long, needs a network, or leaves this process
        mock.patch.object(training, "training_batches", side_effect=DMNetError("would train")),
        mock.patch.object(export, "export", side_effect=DMNetError("would export")),
        mock.patch.object(scores, "score_all", side_effect=DMNetError("would score all")),
        mock.patch.object(os, "execv", side_effect=DMNetError("would start torchrun")),
        *(mock.patch.object(one, "download", side_effect=DMNetError("would fetch")) for one in fetching),
    ]
    for stop in stops:
        stop.start()
    os.chdir(folder)
    kept = {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}
    times = {path: path.stat().st_mtime_ns for path in kept if path.is_file()}

    def use(draw: Random) -> object:
        start = draw.choice(starts)
        arguments = [*usual.get(start[-1], [])] if draw.random() < 0.9 else []
        for _ in range(draw.choice((0, 0, 0, 1, 2))):
            arguments.insert(draw.randrange(len(arguments) + 1), draw.choice(words))
        for _ in range(draw.choice((0, 1, 1, 2, 3))):
            arguments += [draw.choice(options), *draw.choices(words, k=draw.choice((0, 1, 1, 1)))]
        quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        try:
            with quiet[0], quiet[1]:
                application()([*start, *arguments], prog_name="dmnet")
        except SystemExit as ended:
            if ended.code not in (0, 1, 2, None):
                raise AssertionError(f"exit code {ended.code}") from None
            if ended.code:
                raise DMNetError("refused") from None
        finally:
            for path in sorted({*folder.rglob("*")} - kept.keys(), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            for path, written in times.items():  # a run may have been resumed, a picture written over
                if not path.exists() or path.stat().st_mtime_ns != written:
                    path.write_bytes(kept[path])
                    times[path] = path.stat().st_mtime_ns
        return None

    return use


def playground(folder: Path) -> Use:
    """What a notebook's front end sends: the widget's state, and requests with bytes."""
    import traitlets

    from dmnet.playground import Playground

    widget = Playground(build_model("demo_scale", channels=64).eval())
    scene, *_ = known = widget._desk.scene_ids
    pixels = bytes(range(256)) * 48  # 64 x 64
    states: list[Any] = [
        {"scene": known[1], "donor": known[2], "channel": 3, "reveal": 0, "scale_gates": [1, 0, 1, 0.5]},
        {"edits": ["move 3 45 60", "size 1 -1", "turn warm 17", "share 60"], "scene": scene},
    ]
    requests: list[Any] = [
        {"id": 1, "kind": "picture", "world": "demo_scale", "width": 64, "height": 64},
        {
            "id": 2,
            "kind": "answer",
            "world": "demo_scale",
            "picture": 0,
            "donor": None,
            "gates": [1, 1, 1, 0],
            "channel": -1,
        },
        {"id": 3, "kind": "asset", "name": "catalogue.json"},
    ]
    widget._desk.reply(requests[0], [pixels])

    def use(draw: Random) -> object:
        if draw.random() < 0.5:
            state = altered(draw.choice(states), draw)
            state = altered(state, draw) if isinstance(state, dict) and draw.random() < 0.5 else state
            if not isinstance(state, dict):
                return None
            try:
                return widget.set_state({key: value for key, value in state.items() if widget.has_trait(key)})
            except traitlets.TraitError as error:
                raise DMNetError(str(error)) from error
        request = altered(draw.choice(requests), draw)
        if not isinstance(request, dict) or "id" not in request:
            return None  # not a request: the front end numbers each
        content, attached = widget._desk.reply(
            request, [damaged(pixels, draw)] if draw.random() < 0.5 else [pixels]
        )
        json.dumps(content)
        assert content["reply_to"] is request["id"] and all(isinstance(one, bytes) for one in attached)
        if "error" in content:
            raise DMNetError(content["error"])
        return None

    return use


KINDS = {
    one.__name__: one
    for one in (checkpoints, safetensors, pictures, lists, annotations, archives, runs, commands, playground)
}
