"""The map as a tool: values by hand, tables, kept pictures, small pictures, and walks along a line."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import pictures
from core.errors import SettingError
from explorer import atlas, atlas_path, atlas_picture, atlas_values, kept
from explorer.__main__ import main
from explorer.atlas_sheets import SEEDS, Sheets
from explorer.recipe import Recipe
from explorer.studio import Studio


def test_values_by_hand(own: Studio) -> None:
    found = atlas.survey(own, "brain", samples=60)
    away = found.samples.astype(np.float64) - found.w_avg
    spread = np.sqrt((away**2).sum(axis=1).mean())
    psi = atlas_values.values(own, found, "brain", "psi")
    assert np.allclose(psi.values, np.sqrt((away**2).sum(axis=1)) / spread) and np.isclose((psi.values**2).mean(), 1)
    direction = own.open("brain").direction("sefa-1")
    amount = atlas_values.values(own, found, "brain", "sefa-1").values
    assert np.allclose(amount, away @ direction.vector.astype(np.float64) / direction.sd)
    assert atlas_values.values(own, found, "brain", "seed").told(7) == "7"
    assert np.isnan(atlas_values.values(own, found, "brain", "brightness").values).all()
    for wrong in ("class", "sefa-99", "nobody", "../x"):
        with pytest.raises(SettingError, match="color"):
            atlas_values.values(own, found, "brain", wrong)
    for wrong in ("class", "nobody", "../x", 7, None):
        with pytest.raises(SettingError, match="color"):
            atlas_values.check(own.network("brain"), wrong, by_class=False)


def test_a_column_of_a_table() -> None:
    found = atlas_values.of_table("\ufeffid,seed,age\nx,2,7.5\ny,0,-1\nz,9,3\n\n,3,\n".lstrip("\ufeff"), "age", 4)
    assert np.allclose(found.values, [-1, np.nan, 7.5, np.nan], equal_nan=True) and found.names == ()
    words = atlas_values.of_table('seed,dx\n0,"b, c"\n1,a\n3,a\n', "dx", 4)
    assert words.names == ("a", "b, c") and words.told(0) == "b, c" and words.told(2) == ""
    many = "seed,word\n" + "\n".join(f"{k},w{k}" for k in range(30))
    for text, column, reason in (
        ("seed,age\n1,2", "size", "seed and one of this name"),
        ("age\n1", "age", "a column seed"),
        ("seed,age\n1.5,2", "age", "whole numbers"),
        (many, "word", "24 different words"),
    ):
        with pytest.raises(SettingError, match=reason):
            atlas_values.of_table(text, column, 40)


def test_the_ends_of_the_colours_leave_strange_seeds_out() -> None:
    values = np.arange(1000.0)
    values[5] = 1e9
    low, high = atlas_values.Values("x", "x", values).reach
    assert 0 < low < 20 and 980 < high < 1000


def test_nearest_in_w_is_not_nearest_on_the_map(own: Studio) -> None:
    found = atlas.survey(own, "brain", samples=200)
    w = atlas.seen(own, found, Recipe(checkpoint="brain", seed=17))
    seeds, away = atlas.nearest(found, w, 6)
    by_hand = np.linalg.norm(found.samples.astype(np.float64) - found.samples[17], axis=1) / found.spread
    assert seeds[0] == 17 and away[0] < 1e-4 and np.allclose(away, np.sort(by_hand)[:6], atol=1e-4)


def test_a_kept_picture_stands_where_the_seed_does_that_looks_like_it(own: Studio, tmp_path: Path) -> None:
    network = own.network("brain")
    ws = own.ws(Recipe(checkpoint="brain", seed=11)).numpy()
    kept.keep(network, kept.Point("twin", ws.astype(np.float32)))
    found = atlas.survey(own, "brain", samples=40)
    assert found.named.names == ("twin",) and not found.among
    assert np.allclose(found.stand_named("pca")[0], found.pca[11], atol=1e-3)
    assert np.allclose(
        atlas.place(own, found, Recipe(checkpoint="brain", point="twin", psi=1)), found.pca[11], atol=1e-3
    )
    among = atlas.survey(own, "brain", samples=40, points=True)
    assert among.among and atlas._key(network, among) != atlas._key(network, found)
    own_place = np.array([[3.0, 4.0]], np.float32)
    whole = replace(among, umap=among.pca[:, ::-1].copy(), named=replace(among.named, umap=own_place))
    atlas._keep(atlas._places(network, atlas._key(network, whole)), whole)
    again = atlas.survey(own, "brain", samples=40, points=True)
    assert again.umap is not None and np.allclose(again.stand_named("umap"), own_place)
    assert atlas.survey(own, "brain", samples=40).umap is None
    atlas_picture.write(tmp_path / "m.csv", tmp_path / "m.png", again, method="umap")
    rows = list(csv.DictReader((tmp_path / "m.csv").open(encoding="utf-8")))
    assert (rows[-1]["point"], rows[-1]["seed"], float(rows[-1]["x"])) == ("twin", "", 3.0) and len(rows) == 41


def test_sheets_are_drawn_once_and_show_their_seeds(own: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    found = atlas.survey(own, "brain", samples=120)
    sheets = Sheets.of(own, found, "brain")
    steps: list[tuple[int, int]] = []
    sheets.draw(own, 120, progress=lambda done, total: steps.append((done, total)))
    assert sheets.there() == [0, 1] and steps[-1] == (2 * SEEDS, 2 * SEEDS)
    picture = own.preview(Recipe(checkpoint="brain", seed=107))
    levels = sheets.brightness(120)
    assert levels[107] == pytest.approx(picture.mean(), abs=0.01) and np.isfinite(levels).all()
    thumb = sheets.thumbs()(107)
    assert thumb is not None and thumb.shape == (12, 11)
    assert np.abs(thumb.astype(float) - pictures.resize(picture, (12, 11))).mean() < 12  # a JPEG among others
    assert sheets.thumbs()(300) is None
    monkeypatch.setattr(own, "preview", lambda recipe: pytest.fail("drawn twice"))
    sheets.draw(own, 120)
    sheets.path(1).with_suffix(".json").write_text("[1, 2", encoding="utf-8")
    assert np.isnan(sheets.brightness(120)[107]) and np.isfinite(sheets.brightness(120)[7])


def test_a_line_becomes_keyframes_near_it(own: Studio) -> None:
    found = atlas.survey(own, "brain", samples=400)
    low, high = np.percentile(found.pca, 10, axis=0), np.percentile(found.pca, 90, axis=0)
    line = np.linspace(low, high, 200)
    base = Recipe(checkpoint="brain", psi=0.7)
    recipes, seeds, loop = atlas_path.along(found, line.tolist(), base, method="pca")
    assert not loop and 3 <= len(recipes) <= atlas_path.MOST_STATIONS and len(seeds) == len(recipes)
    span = float((found.pca.max(axis=0) - found.pca.min(axis=0)).max())
    apart = np.abs(np.hypot(*(found.pca[seeds][:, None] - line[None]).transpose(2, 0, 1))).min(axis=1)
    assert apart.max() < 0.15 * span
    assert (recipes[0].seed, recipes[0].blend, recipes[-1].seed) == (seeds[0], (), seeds[-1])
    middle = recipes[1]
    assert [part.weight for part in middle.blend] == [0.12, 0.76, 0.12]
    ws = own.ws(middle).double().mean(dim=0).numpy() - found.w_avg
    wanted = 0.7 * np.dot([0.12, 0.76, 0.12], np.linalg.norm(found.samples[seeds[:3]] - found.w_avg, axis=1))
    assert np.linalg.norm(ws) == pytest.approx(wanted, rel=0.01)  # as far from the average as what it is made of
    turn = np.linspace(0, 2 * np.pi, 100)
    circle = found.pca.mean(axis=0) + 0.25 * span * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    assert atlas_path.along(found, circle.tolist(), base, method="pca")[2]


@pytest.mark.parametrize(
    "line", [[], [[0, 0]], [[0, 0], [1, None]], [[0, 0], [1, 1e99]], [[0, 0, 0]] * 3, "ab", [[0, 0]] * 2001]
)
def test_lines_that_are_none(own: Studio, line: object) -> None:
    with pytest.raises(SettingError, match="line"):
        atlas_path.along(atlas.survey(own, "brain", samples=20), line, Recipe(), method="pca")  # type: ignore[arg-type]


def test_chosen_seeds_are_walked_in_order_and_many_thinned(own: Studio) -> None:
    found = atlas.survey(own, "colour", samples=200, by_class=True)
    recipes, seeds = atlas_path.through(found, [9, 4, 100], Recipe(checkpoint="colour"), method="pca")
    assert seeds == [9, 4, 100] and [one.label for one in recipes] == [0, 1, 1]
    assert len(atlas_path.through(found, range(200), Recipe(checkpoint="colour"), method="pca")[1]) == 16
    with pytest.raises(SettingError, match="seeds"):
        atlas_path.through(found, [5, 900], Recipe(), method="pca")


def test_the_command_colours_the_map(own: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.csv").write_text("seed,age\n0,5\n2,6\n", encoding="utf-8")
    line = [
        "map",
        f"--checkpoints={tmp_path / 'checkpoints'}",
        "--checkpoint=brain",
        "--samples=30",
        "--method=pca",
        "--json",
    ]
    main([*line, f"--color={tmp_path / 'r.csv'}:age", f"--out={tmp_path / 'a.csv'}"])
    told = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8")))
    assert [row["age"] for row in rows[:4]] == ["5", "", "6", ""] and told["color"].endswith("r.csv:age")
    main([*line, "--color=brightness", "--pictures", f"--out={tmp_path / 'b.csv'}"])
    rows = list(csv.DictReader((tmp_path / "b.csv").open(encoding="utf-8")))
    assert all(float(row["brightness"]) > 0 for row in rows)
    assert pictures.read(tmp_path / "b.png").shape[2] == 3
    with pytest.raises(SettingError, match="color"):
        main([*line, "--color=nobody", f"--out={tmp_path / 'c.csv'}"])
    assert not (tmp_path / "c.csv").exists()
