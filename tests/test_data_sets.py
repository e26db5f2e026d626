"""Each public data set is read right: small made-up trees of exactly their layouts."""

import io
from datetime import date
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from faceage.core import params
from faceage.core.image_files import may_be_image
from faceage.core.reasons import Reason
from faceage.data.readers import registry
from faceage.data.readers.base import READERS, Labels, NoLabel
from faceage.data.sources import open_source

MALE, FEMALE = 0, 1
WHITE, BLACK, ASIAN, INDIAN, OTHERS = range(5)


def lay_out(files, folder):
    """Files by name; what matters here is how they are called and the tables among them."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read(folder, layout="auto", **csv):
    """The reader of a source, and the labels of its images, or the reasons why they have none."""
    data = params.load(params.IngestParams)
    settings = data.data.model_copy(
        update={
            "layout": layout,
            "source": str(folder),
            "csv": data.data.csv.model_copy(update=csv),
        }
    )
    with open_source(folder) as source:
        reader = registry.choose(source, settings, data.groupings)
        return reader, {name: said(reader, name) for name in reader.images if may_be_image(name)}


def said(reader, name):
    try:
        return reader.labels(name)
    except NoLabel as error:
        return error.reason


def matlab_day(day: date) -> float:
    """Days since the year 0, as Matlab counts: its datenum(2000, 1, 1) is 730486."""
    return 730486 + (day - date(2000, 1, 1)).days


def mat(variable: str, rows: list[tuple]) -> bytes:
    """A .mat file as IMDB-WIKI's: a structure of rows of cells and of doubles."""
    names, *numbers = zip(*rows)
    cells = np.empty((1, len(rows)), dtype=object)
    cells[0] = names
    keys = ("dob", "photo_taken", "gender", "face_score", "second_face_score")
    fields = {key: np.array([column], dtype=float) for key, column in zip(keys, numbers)}
    file = io.BytesIO()
    savemat(file, {variable: {"full_path": cells, **fields}})
    return file.getvalue()


NAN, NONE = float("nan"), float("-inf")
WIKI = mat(
    "wiki",
    [
        ("17/10000217_1981-05-05_2009.jpg", matlab_day(date(1981, 5, 5)), 2009, 1, 4.3, NAN),
        ("12/100012_1948-07-03_2008.jpg", matlab_day(date(1948, 7, 3)), 2008, 0, 2.1, NAN),
        ("65/10001965_1930-05-23_1961.jpg", matlab_day(date(1930, 5, 23)), 1961, NAN, 1, NAN),
        ("16/10002116_1971-05-31_2012.jpg", matlab_day(date(1971, 5, 31)), 2012, 0, NONE, NAN),
        ("02/10002702_1960-11-09_2012.jpg", matlab_day(date(1960, 11, 9)), 2012, 1, 3, 2.5),
    ],
)

UTKFACE = {
    "1_0_0_20161219140623097.jpg": Labels(age=1, gender=MALE, race=WHITE),
    "61_1_2_20170109142408075.jpg": Labels(age=61, gender=FEMALE, race=ASIAN),
    "110_1_3_20170120134639935.jpg": Labels(age=110, gender=FEMALE, race=INDIAN),
}

IMDB_CLEAN = "filename,age,gender,head_roll,head_yaw,head_pitch,x_min,y_min,x_max,y_max\n"

