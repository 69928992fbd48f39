"""What a run was made with."""

import json
import platform
import subprocess

import torch

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
