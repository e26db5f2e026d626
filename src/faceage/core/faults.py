"""What is wrong with params.yaml, in words for the person who wrote it."""

import difflib
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from faceage.core.script import UserError

# Keys of earlier versions, and what they are called now.
RENAMED = {
    "sample.px": "sample.img_size",
    "data.min_px": "data.min_img_size",
    "groupings.group": "groupings.age_group",
    "groupings.stage": "groupings.life_stage",
    "split.groups": "split.clusters",
    "target.groups": "target.grouping",
    "train.dropout": "train.head.dropout",
    "train.loss_beta": "target.beta",
    "train.px": "train.img_size",
    "train.rare_ages": "train.reweight",
    "train.rare_power": "train.reweight_power",
    "train.rare_years": "train.lds_sigma",
    "train.leave_out": "label_issues.leave_out, with train.split=data/clean_split.csv",
    "train.flip_average": "train.hflip_tta",
    "evaluate.age_groups": "groupings.age_group",
    "evaluate.groupings": "groupings",
    "evaluate.min_group": "evaluate.min_subgroup",
}


def in_words(error: ValidationError, section: type[BaseModel], at: str = "") -> list[str]:
    """One clause for each fault of a section, or of the whole file.

    Parameters
    ----------
    at : the dotted name of the section
    """
    faults = [(".".join(map(str, [*at.split(), *item["loc"]])), item) for item in error.errors()]
    # A key that is missing because it stands there under its earlier name is one fault, not two.
    present = {
        RENAMED[key] for key, item in faults if item["type"] == "extra_forbidden" and key in RENAMED
    }
    return [
        _clause(key, item, section)
        for key, item in faults
        if not (item["type"] == "missing" and key in present)
    ]


def first_in_words(error: ValidationError) -> str:
    """The first fault of a file that is not params.yaml."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    return f"{key or 'the file'}: {first['msg']}"


def old_groupings(groupings: Iterable[str]) -> list[str]:
    """A clause for each grouping that stands there under its earlier name."""
    keys = [f"groupings.{name}" for name in groupings]
    return [_unknown(key, [], RENAMED[key]) for key in keys if key in RENAMED]


def require_known(key: str, value: Any, known: Iterable[str]) -> None:
    """Raise a `UserError` that says what there is unless the value of `key` is one of `known`."""
    names = list(known)
    if value in names:
        return
    *others, last = [repr(name) for name in names]
    close = closest(str(value), names)
    hint = f" (did you mean {close}?)" if close else ""
    raise UserError(
        f"params.yaml: {key} is {value!r}, and it should be {', '.join(others)} or {last}{hint}"
    )


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that somebody who wrote another one may have meant."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def _clause(key: str, item: Any, section: type[BaseModel]) -> str:
    *sections, name = item["loc"] or ("",)
    match item["type"]:
        case "missing":
            return f"{key} is missing: it says {_meaning(_section(section, sections), name)}"
        case "extra_forbidden":
            return _unknown(key, list(_section(section, sections).model_fields), RENAMED.get(key))
        case "value_error":
            return f"{key or 'the file'}: {item['ctx']['error']}"
        case _:
            allowed = item["msg"].replace("Input should", "it should")
            return f"{key or 'the file'} is {item['input']!r}, and {allowed}"


def _unknown(key: str, known: list[str], meant: str | None) -> str:
    meant = meant or closest(key.rpartition(".")[2], known)
    hint = f"did you mean {meant}?" if meant else f"known here: {', '.join(known)}"
    return f"{key} is not a known key ({hint})"


def _meaning(section: Any, name: str) -> str:
    return section.model_fields[name].description or "a section of its own"


def _section(section: Any, location: list[Any]) -> Any:
    """The section at a location within another: a field, an item of a list or of a mapping."""
    for part in location:
        if hasattr(section, "model_fields"):
            section = section.model_fields[part].annotation
        elif isinstance(part, int) or get_origin(section) is dict:
            section = get_args(section)[-1]
    return section
