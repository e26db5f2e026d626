"""predict.py as people run it: every way to name files, every form of output, bad files."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import small_model
import torch
from conftest import ROOT, edit_params, photo

import predict
from faceage.core import images
from faceage.core.script import UserError
from faceage.inference import batch_prediction, image_files
from faceage.inference.image_files import PhotoFile
from faceage.inference.torch_predictor import TorchPredictor
from faceage.networks import saved_model, targets


@pytest.fixture
def album(workspace):
    """A model, and a folder of pictures, some of them in a folder below."""
    small_model.write()
    (workspace / "album/below").mkdir(parents=True)
    for number in range(3):
        (workspace / f"album/{number}.jpg").write_bytes(photo(number))
    (workspace / "album/below/3.png").write_bytes(photo(3, kind="PNG"))
    (workspace / "album/notes.txt").write_text("no image")
    return workspace


def asked(monkeypatch, capsys, *arguments):
    """Run predict.py; exit code, standard output, standard error."""
    monkeypatch.setattr(sys, "argv", ["predict.py", "--detect", "never", *arguments])
    try:
        predict.main()
    except SystemExit as end:
        code = int(end.code or 0)
    else:
        code = 0
    return code, *capsys.readouterr()


def read(out):
    return list(csv.DictReader(io.StringIO(out)))


def test_a_folder_is_searched_and_every_face_has_a_row(album, monkeypatch, capsys):
    code, out, _ = asked(monkeypatch, capsys, "--csv", "album")
    assert code == 0
    assert out.splitlines()[0] == "path,face,x,y,w,h,age,low,high,age_group,error"
    rows = read(out)
    assert [row["path"] for row in rows] == [
        *(f"album/{number}.jpg" for number in range(3)),
        "album/below/3.png",
    ]
    for row in rows:
        assert [row[key] for key in ("face", "x", "y", "w", "h")] == ["1", "0", "0", "64", "64"]
        assert float(row["low"]) <= float(row["age"]) <= float(row["high"])
        assert row["age_group"] in {"<18", "18-40", "41-60", ">60"}
        assert row["error"] == ""


def test_every_form_says_the_same(album, monkeypatch, capsys):
    rows = read(asked(monkeypatch, capsys, "--csv", "album")[1])
    lines = asked(monkeypatch, capsys, "--json", "album")[1].splitlines()
    objects = [json.loads(line) for line in lines]
    assert [str(o["age"]) for o in objects] == [row["age"] for row in rows]
    assert asked(monkeypatch, capsys, "--parquet", "ages.parquet", "album")[0] == 0
    table = pd.read_parquet("ages.parquet")
    assert list(table) == list(batch_prediction.COLUMNS)
    assert list(table["age"]) == [o["age"] for o in objects]
    shown = asked(monkeypatch, capsys, "album")[1].splitlines()
    assert [line.split()[-1] for line in shown[1:]] == [row["path"] for row in rows]
    assert [line.split()[0] for line in shown[1:]] == [f"{o['age']:.1f}" for o in objects]


def test_files_are_named_in_every_way(album, monkeypatch, capsys):
    def paths(*arguments):
        return [row["path"] for row in read(asked(monkeypatch, capsys, "--csv", *arguments)[1])]

    assert paths("album/1.jpg", "album/0.jpg") == ["album/1.jpg", "album/0.jpg"]
    assert paths("album/*.jpg") == ["album/0.jpg", "album/1.jpg", "album/2.jpg"]
    assert paths("album/**/*.png") == ["album/below/3.png"]
    monkeypatch.setattr("sys.stdin", io.StringIO("album/2.jpg\nalbum/0.jpg\n"))
    assert paths("-") == ["album/2.jpg", "album/0.jpg"]
    with pytest.raises(UserError, match="nothing at nowhere"):
        asked(monkeypatch, capsys, "nowhere.jpg")


def test_a_bad_file_has_a_line_and_the_rest_goes_on(album, monkeypatch, capsys):
    (album / "album/empty.jpg").touch()
    (album / "album/page.jpg").write_text("<html></html>")
    (album / "album/cut.jpg").write_bytes(photo(5)[:400])
    (album / "secret.jpg").write_bytes(photo(6))
    (album / "album/link.jpg").symlink_to(album / "secret.jpg")
    odd = os.fsdecode(b"album/line\nbreak\xff.jpg")
    (album / odd).write_bytes(photo(7))
    code, out, err = asked(monkeypatch, capsys, "--csv", "album")
    rows = {row["path"]: row for row in read(out)}
    assert code == 1
    assert {path: row["error"] for path, row in rows.items() if row["error"]} == {
        "album/empty.jpg": "not an image",
        "album/page.jpg": "not an image",
        "album/cut.jpg": rows["album/cut.jpg"]["error"],
        "album/link.jpg": "a symbolic link that leads out of the folder",
    }
    assert rows["album/cut.jpg"]["error"].lower().startswith("damaged: ")
    assert float(rows["album/line\\nbreak\\udcff.jpg"]["age"]) >= 0
    assert len(rows) == 9
    reported = [line for line in err.splitlines() if line.startswith("album/")]
    assert len(reported) == 4


def test_a_folder_without_any_picture(album, monkeypatch, capsys):
    (album / "empty").mkdir()
    (album / "empty/notes.txt").write_text("no picture")
    (album / "empty/.hidden.jpg").write_bytes(photo(1))
    with pytest.raises(UserError, match="there is no image file in empty"):
        asked(monkeypatch, capsys, "empty")


def test_images_in_folders_are_known_by_their_ending_or_their_first_bytes(tmp_path):
    names = ["a.jfif", "b.jpe", "c.avif", "d.jp2", "e.ppm", "f", "G.JPG"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(photo(number))
    (tmp_path / "README").write_text("no picture")
    (tmp_path / "._a.jpg").write_bytes(b"what macOS leaves behind")
    assert sorted(file.path.name for file in image_files.find([str(tmp_path)])) == sorted(names)


def test_many_files_keep_their_order_and_few_are_held(album, monkeypatch):
    for number in range(10, 10 + 5 * batch_prediction.CHUNK):
        (album / f"album/{number}.jpg").write_bytes(photo(number, (32, 32)))
    handed = 0

    def files():
        nonlocal handed
        for file in image_files.find(["album"]):
            handed += 1
            yield file

    def find(picture):
        return [batch_prediction.Crop((0, 0, 1, 1), images.square(picture, small_model.SIDE))]

    names = []
    for number, row in enumerate(batch_prediction.rows(files(), find, TorchPredictor())):
        names.append(row["path"])
        assert handed <= number + ((os.cpu_count() or 1) + 1) * batch_prediction.CHUNK
    assert names == [file.name for file in image_files.find(["album"])]


def test_predictions_are_those_of_the_evaluation(album):
    """One way from a file to the network: what evaluate has measured is what people get."""
    from faceage.networks import forward

    model, target = saved_model.load()
    pixels = np.stack([images.square(images.decode(photo(n)), small_model.SIDE) for n in range(9)])
    logits = forward.predict(model, torch.from_numpy(pixels), torch.float32)
    found = TorchPredictor().predict(pixels)
    np.testing.assert_array_equal(found.age, target.age(logits).numpy().astype(float))


def test_classes_without_ages_have_a_group_alone(album, monkeypatch, capsys):
    names = ("YOUNG", "MIDDLE", "OLD")
    small_model.write(targets.Classification("life_stage", (31, 51), names, None, 0.0))
    rows = read(asked(monkeypatch, capsys, "--csv", "album")[1])
    assert {row["age_group"] for row in rows} <= set(names)
    assert {row["age"] + row["low"] + row["high"] for row in rows} == {""}


def test_groups_are_of_the_grouping_that_was_learned_and_not_of_its_twin(album):
    twin = {"boundaries": [31, 51], "names": ["early", "middle", "late"]}
    edit_params({"groupings.age_group": twin})
    names = ("YOUNG", "MIDDLE", "OLD")
    small_model.write(targets.Classification("life_stage", (31, 51), names, None, 0.0))
    found = TorchPredictor().predict(np.zeros((2, 64, 64, 3), dtype=np.uint8))
    assert set(found.age_group) <= set(names)
    # With ages faces are put into age_group by their age, whatever else was learned.
    centres = (60.0, 60.0, 60.0)
    small_model.write(targets.Classification("life_stage", (31, 51), names, centres, 0.0))
    found = TorchPredictor().predict(np.zeros((2, 64, 64, 3), dtype=np.uint8))
    assert set(found.age_group) == {"late"}


def test_a_distribution_comes_with_the_age(album):
    small_model.write(targets.Dldl(0, 90, 2.0))
    found = TorchPredictor().predict(np.zeros((2, 64, 64, 3), dtype=np.uint8))
    assert found.years is not None and found.distribution is not None
    np.testing.assert_allclose(found.distribution.sum(axis=1), 1, atol=1e-5)
    expected = np.maximum(found.distribution @ found.years, 0)
    np.testing.assert_allclose(found.age, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"cut", "damaged"),
        ("model.json", b"{", "damaged"),
        ("evaluation.json", b"[]", "damaged"),
        ("evaluation.json", b'{"fingerprint": "other"}', "of another model"),
    ],
)
def test_a_damaged_model_is_a_clear_error(album, monkeypatch, capsys, file, content, message):
    (album / "models" / file).write_bytes(content)
    with pytest.raises(UserError, match=message):
        asked(monkeypatch, capsys, "album")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("model.json", "side", None),
        ("model.json", "training", {}),
        ("model.json", "training", {"groupings": {"age_group": {"names": []}}}),
        ("evaluation.json", "intervals", {"coverage": 0.9}),
    ],
)
def test_what_a_model_does_not_say_is_a_clear_error(album, file, key, value):
    path = album / "models" / file

    def without(content: dict) -> dict:
        content.pop(key)
        return content | ({} if value is None else {key: value})

    small_model.rewrite(path, without)
    with pytest.raises(UserError, match="says too little to predict with"):
        TorchPredictor()


def test_the_folder_and_the_library_are_enough(album, tmp_path):
    """A process elsewhere, with nothing of the project but its library."""
    elsewhere = tmp_path / "elsewhere"
    (album / "models").rename(elsewhere)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from faceage.inference.torch_predictor import TorchPredictor\n"
        "model = TorchPredictor(Path(sys.argv[1]))\n"
        "print(model.predict(np.zeros((1, 64, 64, 3), np.uint8)).age[0])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(elsewhere)],
        cwd="/",
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(result.stdout) >= 0


def test_names_stay_on_one_line():
    assert PhotoFile(os.fsdecode(b"a\nb\xff")).name == "a\\nb\\udcff"  # type: ignore[arg-type]