# Layout, files, and what is to be understood of the images.
SETS: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "utkface": [
        (dict.fromkeys([f"UTKFace/{name}.chip.jpg" for name in UTKFACE], ""), None),
        (dict.fromkeys([f"part{n}/{name}" for n, name in enumerate(UTKFACE)], ""), None),
    ],
    "agedb": [
        (
            {"AgeDB/0_MariaCallas_35_f.jpg": "", "AgeDB/10000_GlennFord_62_m.jpg": ""},
            [
                Labels(age=35, gender=FEMALE, identity="agedb/MariaCallas"),
                Labels(age=62, gender=MALE, identity="agedb/GlennFord"),
            ],
        )
    ],
    "cacd": [
        (
            {"CACD2000/14_Aaron_Johnson_0001.jpg": "", "CACD2000/53_Robin_Williams_0011.jpg": ""},
            [
                Labels(age=14, identity="cacd/Aaron_Johnson"),
                Labels(age=53, identity="cacd/Robin_Williams"),
            ],
        )
    ],
    "afad": [
        (
            {
                "AFAD-Full/15/111/109160-0.jpg": "",
                "AFAD-Full/15/112/109161-0.jpg": "",
                "AFAD-Full/72/112/820318-0.jpg": "",
                "AFAD-Full/72/112/Thumbs.db": "",
            },
            [
                Labels(age=15, gender=MALE),
                Labels(age=15, gender=FEMALE),
                Labels(age=72, gender=FEMALE),
            ],
        )
    ],
    "all_age_faces": [
        (
            {"original images/00000A02.jpg": "", "original images/07381A80.jpg": ""},
            [Labels(age=2, gender=FEMALE), Labels(age=80, gender=MALE)],
        )
    ],
    "fgnet": [
        (
            {"images/001A02.JPG": "", "images/001A43a.JPG": "", "points/001a02.pts": "points"},
            [
                Labels(age=2, identity="fgnet/001"),
                Labels(age=43, identity="fgnet/001"),
            ],
        )
    ],
    "morph": [
        (
            {"Album2/009055_1M54.JPG": "", "Album2/312497_00F17.JPG": ""},
            [
                Labels(age=54, gender=MALE, identity="morph/009055"),
                Labels(age=17, gender=FEMALE, identity="morph/312497"),
            ],
        )
    ],
    "imdb_wiki": [
        (
            {
                "wiki_crop/02/10002702_1960-11-09_2012.jpg": "",
                "wiki_crop/12/100012_1948-07-03_2008.jpg": "",
                "wiki_crop/16/10002116_1971-05-31_2012.jpg": "",
                "wiki_crop/17/10000217_1981-05-05_2009.jpg": "",
                "wiki_crop/65/10001965_1930-05-23_1961.jpg": "",
                "wiki_crop/wiki.mat": WIKI,
            },
            [
                Reason.SET_ASIDE,  # a second face
                Labels(age=59, gender=FEMALE, identity="imdb_wiki/100012"),  # 60 in two days
                Reason.SET_ASIDE,  # no face
                Labels(age=28, gender=MALE, identity="imdb_wiki/10000217"),
                Labels(age=31, identity="imdb_wiki/10001965"),
            ],
        ),
        (  # without the .mat; the folders mean nothing
            {
                "01/nm0000001_rm124825600_1899-5-10_1968.jpg": "",
                "01/nm0000001_rm946909184_1899-5-10_1987.jpg": "",
                "48/nm0000248_rm1_1990-0-0_2000.jpg": "",
            },
            [
                Labels(age=69, identity="imdb_wiki/nm0000001"),
                Labels(age=88, identity="imdb_wiki/nm0000001"),
                Reason.UNPARSEABLE,  # no day 0 of a month 0
            ],
        ),
    ],
    "imdb_clean": [
        (
            {
                "imdb_train_new_1024.csv": IMDB_CLEAN
                + "00/nm0000100_rm1003657216_1955-1-6_2003.jpg,48,M,0.1,0.2,0.3,10,20,30,40\n",
                "imdb_valid_new_1024.csv": IMDB_CLEAN
                + "01/nm0000001_rm124825600_1899-5-10_1968.jpg,68,F,0.1,0.2,0.3,10,20,30,40\n",
                "imdb-clean-1024/00/nm0000100_rm1003657216_1955-1-6_2003.jpg": "",
                "imdb-clean-1024/01/nm0000001_rm124825600_1899-5-10_1968.jpg": "",
            },
            [
                Labels(age=48, gender=MALE, identity="imdb_wiki/nm0000100"),
                Labels(age=68, gender=FEMALE, identity="imdb_wiki/nm0000001"),
            ],
        )
    ],
    "appa_real": [
        (
            {
                "gt_avg_train.csv": "file_name,num_ratings,apparent_age_avg,apparent_age_std,"
                "real_age\n000000.jpg,36,5.0833333333333,1.6627,4\n",
                "gt_avg_valid.csv": "file_name,num_ratings,apparent_age_avg,apparent_age_std,"
                "real_age\n004113.jpg,10,69.5,3.1,72\n",
                "gt_train.csv": "file_name,age,user_id,real_age\n000000.jpg,5,1,4\n",
                "train/000000.jpg": "",
                "train/000000.jpg_face.jpg": "",
                "train/000000.jpg.mat": "",
                "valid/004113.jpg": "",
                "valid/004113.jpg_face.jpg": "",
            },
            [Labels(age=4), Labels(age=72)],
        )
    ],
    "lagenda": [
        (
            {
                "lagenda_annotation.csv": "img_name,age,gender,face_x0,face_y0,face_x1,face_y1,"
                "person_x0,person_y0,person_x1,person_y1\n"
                "lag_benchmark/a.jpg,31,F,10,10,90,90,0,0,200,300\n"
                "lag_benchmark/a.jpg,-1,-1,5,5,15,15,0,0,200,300\n"
                "lag_benchmark/b.jpg,8,M,10,10,30,30,0,0,200,300\n"
                "lag_benchmark/b.jpg,-1,-1,50,50,95,95,0,0,200,300\n"
                "lag_benchmark/c.jpg,74,M,10,10,30,30,0,0,200,300\n",
                "lag_benchmark/a.jpg": "",
                "lag_benchmark/b.jpg": "",
                "lag_benchmark/c.jpg": "",
            },
            [Labels(age=31, gender=FEMALE), Reason.SET_ASIDE, Labels(age=74, gender=MALE)],
        )
    ],
    "fairface": [
        (
            {
                "fairface_label_train.csv": "file,age,gender,race,service_test\n"
                "train/1.jpg,50-59,Male,East Asian,True\n"
                "train/2.jpg,more than 70,Female,Latino_Hispanic,False\n",
                "fairface_label_val.csv": "file,age,gender,race,service_test\n"
                "val/1.jpg,3-9,Female,Black,False\n",
                "train/1.jpg": "",
                "train/2.jpg": "",
                "val/1.jpg": "",
            },
            [
                Labels(age_low=50, age_high=59, gender=MALE, race=ASIAN),
                Labels(age_low=70, age_high=120, gender=FEMALE, race=OTHERS),
                Labels(age_low=3, age_high=9, gender=FEMALE, race=BLACK),
            ],
        ),
        (
            {
                "labels.csv": "file,age_band,gender\nface_1.jpg,0-2,Male\nface_2.jpg,70+,Female\n",
                "images/face_1.jpg": "",
                "images/face_2.jpg": "",
            },
            [
                Labels(age_low=0, age_high=2, gender=MALE),
                Labels(age_low=70, age_high=120, gender=FEMALE),
            ],
        ),
    ],
    "adience": [
        (
            {
                "fold_0_data.txt": "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\n"
                "30601258@N03\t10399646885_67c7d20df9_o.jpg\t1\t(25, 32)\tf\t0\t414\t1086\t1383\n"
                "30601258@N03\t10424815813_e94629b1ec_o.jpg\t2\t35\tu\t301\t105\t640\t641\n",
                "fold_1_data.txt": "user_id\toriginal_image\tface_id\tage\tgender\tx\ty\tdx\tdy\n"
                "7648211@N03\t8735827909_o.jpg\t1\tNone\tm\t0\t414\t1086\t1383\n",
                "faces/30601258@N03/coarse_tilt_aligned_face.1.10399646885_67c7d20df9_o.jpg": "",
                "faces/30601258@N03/coarse_tilt_aligned_face.2.10424815813_e94629b1ec_o.jpg": "",
                "faces/7648211@N03/coarse_tilt_aligned_face.1.8735827909_o.jpg": "",
            },
            [
                Labels(age_low=25, age_high=32, gender=FEMALE, identity="adience/30601258@N03"),
                Labels(age=35, identity="adience/30601258@N03"),
                Reason.SET_ASIDE,
            ],
        ),
        (
            {
                "fold_0_data.txt": "user_id\toriginal_image\tface_id\tage\tgender\n"
                "7648211@N03\t8735827909_o.jpg\t1\t(60, 100)\tm\n",
                "aligned/7648211@N03/landmark_aligned_face.1.8735827909_o.jpg": "",
            },
            [Labels(age_low=60, age_high=100, gender=MALE, identity="adience/7648211@N03")],
        ),
    ],
    "age_folders": [
        (
            {"face_age/001/1.png": "", "face_age/025/2.png": "", "face_age/110/3.png": ""},
            [Labels(age=1), Labels(age=25), Labels(age=110)],
        )
    ],
    "outer_age_folders": [
        (
            {"20/1/a.jpg": "", "31/2/a.jpg": "", "45/6/a.jpg": ""},
            [Labels(age=20), Labels(age=31), Labels(age=45)],
        )
    ],
    "csv": [
        (
            {
                "train.csv": "ID,Class\n377.jpg,MIDDLE\n17814.jpg,YOUNG\n",
                "Train/17814.jpg": "",
                "Train/377.jpg": "",
            },
            [Labels(age_class="YOUNG"), Labels(age_class="MIDDLE")],
        )
    ],
}
CASES = [(layout, *case) for layout, cases in SETS.items() for case in cases]


