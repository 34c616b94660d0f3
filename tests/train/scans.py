"""Small volumes and DICOM series with a mark at a known place in the body."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# A head in RAS+ voxels [right, front, up], with a bright spot at the right, the front and the top.
SHAPE = (12, 16, 20)
MARK = (9, 13, 16)


def head(*, shape: tuple[int, int, int] = SHAPE, mark: tuple[int, int, int] = MARK, seed: int = 0) -> np.ndarray:
    """A bright ball with a brighter spot in emptiness, int16 0..1000, [right, front, up]."""
    axes = np.meshgrid(*((np.arange(n) + 0.5) / n * 2 - 1 for n in shape), indexing="ij")
    ball = np.sqrt(sum(axis**2 for axis in axes)) < 0.9
    random = np.random.default_rng(seed)
    voxels = np.where(ball, 400 + random.integers(0, 100, shape), 0).astype(np.int16)
    voxels[tuple(slice(n - 1, n + 2) for n in mark)] = 1000
    return voxels


def nifti(
    path: Path, voxels: np.ndarray, *, codes: str = "RAS", slope: float | None = None, inter: float = 0.0
) -> Path:
    """Save [right, front, up] voxels, lying in the file as `codes` say, such as LPI."""
    import nibabel as nib

    path.parent.mkdir(parents=True, exist_ok=True)
    plain = nib.Nifti1Image(voxels, np.eye(4), dtype=voxels.dtype)
    turn = nib.orientations.ornt_transform(nib.io_orientation(np.eye(4)), nib.orientations.axcodes2ornt(tuple(codes)))
    image = plain.as_reoriented(turn)
    if slope is not None:
        image.header.set_slope_inter(slope, inter)
    nib.save(image, path)
    return path


def dicom(path: Path, pixels: np.ndarray, **tags: Any) -> Path:
    """Save one picture, [h, w] or frames [n, h, w] of int16, as an uncompressed DICOM file; tags override."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    file.PatientID, file.SeriesInstanceUID, file.Modality = "somebody", "1.2.3", "MR"
    file.Rows, file.Columns = pixels.shape[-2:]
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 1
    if pixels.ndim == 3:
        file.NumberOfFrames = len(pixels)
    file.PixelData = pixels.astype("<i2").tobytes()
    for key, value in tags.items():
        if value is not None:
            setattr(file, key, value)
        elif key in file:
            delattr(file, key)
    file.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, *, count: int = 6, size: tuple[int, int] = (20, 16), **tags: Any) -> Path:
    """A series whose files are named against the order of their slices; slice k is 100 (k + 1) with a bright frame."""
    for k in range(count):
        pixels = np.full(size, 100 * (k + 1), np.int16)
        pixels[:2] = 1000
        place = {"ImagePositionPatient": [0, 0, 3.0 * k], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        dicom(folder / f"{count - k:03}.dcm", pixels, **{"InstanceNumber": count - k, **place, **tags})
    return folder
