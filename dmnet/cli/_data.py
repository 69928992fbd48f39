"""`dmnet data prepare | convert | draw | check`."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Exit, Option, Typer

from dmnet import systems
from dmnet.cli._shared import FAILED, DataRoot, app, load_data, print_table, say, say_next, unused
from dmnet.datasets import layout_of, load
from dmnet.errors import DataError, DMNetError
from dmnet.files import atomic_write

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}

data_app = Typer(help="Fetch, draw or check data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


@data_app.command("prepare")
def prepare_data(
    name: Annotated[str, Argument(help="voc (with trainaug), ade20k, cityscapes or camvid.")],
    root: Annotated[Path | None, Option(help="Where it goes. Default: the data folder.")] = None,
    archives: Annotated[Path | None, Option(help="Folder of archives. Default: archives in root.")] = None,
    mirror: Annotated[str | None, Option("--from", metavar="URL", help="Fetch archives from there.")] = None,
    unverified: Annotated[bool, Option(help="Take archives that a mirror packed anew, or changed.")] = False,
) -> None:
    """Fetch, check and unpack a published data set; repeat it after an interruption."""
    from dmnet.prepare import prepare

    prepared = prepare(name, root, archives=archives, mirror=mirror, verify=not unverified, say=say)
    say(f"{prepared.title} in {prepared.folder}")
    for split, (found, official) in prepared.counts.items():
        say(f"{split:<10} {found:>6,} of {official:,} examples")
    if any(found != official for found, official in prepared.counts.values()):
        say("These are other numbers than the published: if it is no part by intent, prepare it again.")
    for archive in prepared.archives:
        say(f"No longer needed: {archive} ({archive.stat().st_size:,} bytes)")
    say_next("data", "check", name, *([] if root is None else ["--data-root", prepared.folder]))


@data_app.command("convert")
def convert_data(
    source: Annotated[Path, Argument(help="Folder with labels of another program; it stays as it is.")],
    output: Annotated[Path, Argument(help="Folder to make.")],
    kind: Annotated[
        str | None, Option("--from", help="cvat, roboflow, labelme, coco, yolo. Default: a guess.")
    ] = None,
    table: Annotated[Path | None, Option(help="For other masks: lines `name 7` or `name r,g,b`.")] = None,
    line: Annotated[list[str] | None, Option("--class", help="A line of a table. May be repeated.")] = None,
) -> None:
    """Make a data set of label maps from labels of another program; data/README.md describes them."""
    from dmnet.prepare.convert import convert

    print_table(convert(source, output, kind, table or line or (), say))
    say_next("data", "check", output)


@data_app.command("draw")
def draw_data(
    name: Annotated[str, Argument(help="demo_context or demo_scale.")],
    output: Annotated[Path, Option(help="Folder to make.")],
    split: Annotated[list[str] | None, Option(help="May be repeated. Default: train and val.")] = None,
    size: Annotated[int | None, Option(min=1, help="Scenes per split.")] = None,
    seed: Annotated[int, Option(min=0, help="Another seed is another data set.")] = 0,
    layout: Annotated[str, Option(help="As which lies: voc, ade20k, cityscapes or camvid.")] = "voc",
) -> None:
    """Draw a demo data set and write it as a real one lies on disk; `--data FOLDER` reads it."""
    from dmnet.worlds import DemoDataset, write_layout

    drawn = [DemoDataset(name, part, size=size, seed=seed) for part in split or ["train", "val"]]
    folder = write_layout(drawn, output, layout)
    say(f"{sum(map(len, drawn))} scenes in {folder}")
    say_next("data", "check", folder)


@data_app.command("check")
def check_data(
    data: Annotated[str, Argument(help="Name of a data set, or its folder.")],
    split: Annotated[list[str] | None, Option(help="May be repeated. Default: train and val.")] = None,
    data_root: DataRoot = None,
    quick: Annotated[bool, Option("--quick", help="Read a few masks of each split only.")] = False,
    pictures: Annotated[Path | None, Option(metavar="DIR", help="Draw examples and shares into it.")] = None,
) -> None:
    """Look for the usual mistakes in images and masks, and say what can be done about each."""
    from dmnet import doctor

    sets = []
    other = next((name for name in ("val", "valid", "validation") if _has_images(data, name)), "val")
    for name in split or ("train", other):
        try:
            sets.append(load_data(data, name, data_root))
        except DataError as error:
            if split or (name == other and not sets) or _has_images(data, name):
                _say_convert(data)
                raise
            say(f"Not checked: {error}", style="yellow")
    report = doctor.examine(sets, limit=doctor.QUICK if quick else None)
    table = report.table().astype(object)
    print_table(table.where(table.notna(), ""))
    for finding in report.findings:
        first, _, rest = str(finding).partition("\n")
        say(f"\n{first}", style=COLOURS[finding.severity])
        say(rest)
    if pictures is not None:
        _draw(report, sets, pictures)
    counts = [f"{part.split}: {part.examined} of {part.size} examples read" for part in report.splits]
    kinds = {kind: sum(finding.severity == kind for finding in report.findings) for kind in COLOURS}
    found = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.items() if count)
    say(f"{', '.join(counts)}; {found or 'nothing wrong was found'}.")
    if report.errors:
        sick = {finding.split for finding in report.errors}  # a sound split needs another table
        _say_convert(data, {one.table for one in report.errors} if len(sick) == len(sets) else ())
        raise Exit(FAILED)
    if split or sets[0].split == "train":  # else there is nothing to train on
        system = next((name for name in systems.names() if systems.get(name).dataset == data), "small_r18")
        words = [system, "--data", data, "--run", unused(Path("runs") / Path(data).resolve().name)]
        words += ["--data-root", data_root] if data_root else []
        if (names := [part.split for part in sets]) != ["train", "val"]:
            words += ["--split", names[0], "--val-split", (*names[1:], "none")[0]]
        say_next("train", *words, *["--quick"] * (system == "small_r18"))


def _has_images(folder: str, split: str) -> bool:
    """Return whether a folder of one's own has images of that split, whatever its masks are."""
    with suppress(DataError):
        return Path(folder).is_dir() and len(load(layout_of(folder), folder, split, labelled=False)) > 0
    return False


def _say_convert(data: str, tables: Collection[Sequence[str]] = ()) -> None:
    """Print how a folder becomes a data set, if one table explains all, or another program wrote it."""
    folder, lines = Path(data), next(iter(tables)) if len(tables) == 1 else ()
    try:
        if not lines:
            from dmnet.prepare import exports

            exports.guess(folder)
    except DMNetError:  # it is none of the kinds, or there is no [prepare]
        return
    beside = folder if folder.name.strip(".") else folder.resolve()  # "." has no name
    new = unused(beside.with_name(f"{beside.name}_converted"))
    say_next("data", "convert", folder, new, *(word for line in lines for word in ("--class", line)))


def _draw(report: Any, sets: list[Any], folder: Path) -> None:
    """Save a sheet of examples per split, and the classes' shares."""
    import matplotlib as mpl

    from dmnet.doctor.figures import show_class_shares, show_examples

    mpl.use("Agg")
    figures = {}
    for dataset in sets:
        try:
            figures[f"{dataset.split}.png"] = show_examples(dataset)
        except DataError as error:
            say(f"No pictures of {dataset.split}: {error}", style="yellow")
    if any(part.pixels.any() for part in report.splits):
        figures["class_shares.png"] = show_class_shares(report, sets[0].palette)
    for name, figure in figures.items():
        with atomic_write(folder / name) as temporary:
            figure.savefig(temporary, dpi=150)
        say(f"{folder / name} is drawn")