@pytest.mark.parametrize(("layout", "files", "expected"), CASES)
def test_a_data_set_is_recognised_and_read_right(workspace, layout, files, expected):
    reader, labels = read(lay_out(files, workspace / "data"))
    assert reader.layout == layout
    if layout == "utkface":
        for name, said in labels.items():
            known = UTKFACE[name.rpartition("/")[2].removesuffix(".chip.jpg")]
            assert (said.age, said.gender, said.race) == (known.age, known.gender, known.race)
    else:
        assert list(labels.values()) == expected
    assert not reader.absent
    named, again = read(workspace / "data", layout)
    assert (named.layout, len(again)) == (layout, len(labels))


def test_every_layout_is_tested_and_documented(workspace):
    from conftest import ROOT

    assert set(READERS) == set(SETS) | {"appa_real_apparent"}
    page = (ROOT / "docs/data.md").read_text()
    assert all(f"`{layout}`" in page for layout in READERS)


def test_apparent_ages_are_rounded_to_the_nearest_year(workspace):
    files, _ = SETS["appa_real"][0]
    _, labels = read(lay_out(files, workspace / "data"), "appa_real_apparent")
    assert labels == {
        "train/000000.jpg_face.jpg": Labels(age=5),
        "valid/004113.jpg_face.jpg": Labels(age=70),
    }


def test_one_of_two_lists_is_chosen_by_its_name(workspace):
    files, _ = SETS["fairface"][0]
    _, labels = read(lay_out(files, workspace / "data"), "fairface", file="fairface_label_val.csv")
    assert labels["val/1.jpg"].age_low == 3
    assert labels["train/1.jpg"] == Reason.UNLISTED  # and not the label of val/1.jpg


def test_what_a_set_lists_and_has_not(workspace):
    gone = "wiki_crop/17/10000217_1981-05-05_2009.jpg"
    files = {name: content for name, content in SETS["imdb_wiki"][0][0].items() if name != gone}
    reader, _ = read(lay_out(files, workspace / "data"))
    assert reader.absent == ["17/10000217_1981-05-05_2009.jpg"]
    assert reader.found == 5
