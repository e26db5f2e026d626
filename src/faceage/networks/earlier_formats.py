"""model.json as earlier programs wrote it, in the words of today."""

from typing import Any

ARCHITECTURE = {"px": "img_size", "flip_average": "hflip_tta"}
GROUPINGS = {"group": "age_group", "stage": "life_stage"}


def in_present_words(content: dict[str, Any]) -> dict[str, Any]:
    """Content of a model.json of any earlier format; that of the present one as it is.

    Raises
    ------
    KeyError, TypeError, AttributeError
        If it is none.
    """
    training = dict(content.get("training", {}))
    if "groupings" in training:
        training["groupings"] = _renamed(training["groupings"], GROUPINGS)
    return content | {
        "architecture": _renamed(content["architecture"], ARCHITECTURE),
        "target": _target(content["target"], training),
        **({"training": training} if training else {}),
    }


def _target(target: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """Once a target's kind was its family, with the method in it; classes did not say of what."""
    if "main" in target:
        return target | {"main": _target(target["main"], training)}
    values = dict(target)
    if values["kind"] == "classification" and "grouping" not in values:
        asked = training["target"]["groups"]
        values["grouping"] = GROUPINGS.get(asked, asked)
    if "method" in values:
        values["kind"] = values.pop("method")
    return values


def _renamed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}
