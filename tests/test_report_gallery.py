"""The faces in the report: the right ones, with their own pixels, under their own maps."""

import io

import numpy as np
import pytest
import report_inputs
from PIL import Image

from faceage.reporting import figures, gallery, labels


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield report_inputs.prepare(tmp_path_factory.mktemp("gallery"), patch)


@pytest.fixture(scope="module")
def chosen(found):
    return gallery.choose(found)


def test_worst_come_first_and_typical_go_from_young_to_old(found, chosen):
    errors = [abs(int(face.note.replace(labels.MINUS, "-"))) for face in chosen.worst]
    assert len(errors) == gallery.WORST
    assert errors == sorted(errors, reverse=True)
    assert errors[0] == round(found.predictions["error"].abs().max())
    ages = [int(face.caption.split()[0]) for face in chosen.typical]
    assert len(ages) == gallery.TYPICAL
    assert ages == sorted(ages)


def test_faces_are_shown_with_their_own_pixels(found, chosen):
    ages = found.people.set_index("path")["age"]
    for face in (*chosen.samples, *chosen.worst, *chosen.typical):
        cheek = face.pixels[face.pixels.shape[0] * 55 // 96, face.pixels.shape[1] // 2]
        assert cheek[0] == pytest.approx(226 - ages[face.path], abs=2)
        assert Image.open(io.BytesIO(face.jpeg())).size == (gallery.SIDE, gallery.SIDE)


def test_samples_run_from_young_to_old_with_words_for_their_labels(found, chosen):
    ages = [int(face.caption.split()[0]) for face in chosen.samples]
    assert ages == sorted(ages)
    assert ages[0] == found.people["age"].min()
    assert ages[-1] == found.people["age"].max()
    assert all(face.note.split(",")[0] in ("male", "female") for face in chosen.samples)


def test_maps_lie_where_the_network_looked(chosen):
    for pairs in chosen.saliency.values():
        faces, maps = pairs[::2], pairs[1::2]
        assert len(faces) == len(maps) == 6
        for number, (face, heated) in enumerate(zip(faces, maps, strict=True)):
            assert face.path == heated.path
            # The spot that report_inputs drew, in the full yellow of the colour map.
            warmth = heated.pixels[..., 1].astype(int) - heated.pixels[..., 2]
            scale = gallery.SIDE / 48
            down, across = np.unravel_index(warmth.argmax(), warmth.shape)
            assert 12 <= down / scale <= 25
            assert 6 * number <= across / scale <= 6 * number + 13


def test_without_maps_there_is_no_sheet_of_them(found, chosen, tmp_path, monkeypatch):
    assert "saliency" in figures.sheets(found, chosen)
    without = report_inputs.prepare(tmp_path, monkeypatch, faces=60, test=8, saliency=False)
    faces = gallery.choose(without)
    assert faces.saliency == {}
    assert set(figures.sheets(without, faces)) == {
        "samples",
        "label_issues",
        "outliers",
        "worst",
        "typical",
    }
