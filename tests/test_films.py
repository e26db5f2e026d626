"""Films: decoded, followed, smoothed, and through predict.py with all that can be wrong."""

import io
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import drawn_film
import numpy as np
import pandas as pd
import pytest
import small_model
from conftest import ROOT, photo
from PIL import Image
from test_predict import asked, read

from faceage.core import images
from faceage.core.script import UserError
from faceage.core.utkface import Labels
from faceage.detection.crops import Crop
from faceage.inference import batch_prediction, film_prediction
from faceage.inference.face_tracks import LOST, Tracker
from faceage.inference.films import Film
from faceage.inference.image_files import PhotoFile
from faceage.inference.smoothing import HALF_LIFE, Smoothed
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import targets
from faceage.sample.synthetic import draw_face

OF_A_TRACK = (0.0, 0.0, 100.0, 100.0)


def smoothed(values, times):
    """Mean and standard deviation after each value."""
    average = Smoothed()
    for value, time in zip(values, times):
        average.add(value, time)
        yield average.mean, average.std


def colours(count):
    """Frames in colours that tell their number after any compression."""
    return [Image.new("RGB", (64, 48), (10 * number, 0, 0)) for number in range(count)]


def numbers(tracker, boxes, time):
    return [track.number for track in tracker.update(boxes, time)]


def test_the_mean_and_the_spread_by_hand():
    """The second of two numbers a half-life apart counts twice as much as the first."""
    (first, none), (mean, std) = smoothed([30, 42], [5, 5 + HALF_LIFE])
    assert (first, none) == (30, None)
    assert mean == pytest.approx((0.5 * 30 + 42) / 1.5)
    # As of any two numbers without bias: their distance by the square root of two.
    assert std == pytest.approx(12 / 2**0.5)


def test_the_filter_is_that_of_pandas():
    random_ages = np.random.default_rng(0).normal(40, 5, 60)
    irregular = np.random.default_rng(1).exponential(0.2, 60).cumsum()
    times = pd.to_datetime(irregular, unit="s")
    halflife = pd.Timedelta(seconds=HALF_LIFE)
    known = pd.Series(random_ages).ewm(halflife=halflife, times=times).mean()
    means, _ = zip(*smoothed(random_ages, irregular))
    np.testing.assert_allclose(means, known, rtol=1e-6)  # pandas counts in nanoseconds
    steady = pd.Series(random_ages).ewm(halflife=HALF_LIFE / 0.2)
    means, deviations = zip(*smoothed(random_ages, 0.2 * np.arange(60)))
    np.testing.assert_allclose(means, steady.mean())
    np.testing.assert_allclose(deviations[1:], steady.std()[1:])


def test_numbers_that_do_not_move_have_no_spread():
    mean, std = list(smoothed([33.3] * 50, np.arange(50) / 25))[-1]
    assert (mean, std) == (pytest.approx(33.3), pytest.approx(0, abs=1e-6))


def test_a_face_keeps_its_number_and_a_second_one_gets_its_own():
    tracker = Tracker()
    assert numbers(tracker, [OF_A_TRACK], 0.0) == [1]
    assert numbers(tracker, [(300, 0, 90, 90), (20, 5, 100, 100)], 0.2) == [2, 1]
    assert numbers(tracker, [(40, 5, 100, 100), (310, 0, 90, 90)], 0.4) == [1, 2]


def test_a_face_that_is_lost_for_a_second_is_a_new_one_then():
    tracker = Tracker()
    assert numbers(tracker, [OF_A_TRACK], 0.0) == [1]
    for time in (0.25, 0.5, 0.75):
        assert numbers(tracker, [], time) == []
    assert numbers(tracker, [OF_A_TRACK], LOST) == [1]
    for time in (1.25, 1.5, 1.75, 2.0):
        assert numbers(tracker, [], time) == []
    assert numbers(tracker, [OF_A_TRACK], 2.25) == [2]


def test_at_less_than_a_frame_a_second_faces_are_followed_too():
    tracker = Tracker()
    assert [numbers(tracker, [OF_A_TRACK], time) for time in (0.0, 3.0, 6.0)] == [[1], [1], [1]]


def test_of_two_boxes_that_fit_the_better_one_goes_on():
    tracker = Tracker()
    assert numbers(tracker, [OF_A_TRACK], 0.0) == [1]
    assert numbers(tracker, [(40, 0, 100, 100), (10, 0, 100, 100)], 0.2) == [2, 1]


