"""The names of a DMNet's tensors: the same 398 are saved by ssseg, mmseg and us, each under its own names."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor

from dmnet.checkpoints import listed
from dmnet.errors import CheckpointError

Source = Literal["ssseg", "mmseg", "dmnet"]

RULES: dict[Source, dict[str, str]] = {  # where a pattern matches a whole name -> our name
    "ssseg": {
        r"backbone_net\.(.+)": r"backbone.\1",
        r"dcm_modules\.(\d+)\.filter_gen_conv\.(.+)": r"head.scales.\1.generate.\2",
        r"dcm_modules\.(\d+)\.input_redu_conv\.([01])\.(.+)": r"head.scales.\1.reduce.\2.\3",
        r"dcm_modules\.(\d+)\.norm\.(.+)": r"head.scales.\1.norm.\2",
        r"decoder\.([01])\.(.+)": r"head.fuse.\1.\2",
        r"decoder\.4\.(.+)": r"head.classify.\1",
        r"auxiliary_decoder\.([014])\.(.+)": r"auxiliary.\1.\2",
    },
    "mmseg": {
        r"backbone\.(.+)": r"backbone.\1",
        r"decode_head\.dcm_modules\.(\d+)\.filter_gen_conv\.(.+)": r"head.scales.\1.generate.\2",
        r"decode_head\.dcm_modules\.(\d+)\.input_redu_conv\.conv\.(.+)": r"head.scales.\1.reduce.0.\2",
        r"decode_head\.dcm_modules\.(\d+)\.input_redu_conv\.bn\.(.+)": r"head.scales.\1.reduce.1.\2",
        r"decode_head\.dcm_modules\.(\d+)\.norm\.(.+)": r"head.scales.\1.norm.\2",
        r"decode_head\.bottleneck\.conv\.(.+)": r"head.fuse.0.\1",
        r"decode_head\.bottleneck\.bn\.(.+)": r"head.fuse.1.\1",
        r"decode_head\.conv_seg\.(.+)": r"head.classify.\1",
        r"auxiliary_head\.convs\.0\.conv\.(.+)": r"auxiliary.0.\1",
        r"auxiliary_head\.convs\.0\.bn\.(.+)": r"auxiliary.1.\1",
        r"auxiliary_head\.conv_seg\.(.+)": r"auxiliary.4.\1",
    },
    "dmnet": {r"((?:backbone|head|auxiliary)\..+)": r"\1"},
}
# How the name of a tensor, of a DMNet or a bare backbone, begins and ends when nothing is wrapped around it.
FIRST = r"backbone(_net)?|(decode_|auxiliary_)?head|auxiliary|dcm_modules|(auxiliary_)?decoder"
LAST = "weight|bias|running_mean|running_var|num_batches_tracked"
NAME = re.compile(rf"(?P<start>|.*?\.)({FIRST}|conv1|bn1|stem|layer\d)\.(.*\.)?({LAST})", re.DOTALL)
USUAL = {
    "", "_orig_mod", "model", "model_state", "model_state_dict", "module", "net", "network", "state_dict",
}  # fmt: skip


def translate(state_dict: Mapping[str, Tensor]) -> tuple[Source, dict[str, Tensor]]:
    """Return who wrote a state dict and the same tensors, in order, under our names. Used in {doc}`04_dmnet`.

    The source is the one whose table knows most of the names. A name that it doesn't know is kept as it is,
    so that strict loading reports it as surplus.

    Raises:
        CheckpointError: if no table knows any of the names, or two tensors claim one name.
    """
    names = list(state_dict)
    tables = {source: [_rename(name, rules) for name in names] for source, rules in RULES.items()}
    source = max(tables, key=lambda source: sum(name is not None for name in tables[source]))
    if not any(tables[source]):
        if "layer1.0.conv1.weight" in names:
            raise CheckpointError("holds a bare backbone: load it with dmnet.zoo.load_backbone")
        raise CheckpointError(f"holds no tensor of a DMNet; its {len(names)} names are like {listed(names)}")
    renamed = [new or old for new, old in zip(tables[source], names, strict=True)]
    if twice := [name for name, count in Counter(renamed).items() if count > 1]:
        raise CheckpointError(f"several tensors claim the same name: {listed(twice)}")
    return source, dict(zip(renamed, state_dict.values(), strict=True))


def starts(names: Iterable[str]) -> list[str]:
    """Return what stands before the names of a network, in any nesting: "", "model.", "state_dict.module.".

    Of several networks that of the usual names, or else of most tensors; all equals. Used in {doc}`04_dmnet`.
    """
    counts = Counter(found["start"] for name in names if (found := NAME.fullmatch(name[:999])))
    usual = {start: count for start, count in counts.items() if USUAL.issuperset(start.split("."))}
    most = max((usual or counts).values(), default=0)
    return [start for start, count in (usual or counts).items() if count == most]


def _rename(name: str, rules: Mapping[str, str]) -> str | None:
    for pattern, ours in rules.items():
        if match := re.fullmatch(pattern, name):
            return match.expand(ours)
    return None
