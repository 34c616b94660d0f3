"""Settings: one place for flags, config.json and complaints."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SettingError, StyloscopeError
from train.cli import ask, parser
from train.config import Config, settings
from train.presets import PRESETS

NEED = ["--data", "phantoms", "--out", "run"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_a_flag_a_help_and_a_legal_default() -> None:
    Config.read({"data": "phantoms"})
    flags = {flag for action in parser()._actions for flag in action.option_strings}
    for setting in settings():
        assert setting.flag in flags and setting.help
        assert setting.allowed or setting.name in ("data", "init", "credit")


def test_flags_override_the_preset() -> None:
    asked = ask([*NEED, "--preset", "smoke", "--kimg", "1.5", "--mirror", "--threads", "1"])
    assert asked.config.kimg == 1.5 and asked.config.mirror and asked.config.threads == 1
    assert asked.config.size == "32" and asked.config.batch == PRESETS["smoke"].values["batch"]
    assert ask([*NEED, "--preset", "smoke", "--size", "auto"]).config.size == "auto"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_legal(name: str) -> None:
    config = ask([*NEED, "--preset", name]).config
    assert config.data == "phantoms" and PRESETS[name].about


def test_the_presets_of_the_contract() -> None:
    brain = ask([*NEED, "--preset", "brain"]).config
    assert brain.size == "auto" and brain.start_for((224, 192)) == (7, 6)
    assert brain.filters_for((224, 192)) == (256, 256, 256, 128, 64, 32)
    assert brain.filters_for((256, 256)) == (256, 256, 256, 256, 128, 64, 32)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--channels", "2"], "channels cannot be '2': 1 for gray, 3 for RGB"),
        (["--size", "100x7"], "size cannot be '100x7'"),
        (["--size", "2048"], "size cannot be '2048x2048'.*at most 1024"),
        (["--size", "9"], "size cannot be '9x9': a size is 3 to 9 pixels a side, doubled once or more, at most 1024"),
        (["--size", "12by9"], "size cannot be '12by9'"),
        (["--size", "256", "--start", "5"], "start cannot be '5x5': 256x256 can start from 8x8, 4x4"),
        (["--batch", "2"], "batch cannot be '2': at least the minibatch group, 4"),
        (["--batch", "10"], "batch cannot be '10': a multiple of the minibatch group, 4"),
        (["--batch", "0"], "batch cannot be '0'"),
        (["--batch", "2.5"], "batch cannot be '2.5': a whole number"),
        (["--micro-batch", "6"], "micro_batch cannot be '6'"),
        (["--size", "32", "--filters", "8,8"], "filters cannot be '8,8': 32x32 from 4x4 has 4 levels, so 4 numbers"),
        (["--filters", "8,0"], "filters cannot be '8,0'"),
        (["--kimg", "nan"], "kimg cannot be 'nan': a number"),
        (["--kimg", "-1"], "kimg cannot be '-1.0'"),
        (["--gamma", "lots"], "gamma cannot be 'lots': a number from 0 up, or auto"),
        (["--seed", "4294967296"], "seed cannot be '4294967296'"),
        (["--fit", "squeeze"], "fit cannot be 'squeeze': one of native, pad, crop, stretch"),
        (["--arch", "stylegan3"], "arch cannot be 'stylegan3': one of stylegan2, stylegan"),
        (["--resample-filter", "0,0"], "resample_filter cannot be '0,0'"),
        (["--preset", "knee"], "preset cannot be 'knee': one of smoke"),
        (["--grid", "0"], "grid cannot be '0': a whole number from 1 to 1024"),
        (["--path-shrink", "32"], "path_shrink cannot be '32': at most the batch, 16"),
        (["--augment", "often"], "augment cannot be 'often': none, fixed:P with P from 0 to 1, or ada"),
        (["--augment", "fixed:1.5"], "augment cannot be 'fixed:1.5'"),
        (["--augment", "fixed:"], "augment cannot be 'fixed:'"),
        (["--holdout", "0.6"], "holdout cannot be '0.6': a number from 0 to 0.5"),
        (["--metrics", "a,,b"], "metrics cannot be 'a,,b': names of measures"),
        (["--best", "a,b"], "best cannot be 'a,b': the name of one measure"),
    ],
)
def test_complaints(flags: list[str], said: str) -> None:
    with pytest.raises(StyloscopeError, match=said):
        ask([*NEED, *flags])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingError, match="out cannot be ''"):
        ask(["--data", "phantoms"])
    with pytest.raises(SettingError, match="data cannot be ''"):
        ask(["--out", "run"])


def test_an_unknown_setting_suggests_the_nearest() -> None:
    with pytest.raises(SettingError, match="no such setting; did you mean batch"):
        Config.read({"data": "phantoms", "bath": 4})


def test_gamma_follows_the_fields_rule() -> None:
    assert Config.read({"data": "phantoms"}).gamma_for((256, 256)) == pytest.approx(0.0002 * 65536 / 16)
    assert Config.read({"data": "phantoms", "gamma": 3}).gamma_for((256, 256)) == 3


def test_a_given_r1_weight_is_that_of_the_full_size_and_goes_with_pixels() -> None:
    config = Config.read({"data": "phantoms", "arch": "stylegan", "path_weight": 0.0, "gamma": 10.0})
    assert config.gamma_for((64, 48), full=(64, 48)) == 10
    assert config.gamma_for((16, 12), full=(64, 48)) == pytest.approx(10 / 16)


def test_a_preset_s_r1_weight_goes_where_another_loss_is_asked_for() -> None:
    asked = [*NEED, "--preset", "brain-progressive", "--loss", "wgan-gp"]
    assert ask(asked).config.gamma == "auto"
    with pytest.raises(SettingError, match="gamma"):
        ask([*asked, "--gamma", "10"])