@pytest.mark.parametrize("in_front", [0, 1])
def test_two_faces_that_cross_do_not_swap(in_front):
    """The one behind is not found while it is hidden; the one in front passes where it was."""
    tracker = Tracker()
    seen: dict[int, set[int]] = {0: set(), 1: set()}
    for step in range(41):
        left = [12.0 * step, 480 - 12.0 * step]
        visible = [0, 1] if abs(left[0] - left[1]) > 80 else [in_front]
        found = numbers(tracker, [(left[who], 0, 150, 150) for who in visible], step / 10)
        for who, number in zip(visible, found):
            seen[who].add(number)
    assert seen[in_front] == {in_front + 1}
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpeg"])
def test_frames_come_at_their_times_from_every_container(tmp_path, suffix):
    path = drawn_film.write(tmp_path / f"film{suffix}", colours(25), 25)
    film = Film(PhotoFile(path))
    frames = list(film.frames(5))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    reds = [np.asarray(frame.picture()).mean(axis=(0, 1))[0] for frame in frames]
    assert reds == pytest.approx([0, 50, 100, 150, 200], abs=12)
    assert film.damage() is None
    assert len(list(Film(PhotoFile(path)).frames(1000))) == 25


def test_a_film_of_a_telephone_is_turned_upright(tmp_path):
    """Its header has a matrix (ISO/IEC 14496-12, 8.3.2); the last one is of the pictures."""
    path = drawn_film.write(tmp_path / "film.mp4", colours(5), 5)
    one, minus_one, last = "00010000", "ffff0000", "40000000"
    nothing = "00000000"
    plain = bytes.fromhex("".join([one, *[nothing] * 3, one, *[nothing] * 3, last]))
    turned = bytes.fromhex("".join([nothing, one, nothing, minus_one, *[nothing] * 4, last]))
    before, _, after = path.read_bytes().rpartition(plain)
    path.write_bytes(before + turned + after)
    assert next(Film(PhotoFile(path)).frames(5)).picture().size == (48, 64)


@pytest.fixture
def cinema(workspace):
    """A model, a photograph, and a film: one person moves right, another leaves after a second."""
    small_model.write()
    one, other = (draw_face(Labels(age, 0, 1), 200, random.Random(age)) for age in (30, 70))
    frames = []
    for number in range(20):
        people = [(one, (60 + 3 * number, 140)), (other, (390, 140))]
        frames.append(drawn_film.scene(people if number < 10 else people[:1]))
    drawn_film.write(workspace / "film.mp4", frames, 10)
    (workspace / "photograph.jpg").write_bytes(photo(1))
    return workspace


def test_faces_of_a_film_are_followed_and_smoothed(cinema, monkeypatch, capsys):
    code, out, _ = asked(monkeypatch, capsys, "--csv", "--detect", "auto", "film.mp4")
    rows = pd.read_csv(io.StringIO(out))
    assert code == 0
    assert list(rows) == list(film_prediction.COLUMNS)
    assert set(rows["path"]) == {"film.mp4"} and rows["error"].isna().all()
    tracks = [own.reset_index() for _, own in rows.groupby("track")]
    one, other = sorted(tracks, key=lambda own: own["x"].iloc[0])
    assert list(one["time"]) == [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8]
    assert list(other["time"]) == [0, 0.2, 0.4, 0.6, 0.8]
    assert one["x"].iloc[-1] - one["x"].iloc[0] == pytest.approx(3 * 18, abs=10)
    for own in (one, other):
        known = own["age"].ewm(halflife=HALF_LIFE * 5)
        np.testing.assert_allclose(own["smoothed_age"], known.mean(), atol=0.006)
        np.testing.assert_allclose(own["spread"], known.std(), atol=0.006)


def test_every_form_has_photographs_and_films(cinema, monkeypatch, capsys):
    named = ("photograph.jpg", "film.mp4", "--fps", "1")
    photograph, *frames = read(asked(monkeypatch, capsys, "--csv", *named)[1])
    assert [photograph[key] for key in ("time", "track", "smoothed_age")] == [""] * 3
    assert [frame["time"] for frame in frames] == ["0.0", "1.0"]
    assert {frame["track"] for frame in frames} == {"1"}
    lines = asked(monkeypatch, capsys, "--json", *named)[1].splitlines()
    first, *others = map(json.loads, lines)
    assert tuple(first) == batch_prediction.COLUMNS
    assert [tuple(other) for other in others] == 2 * [film_prediction.COLUMNS]
    assert asked(monkeypatch, capsys, "--parquet", "ages.parquet", *named)[0] == 0
    table = pd.read_parquet("ages.parquet")
    assert list(table["time"].dropna()) == [0, 1]
    assert list(table["smoothed_age"][1:]) == [other["smoothed_age"] for other in others]
    _, shown, first_frame, second = asked(monkeypatch, capsys, *named)[1].splitlines()
    assert shown.split()[-2:] == ["1", "photograph.jpg"]
    assert first_frame.split()[-3:] == ["0.00", "1", "film.mp4"]
    expected = f"{others[1]['smoothed_age']:.1f} ± {others[1]['spread']:.1f}"
    assert expected in second and second.split()[-3:] == ["1.00", "1", "film.mp4"]


