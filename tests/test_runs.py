"""What a run was made with."""

import json
import platform
import subprocess

import pytest
import torch

from dmnet import runs
from dmnet.errors import CheckpointError, DMNetError
from dmnet.runs import commit, environment


def test_the_facts_are_there_and_no_host_is(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/opt/somebody/bin/dmnet", "train", "demo_scale"])
    facts = environment(torch.device("cpu"), 2)
    assert facts["command"] == ["dmnet", "train", "demo_scale"]
    assert facts["torch"] == torch.__version__ and facts["world_size"] == 2 and facts["gpu"] is None
    text = json.dumps(facts)
    assert "somebody" not in text and platform.node() not in text.split('"')


def test_the_commit_is_that_of_the_clone(tmp_path):
    assert commit(tmp_path) is None

    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", tmp_path, *names, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "one")
    head = subprocess.run(
        ["git", "-C", tmp_path, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert commit(tmp_path) == head.stdout.strip()
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == head.stdout.strip() + "-dirty"


def test_a_record_of_other_things_is_refused(tmp_path):
    """Whatever JSON stands in a run's two files."""
    path = tmp_path / "config.json"
    for text in (
        "",
        "[" * 100_000,
        "1",
        "null",
        "{",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin1"),
    ):
        path.write_text(text, encoding="utf-8")
        for kind in (dict, list):
            with pytest.raises(DMNetError, match=r"config\.json is damaged, or not that of a run"):
                runs.read_json(path, kind)
    for text, kind in (("[]", list), ("[1]", list), ("[{}, 1]", list), ("{}", list), ("[{}]", dict)):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(DMNetError, match=r"config\.json is damaged"):
            runs.read_json(path, kind)


STATE = dict.fromkeys(runs.STATE, 0) | {"iteration": 1, "log": [{"iteration": 1, "loss": 0.5}]}


@pytest.mark.parametrize(
    "change",
    [
        {"log": None},
        {"log": [1]},
        {"log": [{"iteration": None}]},
        {"log": [{"iteration": 1, "loss": "x"}]},
        {"iteration": 0.5},
        {"iteration": None},
        {"best": "x"},
        {"worse": []},
        {"seconds": float("nan")},
    ],
)
def test_a_checkpoint_whose_counters_or_log_are_none_is_refused(change, tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save(STATE, path)
    assert runs.read_state(path) == STATE
    torch.save(STATE | change, path)
    with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged, or no checkpoint of a run; delete it"):
        runs.read_state(path)
