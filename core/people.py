"""Who is on a picture, as far as its name says so, and which pictures are held out of a training."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from core.errors import DataError
from core.streams import stream

__all__ = ["Split", "person", "split", "stem"]

# One row a convention; the first group is the person. They are tried in this order on the file's name without its
# suffixes, then on the folders it lies in, the nearest first.
_WORDS = "person|patient|pat|subject|subj|case|volunteer|participant"
_ANYWHERE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<![a-z0-9])(OAS\d_\d{4,5})",  # OASIS: OAS1_0001_MR1_...
        r"(?<![a-z0-9])(OAS\d{5})",  # OASIS-3: OAS30001_MR_d0129
        r"(?<![a-z0-9])(sub-[a-z0-9]+)",  # BIDS: sub-01_ses-02_T1w
        r"(?<!\d)(\d{3}_S_\d{4,5})(?!\d)",  # ADNI: ADNI_002_S_0295_MR_...
        r"(?<![a-z0-9])(OAI\d{5,})",  # OAI knees: OAI9014797_BaseLine_...
        r"(?<![a-z0-9])(IXI\d{3})(?!\d)",  # IXI: IXI002-Guys-0828-T1
        r"(?<![a-z0-9])(TCGA[-_][a-z0-9]{2}[-_][a-z0-9]{4})(?![a-z0-9])",  # TCGA: TCGA_CS_4941_19960909_1
        r"(?<![a-z0-9])(BraTS[-_a-z0-9]*?[-_]\d{3,5})(?!\d)",  # BraTS: BraTS20_Training_001_t1, BraTS-GLI-00002-000
        rf"(?<![a-z])((?:{_WORDS})[-_ ]?\d+)",  # person017_slice03, case_001_slice_0
        r"(?<![a-z0-9])(LIDC[-_]IDRI[-_]\d{4})(?!\d)",  # LIDC-IDRI-0001/01-01-2000-30178/...
    )
)
_STEM = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"^(\d{6,})[lr](?![a-z0-9])",  # OAI's knees of both sides: 9003175L, 9003175R
        r"^(\d+)_\d+$",  # ADNI's class folders: 218391_78, the number before the underscore
        r"^(.*\d.*?)[-_ .](?:slice|slc|sl|frame|z)[-_ ]?\d+$",  # anything with a number in it before _slice12
    )
)
_FOLDER = re.compile(r"^(p\d{8})$", re.IGNORECASE)  # MIMIC: p10/p10000032/s50414267/...
_SUFFIXES = re.compile(r"(\.[A-Za-z][A-Za-z0-9]{0,4})+$")


def stem(name: str) -> str:
    """A file's name without folders and suffixes: `a/case_001.nii.gz` -> `case_001`."""
    return _SUFFIXES.sub("", PurePosixPath(name.replace("\\", "/")).name)


def person(name: str) -> str | None:
    """Who a picture shows, judged by its name inside the set, or None where the name does not say.

    A pure function. It knows `person017_slice03.jpg` (person017), `case_001_slice_0.nii.png` (case_001), OASIS
    (`OAS1_0001_MR1_...`: both visits are OAS1_0001), BIDS (`sub-01_...`), ADNI (`002_S_0295`, and `218391_78.jpeg`:
    218391), OAI (both knees of `9003175L` and `9003175R`), IXI, TCGA, BraTS, LIDC and MIMIC names, and any name with a
    number in it before `_slice12`. Where the file's own name says nothing its folders are asked, the nearest first.
    Names that differ in case alone are one person.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    own = stem(name)
    for part in (own, *reversed(path.parts[:-1])):
        for pattern in _ANYWHERE:
            if found := pattern.search(part):
                return found[1].lower()
        for pattern in _STEM if part is own else (_FOLDER,):
            if found := pattern.search(part):
                return found[1].lower()
    return None


@dataclass(frozen=True)
class Split:
    """Rows to train on and rows held out, both ascending, and a sentence that says how they were told apart."""

    training: np.ndarray
    held: np.ndarray
    says: str


def split(people: Sequence[str | None], share: float, *, seed: int) -> Split:
    """Hold out about `share` of the pictures, whole people where `people` says who is on each: a pure function.

    A picture of nobody known counts as a person of its own. Where all pictures are of one person, or of nobody known,
    single pictures are held out. At least one is held out and one stays. Where every person has more than twice as many
    pictures as are wanted, the one who comes nearest is held out. Raises DataError for fewer than two pictures.
    """
    count = len(people)
    if count < 2:
        raise DataError(f"of {count} pictures none can be held out; take more pictures or --holdout 0")
    known, nobody = len({who for who in people if who is not None}), sum(who is None for who in people)
    whole = known > 1 or bool(known and nobody)
    groups: dict[str, list[int]] = {}
    for row, who in enumerate(people):
        groups.setdefault(f"p{who}" if who is not None and whole else f"r{row}", []).append(row)
    order = np.random.Generator(np.random.PCG64(stream(seed, "held out"))).permutation(len(groups)).tolist()
    members = list(groups.values())
    wanted, held = max(1, round(share * count)), list[int]()
    for index in order:
        short = wanted - len(held)
        # A whole person is taken where that comes nearer to the share than leaving them, the first where it is as near.
        if len(members[index]) < 2 * short + (not held) and len(held) + len(members[index]) < count:
            held += members[index]
    if not held:
        held = min((members[index] for index in order), key=lambda rows: abs(len(rows) - wanted))
    chosen = np.zeros(count, bool)
    chosen[held] = True
    says = f"held out {len(held)} of {count} pictures"
    if whole:
        says += _whole_people(people, held)
        if len(held) > 2 * wanted:
            says += f"; {wanted} were asked for, but nobody has so few"
    else:
        says += f", one by one, since {'all are of one person' if known else 'their names do not say who is on them'}"
    return Split(np.flatnonzero(~chosen), np.flatnonzero(chosen), says)


def _whole_people(people: Sequence[str | None], held: Sequence[int]) -> str:
    """Who was held out of whom, as the rest of a sentence."""
    known, nobody = {who for who in people if who is not None}, sum(who is None for who in people)
    out = [people[row] for row in held]
    says = f": {len(set(out) - {None})} of {len(known)} people, told apart by the files' names"
    if nobody:
        says += f", and {out.count(None)} of {nobody} pictures of nobody known"
        says += ", each of which counts as a person of its own"
    return says
