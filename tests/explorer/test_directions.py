"""Directions planted in a network come back: in its style layers, in the covariance of its W, as labels of seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import core
from core.errors import SettingError
from explorer import directions, kept, labels
from explorer.recipe import Recipe
from explorer.studio import Studio
from tests.explorer.conftest import toy

WIDTH = 24


def planted(path: Path, arch: str, axis: np.ndarray, *, style: float = 0.0, spread: float = 0.0) -> Path:
    """Write a toy network whose style layers answer most to `axis`, or whose W varies most along it."""
    torch.manual_seed(4)
    module = core.stylegan if arch == "stylegan" else core.stylegan2
    config = module.GeneratorConfig(size=(14, 12), filters=(12, 8), z_dim=WIDTH, w_dim=WIDTH, mapping_layers=2)
    generator = core.build_generator(config)
    along = torch.from_numpy(axis.astype(np.float32))
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("affine.weight"):
                parameter.add_(style * torch.outer(torch.randn(len(parameter)), along))
        last = generator.mapping.layers[-1]
        last.bias.fill_(60 / last.lr)  # far from the bend of the activation, where the mapping is straight
        last.weight.add_(spread / last.lr * torch.outer(along, torch.randn(WIDTH)))
    path.parent.mkdir(parents=True, exist_ok=True)
    core.save(path, generator, about={"credit": "made by a test"})
    return path


def axis(seed: int = 0) -> np.ndarray:
    found = np.random.RandomState(seed).randn(WIDTH)
    return found / np.linalg.norm(found)


def cosine(direction: kept.Direction, other: np.ndarray) -> float:
    return abs(float(direction.vector.astype(np.float64) @ other))


@pytest.mark.parametrize("arch", ["stylegan2", "stylegan"])
def test_what_is_planted_in_the_style_layers_is_sefas_first(tmp_path: Path, arch: str) -> None:
    planted(tmp_path / "brain.safetensors", arch, axis(), style=9.0)
    room = Studio(tmp_path, tmp_path).open("brain")
    for layers in (None, "1-2"):
        found = directions.found(room.generator, room.samples, method="sefa", layers=layers, count=3)
        assert cosine(found[0], axis()) > 0.99
        assert found[0].about["value"] > 3 * found[1].about["value"]
        np.testing.assert_allclose(room.direction(found[0].name).vector, found[0].vector, atol=1e-6)
        assert room.direction(found[2].name).sd == pytest.approx(found[2].sd, rel=1e-5)
    assert [one.name for one in found] == ["sefa-0.1-2", "sefa-1.1-2", "sefa-2.1-2"]


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("spread")
    planted(folder / "brain.safetensors", "stylegan2", axis(), spread=12.0)
    return Studio(folder, folder)


def test_what_w_varies_along_most_is_the_first_component(spread: Studio) -> None:
    room = spread.open("brain")
    found = directions.found(room.generator, room.samples, method="pca", count=2)
    assert cosine(found[0], axis()) > 0.99
    samples = room.samples().astype(np.float64)
    share = np.var(samples @ found[0].vector) / samples.var(axis=0).sum()
    assert found[0].about["value"] == pytest.approx(share, rel=1e-3)
    assert directions.entry(found[0], kept=False)["words"] == f"{share:.1%} of variance"


def test_labels_of_seeds_give_the_planted_direction_back(spread: Studio) -> None:
    seeds = np.arange(400)
    along = spread.styles("brain", list(seeds)).astype(np.float64) @ axis()
    high = along > np.median(along)
    piles = {"a": [Recipe(seed=int(k)) for k in seeds[~high]], "b": [Recipe(seed=int(k)) for k in seeds[high]]}
    for method in labels.LEARNED:
        found = labels.from_piles(spread, "brain", name="x", method=method, **piles)
        assert cosine(found, axis()) > 0.99
        assert found.vector @ axis() > 0, "from a to b"
        assert found.about["score"] > 0.9 and found.about["believable"] is True
    for column in ([f"{value:.5f}" for value in along], ["ill" if one else "healthy" for one in high]):
        lines = [f"{seed},{value}" for seed, value in zip(seeds, column, strict=True)]
        table = labels.read_table("\n".join(["seed,rating", *lines]))
        found = labels.from_table(spread, "brain", table, name="x")
        assert cosine(found, axis()) > 0.99
        assert found.vector @ axis() > 0, "the way the value grows"
        assert found.about["unit"] == ("R2" if table.words is None else "accuracy")
    assert found.about["ends"] == ["healthy", "ill"] and found.about["r2"] > 0.4


def test_a_pile_has_no_pictures_of_another_network(spread: Studio) -> None:
    other = Recipe.parse({"toward": {"checkpoint": "none", "seed": 2, "t": 0.5}})
    with pytest.raises(SettingError, match=r"toward\.checkpoint cannot be 'none': it has to be brain"):
        labels.from_piles(spread, "brain", name="x", method="difference", a=[other], b=[Recipe(seed=3)])


def test_a_picture_that_is_named_often_counts_once(spread: Studio) -> None:
    random = np.random.RandomState(0)
    seeds, values = np.repeat(np.arange(12), 10), np.repeat(random.randn(12).round(3), 10)
    table = labels.read_table("seed,noise\n" + "\n".join(f"{k},{v}" for k, v in zip(seeds, values, strict=True)))
    found = labels.from_table(spread, "brain", table, name="noise").about
    assert found["rows"] == 12 and not found["believable"]
    piles = {side: [Recipe(seed=int(k)) for k in random.permutation(12)[:6].repeat(10)] for side in "ab"}
    made = labels.from_piles(spread, "brain", name="x", method="classifier", **piles).about
    assert made["piles"] == [6, 6] and not made["believable"]


def test_a_picture_that_is_named_thrice_with_one_value_is_kept(spread: Studio) -> None:
    # A mean of three such numbers is not the number: 0.1 + 0.1 + 0.1 is more than 0.3.
    seeds = np.arange(24)
    along = spread.styles("brain", list(seeds)).astype(np.float64) @ axis()
    values = np.where(along > np.median(along), "0.7", "0.1")
    lines = [f"{seed},{value}" for seed, value in zip(seeds.repeat(3), values.repeat(3), strict=True)]
    once = [f"{seed},{value}" for seed, value in zip(seeds, values, strict=True)]
    found, wanted = (
        labels.from_table(spread, "brain", labels.read_table("\n".join(["seed,kind", *rows])), name="x")
        for rows in (lines, once)
    )
    assert np.array_equal(found.vector, wanted.vector) and found.about["score"] == wanted.about["score"]


def test_seeds_without_a_class_have_the_one_given(tmp_path: Path) -> None:
    toy(tmp_path / "classes.safetensors", num_classes=3)
    studio = Studio(tmp_path, tmp_path)
    values = [f"{k},{(7919 * k) % 101}" for k in range(20)]
    bare = labels.read_table("\n".join(["seed,age", *values]))
    named = labels.read_table("\n".join(["seed,age,class", *(f"{one},2" for one in values)]))
    found, wanted, other = (
        labels.from_table(studio, "classes", table, name="x", label=label)
        for table, label in ((bare, 2), (named, None), (bare, None))
    )
    assert np.array_equal(found.vector, wanted.vector) and not np.array_equal(found.vector, other.vector)


def test_a_picture_counts_by_its_w_as_trained(spread: Studio) -> None:
    w = spread.styles("brain", [7, 8]).astype(np.float64)
    recipes = [
        Recipe(seed=7, psi=0.3, noise="none"),
        Recipe.parse({"blend": [{"seed": 7, "weight": 0.5, "psi": 0.2}, {"seed": 8, "weight": 0.5}]}),
    ]
    found = labels.w_of(spread, "brain", recipes)
    np.testing.assert_allclose(found, [w[0], w.mean(axis=0)], atol=1e-5)


def test_a_table_names_points_by_name_or_file(spread: Studio) -> None:
    network, room = spread.network("brain"), spread.open("brain")
    random = np.random.RandomState(2)
    values = random.randn(12)
    for k, value in enumerate(values):
        ws = np.repeat((room.samples().mean(axis=0) + 20 * value * axis())[None], network.layers, axis=0)
        ws = ws.astype(np.float32) + random.randn(*ws.shape).astype(np.float32) * 0.01
        kept.keep(network, kept.Point(f"scan {k}", ws, about={"source": f"folder/slice-{k}.png"}))
    names = [f"scan {k}" if k % 2 else f"elsewhere/slice-{k}.png" for k in range(12)]
    lines = [f"{name};{str(round(value, 4)).replace('.', ',')}" for name, value in zip(names, values, strict=True)]
    table = labels.read_table("\n".join(["file;age", *lines]))
    found = labels.from_table(spread, "brain", table, name="age")
    assert cosine(found, axis()) > 0.99
    with pytest.raises(SettingError, match="file cannot be 'nobody.png and 1 more'.*project these pictures first"):
        labels.from_table(
            spread, "brain", labels.read_table("file,age\nnobody.png,1\nx,2\nscan 1,3\nscan 2,3"), name="age"
        )


def test_pictures_that_are_no_points_are_made_so_once_all_are_known(spread: Studio) -> None:
    network, made = spread.network("brain"), []

    def unknown(file: str) -> Callable[[], np.ndarray] | None:
        number = file.removesuffix(".png")
        return (lambda: ws(int(number))) if number.isdigit() else None

    def ws(number: int) -> np.ndarray:
        made.append(number)
        return np.repeat(20 * number * axis()[None], network.layers, axis=0)

    rows = [f"{k}.png,{k}" for k in range(6)]
    with pytest.raises(SettingError, match="file cannot be 'x.png'"):
        labels.from_table(
            spread, "brain", labels.read_table("\n".join(["file,age", *rows, "x.png,3"])), name="age", unknown=unknown
        )
    assert made == []
    found = labels.from_table(
        spread, "brain", labels.read_table("\n".join(["file,age", *rows])), name="age", unknown=unknown
    )
    assert made == list(range(6)) and cosine(found, axis()) > 0.99


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "labels cannot be 'nothing'"),
        ("a,b\n1,2", "a table with a column seed or file"),
        ("seed,age\n1,2\n2,3", "4 to 4096"),
        ("seed,age\n1,2\n2,3\n3,x\n4,5", "'x in line 4'"),
        ("seed,age\n1,2\n2,2\n3,2\n4,2", "values of age that differ"),
        ("seed,age\n1,2\n2,3\n3,nan\n4,2", "'nan in line 4'"),
        ("seed,age\n1,2\n-2,3\n3,1\n4,2", "'-2 in line 3'"),
        ("seed,age,size\n1,2,3\n2,3,4\n3,1,2\n4,2,1", "column cannot be 'nothing': one of age, size"),
        ("seed,class,age\n1,a,3\n2,1,4\n3,1,2\n4,2,1", "'a in line 2'"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(SettingError) as wrong:
        labels.read_table(text)
    assert said in str(wrong.value)


def test_a_table_is_read_as_people_write_it() -> None:
    table = labels.read_table("\ufeffSeed\tclass\tage\n3\t1\t4\n\n5\t\t6,5\n6\t0\t\n7\t2\t8\n9\t0\t1e1\n", column="AGE")
    assert [(row.seed, row.label) for row in table.rows] == [(3, 1), (5, None), (7, 2), (9, 0)]
    assert table.values.tolist() == [4, 6.5, 8, 10] and table.left_out == 1 and table.column == "age"
    assert labels.read_table("3,1\n4,0\n5,1\n6,0").two
    assert labels.read_table("seed,sex\n1,m\n2,f\n3,f\n4,m").words == ("f", "m")


def test_what_cannot_be_found_is_refused(spread: Studio) -> None:
    room = spread.open("brain")
    for settings, field in (
        ({"method": "umap"}, "method"),
        ({"method": "sefa", "count": 0}, "number"),
        ({"method": "sefa", "layers": "0,2"}, "layers"),
        ({"method": "sefa", "layers": "0-40"}, "layers"),
    ):
        with pytest.raises(SettingError) as wrong:
            directions.found(room.generator, room.samples, **settings)
        assert wrong.value.field == field
    with pytest.raises(SettingError, match="pictures other than those of a"):
        labels.from_piles(spread, "brain", name="x", method="difference", a=[Recipe(seed=1)], b=[Recipe(seed=1)])
    with pytest.raises(SettingError, match="a cannot be '0 pictures'"):
        labels.from_piles(spread, "brain", name="x", method="difference", a=[], b=[Recipe(seed=1)])
