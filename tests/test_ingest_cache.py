"""Ingest again: only new files are decoded, and the results are those of a run from nothing."""

import shutil

import pytest
from conftest import edit_params, photo
from test_duplicates import recompressed
from test_ingest import STAMP, good_files, run_ingest, write_folder

from faceage.core import images, tables
from faceage.data import duplicates, image_records

WRITTEN = (tables.FACES, tables.REJECTED, tables.CONFLICTS)


@pytest.fixture
def decoded(monkeypatch) -> list[bytes]:
    """Contents decoded since it was cleared."""
    calls: list[bytes] = []
    decode = images.decode

    def counted(content: bytes):
        calls.append(content)
        return decode(content)

    monkeypatch.setattr(image_records.images, "decode", counted)
    return calls


def old_files() -> dict[str, bytes]:
    return good_files() | {
        f"20_0_0_{STAMP}1.jpg": b"",
        f"21_0_0_{STAMP}2.jpg": photo(1)[:500],
        f"30_0_0_{STAMP}1.jpg": photo(6),
        f"31_0_0_{STAMP}2.jpg": photo(6),
    }


def results(folder) -> list[bytes]:
    run_ingest(folder)
    return [path.read_bytes() for path in WRITTEN]


def from_nothing(workspace, folder) -> list[bytes]:
    shutil.rmtree(workspace / ".ingest")
    return results(folder)


def more_files() -> dict[str, bytes]:
    """New faces, a near-duplicate of an old one, a copy of an old one, one more that is broken."""
    old = photo(8)
    return {
        f"41_0_1_{STAMP}.jpg": images.encode(recompressed(images.decode(old), 80)),
        f"42_0_1_{STAMP}.jpg": photo(30),
        f"40_1_1_{STAMP}9.jpg": old,
        f"43_0_1_{STAMP}.jpg": b"<html>",
    }


def test_only_new_files_are_decoded_and_the_results_are_those_from_nothing(workspace, decoded):
    folder = write_folder(old_files(), workspace / "faces")
    results(folder)
    write_folder(more_files(), folder)
    decoded.clear()
    again = results(folder)
    assert sorted(decoded) == sorted(
        content for content in more_files().values() if content != photo(8)
    )
    assert again == from_nothing(workspace, folder)


def test_what_is_gone_is_dropped(workspace, decoded):
    folder = write_folder(old_files() | more_files(), workspace / "faces")
    results(folder)
    for name in more_files():
        (folder / name).unlink()
    decoded.clear()
    again = results(folder)
    assert not decoded
    assert again == from_nothing(workspace, folder)


@pytest.mark.parametrize(
    "edit", [{"data.near_duplicate": 1.0}, {"data.min_img_size": 100}, {"data.conflicts": "keep"}]
)
def test_other_parameters_have_their_own_results(workspace, decoded, edit):
    folder = write_folder(old_files() | more_files(), workspace / "faces")
    before = results(folder)
    edit_params(edit)
    decoded.clear()
    if "data.min_img_size" in edit:
        write_folder({f"44_0_0_{STAMP}.jpg": photo(40, (120, 120))}, folder)
    again = results(folder)
    assert len(decoded) == ("data.min_img_size" in edit)
    assert again != before
    assert again == from_nothing(workspace, folder)


def test_with_an_index_the_results_are_those_from_nothing_too(workspace, decoded, monkeypatch):
    folder = write_folder(old_files(), workspace / "faces")
    results(folder)
    write_folder(more_files(), folder)
    monkeypatch.setattr(duplicates, "EXACT", 3)
    decoded.clear()
    again = results(folder)
    assert len(decoded) == len(more_files()) - 1
    assert again == from_nothing(workspace, folder)


@pytest.mark.parametrize("damage", [b"", b"no parquet"])
def test_a_damaged_cache_is_no_cache(workspace, decoded, damage):
    folder = write_folder(old_files(), workspace / "faces")
    before = results(folder)
    (cache,) = (workspace / ".ingest").iterdir()
    cache.write_bytes(damage)
    decoded.clear()
    assert results(folder) == before
    assert decoded


def test_other_code_finds_nothing_cached(workspace, decoded, monkeypatch):
    folder = write_folder(old_files(), workspace / "faces")
    before = results(folder)
    monkeypatch.setattr("PIL.__version__", "0.0.0")
    decoded.clear()
    assert results(folder) == before
    assert decoded
