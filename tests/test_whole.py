"""From a folder of pictures to a picture on the page: the `smoke` preset as it stands, then the app over its run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from starlette.testclient import TestClient

from core import pictures
from explorer.studio import Studio
from explorer.web import build
from tests.train import make

ROOT = Path(__file__).resolve().parents[1]


def test_train_on_a_folder_then_look_at_it(tmp_path: Path) -> None:
    data = make.folder(tmp_path / "mine", count=12, size=(40, 33))
    flags = ["--data", data, "--out", tmp_path / "runs" / "mine", "--preset", "smoke", "--kimg", "0.1"]
    command = [sys.executable, "-m", "train", *map(str, flags)]
    trained = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=200)
    assert trained.returncode == 0, trained.stderr
    studio = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")
    with TestClient(build(studio), base_url="http://127.0.0.1") as client:
        (entry,) = client.get("/networks").json()
        assert entry["name"].startswith("mine/") and entry["channels"] == 1 and entry["layers"] == 8
        answer = client.get("/frame", params={"recipe": json.dumps({"checkpoint": "mine", "seed": 3, "psi": 1})})
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
        shown = pictures.read(answer.content)
        assert list(shown.shape) == entry["size"] and shown.std() > 1
        other = client.get("/frame", params={"recipe": json.dumps({"checkpoint": "mine", "seed": 4, "psi": 1})})
        assert not np.array_equal(pictures.read(other.content), shown)
        assert b"Styloscope" in client.get("/").content
