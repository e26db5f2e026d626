"""A model on the Hugging Face Hub: the files of its folder, and a card that says what it is."""

from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import CommitOperationAdd, EvalResult, HfApi, ModelCard, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id
from jinja2 import Environment, StrictUndefined

from faceage.core.script import UserError
from faceage.networks import saved_model
from faceage.reporting.labels import interval, number
from faceage.reporting.metric_rows import METRICS

FILES = (saved_model.WEIGHTS, saved_model.ABOUT, saved_model.EVALUATION)
CARD = "README.md"
TEMPLATE = Path(__file__).with_name("hub_card.md.j2")
LOG_IN = "make one that may write at huggingface.co/settings/tokens, then: hf auth login"
REFUSED = (401, 403)
# In the Hub's words. Weights inherit the terms of the faces that they were trained on; whose those
# are no file of the model says, and UTKFace's are the strictest that the project knows.
TERMS = {"license": "other", "license_name": "non-commercial-research-only"}
TERMS |= {"license_link": "https://susanqq.github.io/UTKFace/"}


def push(folder: Path, repo: str) -> str:
    """Put a model into a repository of the Hub as one commit, and return its address.

    A repository that is not there is made, and is private: whom a model of faces is shown to is
    decided there.

    Parameters
    ----------
    repo : OWNER/NAME

    Raises
    ------
    UserError
        If the folder holds no whole, evaluated model, the name is none, or the Hub refuses or
        cannot be reached.
    """
    _require_name(repo)
    saved_model.load(folder)
    text = str(card(folder, repo))
    if not huggingface_hub.get_token():
        raise UserError(f"no token for the Hub in HF_TOKEN or on this machine; {LOG_IN}")
    adds = [CommitOperationAdd(name, folder / name) for name in FILES]
    adds.append(CommitOperationAdd(CARD, text.encode()))
    api = HfApi()
    try:
        api.create_repo(repo, exist_ok=True, private=True)
        api.create_commit(repo, adds, commit_message=f"Model {_fingerprint(folder)}")
    # An upload that is cut off is a RuntimeError to the client.
    except (HTTPError, OSError, RuntimeError) as error:
        raise UserError(_in_words(error, repo, api.endpoint)) from None
    return f"{api.endpoint}/{repo}"


def card(folder: Path, repo: str) -> ModelCard:
    """The model card: what the Hub sorts models by, and what a reader has to know.

    Raises
    ------
    UserError
        If the folder holds no model, or one that was not evaluated.
    """
    about, evaluation = saved_model.describe(folder), saved_model.describe_evaluation(folder)
    if evaluation is None:
        raise UserError(
            f"{folder} has no {saved_model.EVALUATION}, and a model without its errors is not"
            f" published; {saved_model.REEVALUATE}"
        )
    synthetic, test = about["synthetic"], evaluation["test"]
    terms: dict[str, Any] = {"license": "mit"} if synthetic else TERMS
    data = ModelCardData(
        **terms,
        library_name="faceage",
        tags=["age-estimation", "face", "timm", *(["synthetic"] if synthetic else [])],
        model_name=repo.partition("/")[2],
        eval_results=_results(test, synthetic),
    )
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(TEMPLATE.read_text()).render(
        card_data=data,
        repo=repo,
        about=about,
        coverage=evaluation["intervals"].get("coverage"),
        test=test,
        rows=[
            (name, number(test[key], kind, decimals), interval(test, key, kind, decimals))
            for key, name, kind, decimals in METRICS
            if key in test
        ],
    )
    return ModelCard(text)


def _results(test: dict[str, Any], synthetic: bool) -> list[EvalResult]:
    """What the Hub shows beside the card: the error in years, or the share of right classes."""
    kind = "drawn by a program" if synthetic else "of the photographs that it was trained on"
    (metric, name) = ("mae", "MAE, years") if "mae" in test else ("accuracy", "In the right class")
    return [
        EvalResult(
            task_type="image-regression" if metric == "mae" else "image-classification",
            task_name="Age estimation",
            dataset_type="faces",
            dataset_name=f"{test['n']:,} faces {kind}, not seen in training",
            dataset_split="test",
            metric_type=metric,
            metric_name=name,
            metric_value=test[metric],
        )
    ]


def _fingerprint(folder: Path) -> str:
    return str(saved_model.describe(folder)["fingerprint"])


def _require_name(repo: str) -> None:
    try:
        validate_repo_id(repo)
        if "/" not in repo:
            raise HFValidationError("the owner is missing")
    except HFValidationError as error:
        raise UserError(f"--repo {repo} is no OWNER/NAME of the Hub: {error}") from None


def _in_words(error: Exception, repo: str, endpoint: str) -> str:
    cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
    if isinstance(cause, HfHubHTTPError):
        status = cause.response.status_code
        if status in REFUSED:
            return f"{endpoint} refuses this token for {repo} (HTTP {status}); {LOG_IN}"
        said = cause.server_message or "without a reason"
        return f"{endpoint} did not take the model for {repo} (HTTP {status}: {said})"
    return (
        f"{endpoint} cannot be reached, or not for long enough ({type(cause).__name__}); run the"
        " same command again when it can"
    )
