"""Near-duplicates: what is done to a photograph on its way is seen through, other faces are not."""

import io
from itertools import combinations

import numpy as np
import pytest
from conftest import photo
from PIL import Image, ImageEnhance, ImageOps

from faceage.core import images
from faceage.data import duplicates
from faceage.sample.sample_files import sample_files

THRESHOLD = 0.98
FACES = 100


@pytest.fixture(scope="module")
def faces() -> list[Image.Image]:
    """Faces of the built-in sample, each another's."""
    drawn = (next(sample_files(2400, 128, 0, number))[1] for number in range(FACES))
    return [images.decode(content) for content in drawn]


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return images.decode(buffer.getvalue())


def cropped(image: Image.Image, *shares: float) -> Image.Image:
    """Cut shares off at the left, top, right and bottom."""
    left, top, right, bottom = (round(share * image.width) for share in shares)
    return image.crop((left, top, image.width - right, image.height - bottom))


DISTORTIONS = {
    "quality 40": lambda image: recompressed(image, 40),
    "60%": lambda image: image.resize((77, 77), Image.Resampling.BICUBIC),
    "crop all round": lambda image: cropped(image, 0.02, 0.02, 0.02, 0.02),
    "crop at a corner": lambda image: cropped(image, 0.04, 0.04, 0, 0),
    "crop at the bottom": lambda image: cropped(image, 0, 0, 0, 0.04),
    "mirror": ImageOps.mirror,
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.8),
}


def prints(pictures) -> np.ndarray:
    return np.stack([duplicates.fingerprint(picture) for picture in pictures])


def pairs(pictures, known=0) -> set[tuple[int, int]]:
    found = duplicates.near_pairs(prints(pictures), THRESHOLD, known)
    return {(int(first), int(second)) for first, second in found}


def test_distorted_faces_are_found_and_other_faces_are_not(faces):
    shares = {}
    for name, distort in DISTORTIONS.items():
        copies = [recompressed(distort(face), 90) for face in faces]
        found = pairs(faces + copies)
        true = {(number, FACES + number) for number in range(FACES)}
        shares[name] = len(found & true) / FACES
        assert len(found - true) <= 0.001 * (FACES * (FACES - 1) * 2)
    assert np.mean(list(shares.values())) >= 0.98, shares
    assert min(shares.values()) >= 0.95, shares


def test_different_faces_are_not_joined(faces):
    assert len(pairs(faces)) <= 0.001 * len(list(combinations(faces, 2)))


def test_the_search_in_blocks_and_in_two_runs_is_exact(monkeypatch):
    pictures = [images.decode(photo(number % 40)) for number in range(70)]
    whole = pairs(pictures)
    assert whole == {(number, number + 40) for number in range(30)}
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    assert pairs(pictures) == whole
    assert pairs(pictures[:55]) | pairs(pictures, known=55) == whole


def test_an_index_finds_nearly_all_of_it(faces, monkeypatch):
    copies = [recompressed(ImageOps.mirror(face), 60) for face in faces]
    exact = pairs(faces + copies)
    monkeypatch.setattr(duplicates, "EXACT", FACES)
    monkeypatch.delattr(duplicates, "_candidates")  # which is not to be used
    found = pairs(faces + copies)
    assert found <= exact
    assert len(found) >= 0.98 * len(exact) >= 0.98 * FACES


def test_the_merged_index_of_many_shards_finds_what_one_of_all_does(faces, monkeypatch):
    copies = [recompressed(ImageOps.mirror(face), 60) for face in faces]
    monkeypatch.setattr(duplicates, "EXACT", 0)
    whole = pairs(faces + copies)
    monkeypatch.setattr(duplicates, "SHARD", 17)
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    assert pairs(faces + copies) == whole
    assert len(whole) >= 0.98 * FACES


def test_images_of_one_colour_resemble_nothing():
    assert not pairs([Image.new("RGB", (64, 64), (n, n, n)) for n in (10, 10, 200)])


def test_what_is_joined_is_joined_in_turn():
    clusters = duplicates.connected(5, np.array([[0, 1], [1, 3]]))
    assert clusters[0] == clusters[1] == clusters[3]
    assert len(set(clusters)) == 3
