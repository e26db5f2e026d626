"""What the templates are given, and the documents made with them: the page and two cards."""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from faceage.core import repository
from faceage.core.dotted import flatten
from faceage.core.params import ReportParams
from faceage.reporting import elsewhere, gallery, limits, metric_rows, previous
from faceage.reporting.age_check_rows import AgeCheckRows
from faceage.reporting.labels import (
    APART,
    DEALT,
    DRAWN,
    GROUPINGS,
    METHODS,
    age_range,
    classes,
    interval,
    number,
    people,
    plural,
    rate,
    rate_interval,
    ratio,
    signed,
)
from faceage.reporting.results import Results

TEMPLATES = Path(__file__).parent / "templates"
# Chapters of the page, one template each, and what they are called in the contents.
CHAPTERS = {
    "verdict": "",
    "comparison": "Comparison",
    "data": "Data",
    "labels": "Labels",
    "training": "Training",
    "predictions": "Predictions",
    "ages": "Error by age",
    "confusion": "Confusion",
    "subgroups": "Subgroups",
    "age_checks": "Age checks",
    "intervals": "Intervals",
    "robustness": "Robustness",
    "elsewhere": "Measured elsewhere",
    "gallery": "Faces",
    "cost": "Cost",
    "reproduce": "Reproduce",
}
# Where the source gives classes and no ages.
CHAPTERS_OF_CLASSES = {
    "verdict_of_classes": "",
    "data_of_classes": "Data",
    "labels": "Labels",
    "training": "Training",
    "confusion": "Confusion",
    "cost": "Cost",
    "reproduce": "Reproduce",
}
LISTED = 200  # rejected files named in the page; data/rejected.csv has all of them


@dataclass(frozen=True)
class Picture:
    """A figure as PNG, for light and for dark screens; both of the same size."""

    light: bytes
    dark: bytes

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return Image.open(io.BytesIO(self.light)).size


def page(
    found: Results, params: ReportParams, pictures: Mapping[str, Picture], faces: gallery.Gallery
) -> str:
    """The report as HTML; everything that it shows, pictures too, is inside it."""
    return render(
        "report.html.j2",
        _context(found, params),
        confusions=found.confusions(params.groupings),
        settings=_settings(found.model),
        parameters=previous.parameters(repository.locked_stages()),
        lock=repository.lock_tags(),
        pictures=pictures,
        faces=faces,
        map_colors=gallery.map_colors(),
        chapters=_chapters(found),
        listed=LISTED,
    )


def age_checks(found: Results, params: ReportParams, pictures: Mapping[str, Picture]) -> str:
    """The page for people who check ages, as HTML, self-contained like the report."""
    context = _context(found, params)
    if found.has_ages:
        context |= {"checks": AgeCheckRows(found)}
    return render("age_checks.html.j2", context, pictures=pictures)


def model_card(found: Results, params: ReportParams) -> str:
    """The model card as Markdown, with the sections of Mitchell et al. 2019."""
    template = "model_card.md.j2" if found.has_ages else "model_card_of_classes.md.j2"
    return render(template, _context(found, params))


def data_card(found: Results, params: ReportParams) -> str:
    """What is known of the data, its faults, and what was done about each, as Markdown."""
    return render("data_card.md.j2", _context(found, params))


def data_uri(content: bytes, media_type: str) -> str:
    """Embed a file (RFC 2397)."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def plain(value: Any) -> str:
    """Write a parameter as params.yaml would: text as it is, the rest as JSON, which is YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def render(template: str, context: Mapping[str, Any], **more: Any) -> str:
    """Fill in a template, with the ways of writing that all of them share."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=".html" in template,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "age_range": age_range,
        "classes": classes,
        "data_uri": data_uri,
        "interval": interval,
        "number": number,
        "people": people,
        "plain": plain,
        "plural": plural,
        "rate": rate,
        "rate_interval": rate_interval,
        "ratio": ratio,
        "signed": signed,
    }
    environment.globals |= {
        "APART": APART,
        "DEALT": DEALT,
        "DRAWN": DRAWN,
        "GROUPINGS": GROUPINGS,
        "METHODS": METHODS,
    }
    return environment.get_template(template).render(context, **more)


def _context(found: Results, params: ReportParams) -> dict[str, Any]:
    """What both documents show."""
    common = {
        "found": found,
        "evaluate": params.evaluate,
        "model": found.model["architecture"]["model"],
        "architecture": found.model["architecture"],
        "test": found.metrics["test"],
        "limits": limits.of(found, params.evaluate),
        "people": found.gender_and_ethnicity(),
        "best": found.best_epochs(),
        "cost": found.cost,
    }
    return common | _comparisons(found) if found.has_ages else common


def _chapters(found: Results) -> dict[str, str]:
    """Those of the page that have something to show."""
    chapters = CHAPTERS if found.has_ages else CHAPTERS_OF_CLASSES
    return {
        name: title for name, title in chapters.items() if name != "elsewhere" or found.external
    }


def _comparisons(found: Results) -> dict[str, Any]:
    """Metrics of ages, beside those of other predictions."""
    test, before = found.metrics["test"], previous.find(found.metrics)
    return {
        "baselines": metric_rows.with_baselines(found.metrics),
        "metrics": metric_rows.written(test),
        "previous": before,
        "against_previous": metric_rows.with_previous(test, before.test) if before else [],
        "elsewhere": elsewhere,
    }


def _settings(model: Mapping[str, Any]) -> dict[str, list[tuple[str, Any]]]:
    """Sections of model.json, each as a list of dotted keys and values."""
    return {
        section: list(flatten(content))
        for section, content in model.items()
        if isinstance(content, Mapping)
    }