def test_a_model_of_classes_follows_without_smoothing(cinema, monkeypatch, capsys):
    names = ("YOUNG", "MIDDLE", "OLD")
    small_model.write(targets.Classification("life_stage", (31, 51), names, None, 0.0))
    rows = read(asked(monkeypatch, capsys, "--csv", "film.mp4")[1])
    assert {row["track"] for row in rows} == {"1"}
    assert {row["age"] + row["smoothed_age"] + row["spread"] for row in rows} == {""}


def test_what_is_wrong_with_a_film_is_said_and_nothing_else(cinema):
    """In a process of its own: FFmpeg writes to standard error past Python."""
    Path("empty.mp4").touch()
    Path("text.mkv").write_text("no film")
    Path("folder.mp4").mkdir()
    drawn_film.write(Path("wall.mov"), [drawn_film.scene([])] * 3, 1)
    whole = drawn_film.write(Path("whole.avi"), 20 * [drawn_film.scene([])], 5).read_bytes()
    Path("cut.avi").write_bytes(whole[: len(whole) // 2])
    Path("codec.avi").write_bytes(whole.replace(b"MJPG", b"ZZZZ"))
    header = drawn_film.write(Path("one.mp4"), [drawn_film.scene([])], 5).read_bytes()
    Path("cut.mp4").write_bytes(header[: len(header) // 2])
    odd = os.fsdecode(b"odd\xff.mp4")
    Path(odd).write_bytes(header)
    films = ["empty.mp4", "text.mkv", "wall.mov", "cut.avi", "codec.avi", "cut.mp4"]
    command = [sys.executable, str(ROOT / "src/predict.py"), "--csv", "-"]
    listed = "\n".join([*films, "folder.mp4", "nowhere.mp4", odd, "photograph.jpg"])
    result = subprocess.run(
        command, input=os.fsencode(listed), capture_output=True, check=False, cwd=cinema
    )
    errors = {row["path"]: row["error"] for row in read(result.stdout.decode())}
    undecodable = "not a film that can be decoded: damaged, or of an unknown codec"
    expected = {
        "empty.mp4": "the file is empty",
        "text.mkv": undecodable,
        "wall.mov": "no face found",
        "cut.avi": errors["cut.avi"],
        "codec.avi": undecodable,
        "cut.mp4": undecodable,
        "folder.mp4": "not a regular file",
        "nowhere.mp4": "there is no such file",
        "odd\\udcff.mp4": "its name is not valid UTF-8: rename it",
    }
    assert result.returncode == 1
    assert errors == expected | {"photograph.jpg": ""}
    assert re.fullmatch(r"damaged: it ends after \d\.\d of 4\.0 seconds", errors["cut.avi"])
    said = [line for line in result.stderr.decode().splitlines() if not line.startswith("INFO")]
    assert said == [f"{path}: {error}" for path, error in expected.items()]


def test_frames_that_are_too_large_are_not_decoded(cinema, monkeypatch, capsys):
    monkeypatch.setattr("faceage.core.images.MAX_PIXELS", 640 * 480 - 1)
    (row,) = read(asked(monkeypatch, capsys, "--csv", "film.mp4")[1])
    assert row["error"] == "too large: 640x480 pixels"


@pytest.mark.parametrize("fps", ["0", "-1", "nan", "inf"])
def test_a_rate_that_is_none(cinema, monkeypatch, capsys, fps):
    with pytest.raises(UserError, match=f"--fps is {fps}, and has to be a number above 0"):
        asked(monkeypatch, capsys, "--fps", fps, "film.mp4")


def test_films_in_folders_are_left_out(cinema, monkeypatch, capsys):
    (cinema / "album").mkdir()
    (cinema / "film.mp4").rename("album/film.mp4")
    with pytest.raises(UserError, match="no image file in album; films are predicted where they"):
        asked(monkeypatch, capsys, "album")


def test_of_a_long_film_few_frames_are_held(workspace):
    small_model.write()
    path = drawn_film.write(workspace / "film.avi", colours(25) * 8, 25)
    predictor = TorchPredictor()
    handed = 0
    frames = Film.frames

    def counted(film, fps):
        nonlocal handed
        for frame in frames(film, fps):
            handed += 1
            yield frame

    def whole(picture):
        return [Crop((0, 0, 64, 48), images.square(picture, predictor.side))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Film, "frames", counted)
        for number, _ in enumerate(film_prediction.rows(PhotoFile(path), whole, predictor, 25)):
            ahead = ((os.cpu_count() or 1) + 1) * film_prediction.CHUNK
            assert handed <= number + ahead + 1
    assert handed == number + 1 == 200
