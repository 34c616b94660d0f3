"""Model cards: whom a network's data are owed to where its file does not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.__main__ import main
from explorer.card import card_of, credit_of
from explorer.networks import Networks

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "credit"),
    [
        ("# it\n\nCredit: A. Person,\nCC0.\n\nMore.\n", "A. Person, CC0."),
        ("> Credit: A. Person;\n> P50 1.\n\nMore.\n", "A. Person; P50 1."),
        ("**Credit:** A. Person\n", "A. Person"),
        ("All credit: to nobody.\n", ""),
        ("Credit:\n\nA heading's own.\n", ""),
    ],
)
def test_a_card_says_whom_the_data_are_owed_to(text: str, credit: str, tmp_path: Path) -> None:
    (tmp_path / "net.md").write_text(text, encoding="utf-8")
    assert credit_of(tmp_path / "net.safetensors", {"credit": ""}) == credit
    assert credit_of(tmp_path / "net.safetensors", {"credit": "the file's"}) == "the file's"


def test_no_card_and_one_that_is_none(tmp_path: Path) -> None:
    assert card_of(tmp_path / "net.safetensors") is None
    (tmp_path / "net.md").mkdir()
    assert credit_of(tmp_path / "net.safetensors", {}) == ""
    (tmp_path / "long.md").write_bytes(b"Credit: \xff" + b"a" * 400_000)
    assert len(card_of(tmp_path / "long.safetensors") or "") == 1 << 18
    assert len(credit_of(tmp_path / "long.safetensors", {})) == 2000


def test_every_shipped_network_says_whom_its_data_are_owed_to(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = Networks(checkpoints=ROOT / "checkpoints", runs=ROOT / "no runs")
    credits = {network.name: network.credit for network in shipped.all()}
    assert "OASIS-1" in credits["brain"] and credits["brain"].endswith("U24 RR021382.")
    assert credits["brain-progressive"] == credits["brain"]
    assert "Pablo Stanley" in credits["avatars"]
    main(["inspect", str(ROOT / "checkpoints" / "brain.safetensors"), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["credit"] == credits["brain"] and said["suspicious"] == []
