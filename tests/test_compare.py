"""Two runs compared: against a bootstrap by hand and closed forms, in a real git repository."""

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import edit_params

import compare as script
from faceage.core.script import UserError
from faceage.evaluation.comparison import compare
from faceage.experiments import runs
from faceage.reporting.comparison_text import markdown

RNG = np.random.default_rng(0)
AGES = RNG.integers(1, 90, 200).astype(float)


def predictions(predicted, age=AGES, **columns):
    faces = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(len(age))]
    table = pd.DataFrame({"face": faces, "age": age, "predicted": predicted})
    return table.assign(**columns)


def compared(a, b, count=500, smallest=30):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        return compare(a, b, count=count, seed=0, smallest=smallest)


def noisy(years):
    return AGES + RNG.normal(0, years, 200)


def text(comparison):
    return markdown("`a`", "`b`", comparison)


def test_the_interval_agrees_with_a_bootstrap_by_hand():
    cluster = np.repeat(np.arange(20), 3).astype(str)
    a, b = (predictions(AGES[:60] + RNG.normal(1, 6, 60), AGES[:60]) for _ in "ab")
    found = compared(a.assign(cluster=cluster), b.assign(cluster=cluster), 4000, 10).overall

    difference = (b["predicted"] - b["age"]).abs() - (a["predicted"] - a["age"]).abs()
    rows_of = [np.flatnonzero(cluster == name) for name in np.unique(cluster)]
    rng = np.random.default_rng(2)
    by_hand = [
        difference[np.concatenate([rows_of[n] for n in rng.integers(0, 20, 20)])].mean()
        for _ in range(2000)
    ]
    assert found.difference == pytest.approx(difference.mean())
    expected = np.quantile(by_hand, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(expected, abs=0.2 * np.std(by_hand))
    assert (found.n, found.clusters) == (60, 20)


def test_a_perfect_against_a_biased_predictor():
    biased, perfect = predictions(AGES + 3), predictions(AGES)
    found = compared(biased, perfect).overall
    assert (found.mae_a, found.mae_b) == pytest.approx((3, 0))
    assert (found.difference, found.low, found.high) == pytest.approx((-3, -3, -3))
    assert found.verdict == "better"
    assert compared(perfect, biased).overall.verdict == "worse"


def test_a_run_against_itself_is_exactly_zero():
    run = predictions(noisy(6), gender=np.where(AGES > 30, "male", "female"))
    found = compared(run, run)
    for difference in (found.overall, *found.subgroups.values()):
        assert difference.difference == difference.low == difference.high == 0
    assert found.overall.verdict == "no difference shown"
    assert "+0.00 years** (95% interval +0.00 to +0.00)" in text(found)


def test_exchanging_the_runs_changes_the_signs():
    a, b = predictions(noisy(6)), predictions(noisy(5))
    there, back = compared(a, b).overall, compared(b, a).overall
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_pairing_finds_what_two_intervals_side_by_side_cannot():
    hard = RNG.normal(0, 12, 200)
    a = predictions(AGES + hard)
    b = predictions(AGES + 0.93 * hard + RNG.normal(0, 0.2, 200))
    assert compared(a, b).overall.verdict == "better"
    half_width_alone = 1.96 * (b["predicted"] - AGES).abs().std() / 200**0.5
    assert abs(compared(a, b).overall.difference) < half_width_alone


def test_copied_errors_widen_the_interval():
    cluster = np.repeat(np.arange(20), 10).astype(str)
    errors = [np.repeat(RNG.normal(0, 6, 20), 10) for _ in "ab"]
    a, b = (predictions(AGES + error) for error in errors)
    alone = compared(a, b).overall
    together = compared(a.assign(cluster=cluster), b.assign(cluster=cluster)).overall
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_without_clusters_every_face_counts_and_the_text_says_so():
    a, b = predictions(noisy(6)), predictions(noisy(6))
    each = a["face"]
    without, single = compared(a, b), compared(a.assign(cluster=each), b.assign(cluster=each))
    assert (without.clustered, single.clustered) == (False, True)
    assert without.overall.clusters == single.overall.clusters == 200
    assert "each face counts as its own" in text(without)
    assert "each face counts as its own" not in text(single)


def test_clusters_of_the_other_run_serve_where_one_has_none():
    cluster = np.repeat(np.arange(20), 10).astype(str)
    a, b = predictions(noisy(6)), predictions(noisy(5))
    new, old = compared(a, b.assign(cluster=cluster)), compared(a.assign(cluster=cluster), b)
    assert new.overall == old.overall
    assert new.overall.clusters == 20


def test_groups_are_shown_with_their_own_verdicts():
    gender = np.where(np.arange(200) < 100, "female", "male")
    race = np.where(np.arange(200) < 5, "Asian", "")
    group = np.where(AGES < 18, "<18", np.where(AGES < 41, "18-40", "OLD"))
    labels = {"gender": gender, "race": race, "age_group": group}
    a = predictions(AGES + 5, **labels)
    b = predictions(AGES + np.where(gender == "female", 1, 9), **labels)
    found = compared(a, b)
    assert found.subgroups["gender", "female"].verdict == "better"
    assert found.subgroups["gender", "male"].verdict == "worse"
    assert found.subgroups["race", "Asian"].verdict == "too few faces"
    assert found.subgroups["race", "not given"].n == 195
    names = [name for grouping, name in found.subgroups if grouping == "age_group"]
    assert names == ["<18", "18-40", "OLD"]
    decades = [name for grouping, name in found.subgroups if grouping == "decade"]
    assert decades == sorted(decades)
    for grouping in ("gender", "race", "decade", "age_group"):
        sizes = [each.n for name, each in found.subgroups.items() if name[0] == grouping]
        assert sum(sizes) == 200
    assert "| gender: male | 100 | 5.00 | 9.00 | +4.00 | +4.00 to +4.00 | worse |" in text(found)
    assert "not corrected for multiple comparisons" in text(found)


def test_a_few_faces_get_no_verdict():
    found = compared(predictions(AGES[:3] + 9, AGES[:3]), predictions(AGES[:3], AGES[:3]))
    assert found.overall.verdict == "too few faces"
    assert "too few faces for a verdict" in text(found)


def test_only_shared_faces_count():
    a, b = predictions(AGES + 4)[:150], predictions(AGES + 2)[50:].iloc[::-1]
    found = compared(a, b)
    assert (found.n_a, found.n_b, found.shared, found.overall.n) == (150, 150, 100, 100)
    assert found.overall.difference == pytest.approx(-2)
    assert "100 faces shared, of 150 of A and 150 of B" in text(found)
    assert "test sets differ" not in text(compared(a, a))


def test_faces_of_another_age_are_left_out():
    a, b = predictions(AGES + 4), predictions(AGES + 2)
    b.loc[:1, "age"] += 30
    found = compared(a, b)
    assert (found.conflicting, found.overall.n) == (2, 198)
    assert found.overall.difference == pytest.approx(-2)
    assert "2 shared faces with another true age" in text(found)


def test_labels_that_differ_are_counted_as_in_b():
    a = predictions(AGES, gender="male", race="White")
    b = predictions(AGES, gender=["female"] + ["male"] * 199, race="White")
    found = compared(a, b)
    assert found.relabelled == 1
    assert found.subgroups["gender", "female"].n == 1
    assert "1 face with another gender or ethnicity" in text(found)


def test_nothing_in_common():
    a, b = predictions(AGES), predictions(AGES)
    with pytest.raises(UserError, match="0 test faces in common"):
        compared(a[:50], b[50:])
    with pytest.raises(UserError, match="200 test faces in common, and none of the same age"):
        compared(a, b.assign(age=AGES + 1))


def git(*command):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    command = ("git", *identity, *command)
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def commit(table, message):
    """Commit these predictions, or none; its hash."""
    path = Path(runs.PREDICTIONS)
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if table is not None:
        table.to_csv(path, index=False)
    git("add", "--all")
    git("commit", "--quiet", "--allow-empty", "-m", message)
    return git("rev-parse", "HEAD")


@pytest.fixture
def repository(workspace):
    """Three commits, the first without predictions; an experiment on the last; a folder."""
    git("init", "--quiet", "--initial-branch", "main")
    edit_params({"evaluate.bootstrap": 200})
    empty = commit(None, "nothing has run yet")
    old = commit(predictions(AGES + 6), "old")
    git("tag", "v1")
    new = commit(predictions(AGES + 2), "new")
    experiment = commit(predictions(AGES + 1), "experiment")
    git("update-ref", f"refs/exps/{new[:2]}/{new[2:]}/hasty-loon", experiment)
    git("update-ref", "refs/exps/exec/EXEC_BASELINE", new)
    git("reset", "--quiet", "--hard", new)
    (workspace / "elsewhere").mkdir()
    predictions(AGES + 3).to_csv(workspace / "elsewhere/predictions.csv", index=False)
    return {"empty": empty, "old": old, "new": new, "experiment": experiment}


@pytest.mark.parametrize(
    ("name", "bias"),
    [("main", 2), ("v1", 6), ("HEAD~1", 6), ("hasty-loon", 1), ("elsewhere", 3), ("reports", 2)],
)
def test_runs_are_found(repository, name, bias):
    table = runs.find(name).predictions
    assert (table["predicted"] - table["age"]).mean() == pytest.approx(bias)


def test_the_script_prints_a_verdict(repository, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare.py", "v1", "hasty-loon"])
    script.main()
    printed = capsys.readouterr().out
    old, new = repository["old"][:7], repository["experiment"][:7]
    assert printed.startswith(f"### `hasty-loon` ({new}) against `v1` ({old}): better\n")
    assert f"6.00 years in A, `v1` ({old}); 1.00 in B" in printed
    assert "**\N{MINUS SIGN}5.00 years**" in printed
    assert "**B is better**" in printed


def test_an_unknown_name_is_answered_with_the_closest(repository):
    with pytest.raises(UserError, match=r"nothing is called hasty-lion.*did you mean hasty-loon\?"):
        runs.find("hasty-lion")
    with pytest.raises(UserError, match=r"did you mean main\?"):
        runs.find("mian")
    with pytest.raises(UserError, match="`dvc exp list --all`"):
        runs.find("qqqqqqqq")


def test_a_repository_of_another_user_is_no_unknown_name(repository, workspace, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"GIT_CONFIG_{level}", os.devnull)
    command = f"git config --global --add safe.directory {workspace}"
    with pytest.raises(UserError, match=f"look HEAD up .* another user; .*: {command}$"):
        runs.find("HEAD")
    assert len(runs.find("elsewhere").predictions) == 200


def test_outside_of_git_there_are_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="nothing is called main"):
        runs.find("main")
    predictions(AGES).to_csv("predictions.csv", index=False)
    assert len(runs.find(".").predictions) == 200


def test_a_commit_without_predictions(repository):
    with pytest.raises(UserError, match=r"has no reports/predictions.csv.*`dvc repro`"):
        runs.find(repository["empty"])


def test_a_folder_without_predictions(repository):
    with pytest.raises(UserError, match=r"the folder src holds no predictions.csv"):
        runs.find("src")


def test_two_experiments_of_one_name(repository):
    old = repository["old"]
    git("update-ref", f"refs/exps/{old[:2]}/{old[2:]}/hasty-loon", old)
    with pytest.raises(UserError, match=f"2 experiments are called hasty-loon.*{old[:7]}"):
        runs.find("hasty-loon")


HASH = hashlib.sha256(b"0").hexdigest()


@pytest.mark.parametrize(
    ("content", "broken"),
    [
        ("", "this is no table"),
        (f"face,predicted\n{HASH},3\n", "column age is missing"),
        (f"face,age,predicted\n{HASH},3,\n", "column predicted breaks the rule `given`"),
        (f"face,age,predicted\n{HASH},3,4\n{HASH},3,4\n", "column face breaks .*`unique`"),
        (f"face,age,predicted\n{HASH},3,4,5,6\nb,1\n", "this is no table"),
        (f"face,age,predicted\n{HASH},x,4\n", "column age breaks the rule"),
        (f"face,age,predicted\n{HASH},3,x\n", "column predicted breaks the rule"),
    ],
    ids=["empty", "no age", "no prediction", "a face twice", "long rows", "age", "prediction"],
)
def test_damaged_predictions(content, broken, tmp_path):
    (tmp_path / "predictions.csv").write_text(content)
    with pytest.raises(UserError, match=rf"predictions\.csv: {broken}.*`dvc repro`"):
        runs.find(str(tmp_path))


def test_labels_are_read_as_text_and_may_be_empty():
    content = f"face,age,predicted,race,age_group\n{HASH},3,4,,NA\n"
    table = runs.read(content, "here")
    assert list(table["race"]) == [""]
    assert list(table["age_group"]) == ["NA"]


def test_a_run_without_ages_is_a_clear_error():
    with pytest.raises(UserError, match="no errors in years to compare"):
        runs.read(f"face,age,life_stage,predicted_life_stage\n{HASH},,OLD,YOUNG\n", "here")
