"""Ingest: every file is kept or listed with a reason, from every kind of source."""

import io
import random
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import edit_params, photo
from PIL import Image

import ingest
from faceage.core import images, tables
from faceage.core.script import UserError
from faceage.core.utkface import Labels
from faceage.data import sources
from faceage.detection.alignment import LEFT_EYE, RIGHT_EYE
from faceage.detection.detector import find_faces
from faceage.sample.synthetic import draw_face

STAMP = "20170116174525125"


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Name, content and expected reason of a file of every bad kind."""
    whole = photo(1, (200, 200))
    header = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(header, "PNG")
    return {
        f"20_0_0_{STAMP}1.jpg": (b"", "empty file"),
        f"21_0_0_{STAMP}2.jpg": (b"<html>no face here</html>", "not an image"),
        "notes.txt": (b"about this folder", "not an image"),
        "holiday.jpg": (photo(2), "unparseable name"),
        f"150_0_0_{STAMP}3.jpg": (photo(3), "age out of range"),
        f"22_0_0_{STAMP}4.jpg": (photo(4, (20, 20)), "too small"),
        f"23_0_0_{STAMP}5.png": (header.getvalue(), "too large"),
        f"24_0_0_{STAMP}6.jpg": (whole[: len(whole) // 2], "truncated"),
        f"25_0_0_{STAMP}7.png": (photo(5, kind="PNG")[:60] + b"garbage" * 20, "damaged"),
        f"30_0_0_{STAMP}1.jpg": (photo(6), "byte-identical copies with conflicting ages"),
        f"31_0_0_{STAMP}2.jpg": (photo(6), "byte-identical copies with conflicting ages"),
        f"32_1_0_{STAMP}2.jpg": (photo(7), "byte-identical copy"),
    }


def good_files() -> dict[str, bytes]:
    return {
        f"32_1_0_{STAMP}1.jpg": photo(7),
        f"40_0_1_{STAMP}.jpg": photo(8),
        f"sub/folder/50_1_{STAMP}.jpg": photo(9, kind="PNG"),
        f"60_1_2_{STAMP} .jpg.chip.jpg": photo(10),
    }


def all_files() -> dict[str, bytes]:
    return good_files() | {name: content for name, (content, _) in bad_files().items()}


def write_folder(files, path):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_tar(files, path):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(files, path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def run_ingest(source) -> pd.DataFrame:
    edit_params({"data.source": str(source), "data.min_kept": 0.0})
    ingest.main()
    return pd.read_csv(tables.REJECTED, keep_default_na=False)


def test_every_bad_kind_is_rejected_with_its_reason_and_the_good_are_kept(workspace):
    rejected = run_ingest(write_folder(all_files(), workspace / "faces"))
    expected = {name: reason for name, (_, reason) in bad_files().items()}
    assert dict(zip(rejected["path"], rejected["reason"])) == expected
    faces = tables.read_faces().set_index("path")
    assert set(faces.index) == set(good_files())
    assert len(faces) + len(rejected) == len(all_files())


def test_missing_labels_are_recorded_and_none_is_invented(workspace):
    run_ingest(write_folder(good_files(), workspace / "faces"))
    faces = tables.read_faces().set_index("path")
    incomplete = faces.loc[f"sub/folder/50_1_{STAMP}.jpg"]
    assert (incomplete["age"], incomplete["gender"]) == (50, 1)
    assert faces["race"].isna().sum() == 1


def test_the_image_bytes_are_the_original_ones(workspace):
    run_ingest(write_folder(good_files(), workspace / "faces"))
    faces = tables.read_faces()
    stored = dict(tables.image_bytes(faces["face"]))
    assert {path: stored[face] for path, face in zip(faces["path"], faces["face"])} == good_files()


@pytest.mark.parametrize(
    ("name", "write"),
    [("f.tar", write_tar), ("f.tar.gz", write_tar), ("f.zip", write_zip)],
)
def test_archives_give_the_same_tables_as_a_folder(workspace, name, write):
    run_ingest(write_folder(all_files(), workspace / "faces"))
    from_folder = tables.FACES.read_bytes(), tables.REJECTED.read_bytes()
    run_ingest(write(all_files(), workspace / name))
    assert (tables.FACES.read_bytes(), tables.REJECTED.read_bytes()) == from_folder


def test_copies_that_disagree_about_a_code_keep_the_age_and_lose_the_code(workspace):
    files = {f"40_0_1_{STAMP}1.jpg": photo(1), f"40_1_1_{STAMP}2.jpg": photo(1)}
    run_ingest(write_folder(files, workspace / "faces"))
    face = tables.read_faces().iloc[0]
    assert (face["age"], face["race"]) == (40, 1)
    assert pd.isna(face["gender"])


def test_odd_names_and_links_do_not_crash(workspace):
    folder = write_folder(good_files(), workspace / "faces")
    (folder / "26_0_0_20170101\n.jpg").write_bytes(photo(20))
    with open(bytes(folder) + b"/27_0_0_20170101\xff.jpg", "wb") as file:
        file.write(photo(21))
    (folder / f"28_0_0_{STAMP}.jpg").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder)
    rejected = run_ingest(folder)
    assert list(rejected["reason"]) == ["unreadable"]
    assert len(tables.read_faces()) == len(good_files()) + 2


def test_nothing_usable_is_a_clear_error_and_leaves_nothing_behind(workspace):
    folder = write_folder({"holiday.jpg": photo(1), "empty.jpg": b""}, workspace / "faces")
    edit_params({"data.layout": "utkface"})
    with pytest.raises(UserError, match=r"none of the 2 images .* 2 unparseable name"):
        run_ingest(folder)
    assert not tables.FACES.exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "there is nothing at"),
        (lambda path: path.mkdir(), "is empty"),
        (lambda path: path.write_bytes(b"not an archive"), "is not a whole"),
        (lambda path: path.write_bytes(b""), "is not a whole"),
        (lambda path: write_zip({}, path), "is empty"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08broken"), "is not a whole"),
        (lambda path: path.write_bytes(b"PK\x03\x04broken"), "is not a whole"),
    ],
)
def test_a_source_that_is_missing_empty_or_broken_is_a_clear_error(tmp_path, prepare, message):
    path = tmp_path / "source"
    prepare(path)
    with pytest.raises(UserError, match=message), sources.open_source(path):
        pass


def test_a_name_that_is_twice_in_an_archive_counts_twice(tmp_path):
    path = tmp_path / "twice.tar"
    with tarfile.open(path, "w") as tar:
        for content in (b"one", b"two"):
            member = tarfile.TarInfo("same.jpg")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with sources.open_source(path) as source:
        assert [source.read(name) for name in source.names] == [b"one", b"two"]


def test_links_in_archives_are_not_followed(tmp_path):
    path = tmp_path / "links.tar"
    with tarfile.open(path, "w") as tar:
        member = tarfile.TarInfo("26_0_0_20170101.jpg")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    with sources.open_source(path) as source, pytest.raises(sources.Unreadable):
        source.read(source.names[0])


def test_names_that_lead_out_of_an_archive_write_nothing_there(workspace):
    """Members are read in memory under their names; nothing is unpacked."""
    names = f"../../26_0_0_{STAMP}.jpg", f"/27_0_0_{STAMP}.jpg"
    files = {name: photo(number) for number, name in enumerate(names)}
    assert run_ingest(write_tar(files, workspace / "out.tar")).empty
    assert set(pd.read_parquet(tables.FACES)["age"]) == {26, 27}
    assert not any((workspace / name).exists() for name in names)


def test_photographs_are_aligned_and_those_without_a_face_are_listed(workspace, monkeypatch):
    """The largest face of each, cut out as UTKFace has them; the label comes from the name."""
    edit_params({"data.source": "raw", "data.align": "always"})
    face = draw_face(Labels(40, 0, 1), 200, random.Random(0))
    scene = Image.new("RGB", (600, 400), (90, 110, 120))
    scene.paste(face.rotate(20, expand=True), (40, 30))
    scene.paste(face.resize((70, 70)), (480, 300))
    (workspace / "raw").mkdir()
    scene.save(workspace / f"raw/40_0_1_{STAMP}1.jpg", quality=95)
    Image.new("RGB", (300, 300), "teal").save(workspace / f"raw/41_0_1_{STAMP}2.jpg")
    ingest.main()
    rejected = pd.read_csv(tables.REJECTED)
    assert list(rejected["reason"]) == ["no face found"]
    faces = tables.read_faces()
    assert faces[["age", "width", "height"]].to_numpy().tolist() == [[40, 200, 200]]
    ((_, content),) = tables.image_bytes(faces["face"])
    (seen,) = find_faces(images.decode(content))
    eyes = np.array([seen.left_eye, seen.right_eye]) / 200
    np.testing.assert_allclose(eyes, (LEFT_EYE, RIGHT_EYE), atol=0.03)


@pytest.mark.parametrize(("edit", "message"), [("write", "changed while"), ("remove", "No such")])
def test_a_file_that_changes_between_two_readings(workspace, monkeypatch, edit, message):
    """Its bytes are read again when they are written: they have to be those that were judged."""
    write_folder(good_files(), workspace / "faces")
    path, whole = workspace / f"faces/40_0_1_{STAMP}.jpg", ingest.collect

    def collect(opened):
        found = whole(opened)
        path.write_bytes(photo(99)) if edit == "write" else path.unlink()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "collect", collect)
        with pytest.raises((UserError, FileNotFoundError), match=f"{message}.*"):
            run_ingest("faces")
    assert list((workspace / "data").iterdir()) == []
    path.write_bytes(photo(8))
    run_ingest("faces")
    assert len(tables.read_faces()) == len(good_files())
