"""What the page and the API say about the model that is served."""

from pathlib import Path

from pydantic import BaseModel, Field

from faceage.networks import saved_model


class Model(BaseModel):
    """A model and how well it did on test faces that it had not seen; null: not evaluated."""

    name: str = Field(description="of the backbone, in timm")
    img_size: int = Field(description="side of the network's input, in pixels")
    fingerprint: str
    synthetic: bool = Field(description="whether it was trained on drawn faces")
    test_faces: int | None
    mae: float | None = Field(description="mean absolute error on them, in years")
    mae_low: float | None = Field(description="lower end of its 95% interval")
    mae_high: float | None
    group_accuracy: float | None = Field(description="share of them put into the right age group")
    coverage: float | None = Field(
        description="share of true ages that the prediction intervals are to hold"
    )


def describe(folder: Path) -> Model:
    """Read what the folder of a model says.

    Raises
    ------
    UserError
        If it holds no whole model.
    """
    content = saved_model.describe(folder)
    evaluation = saved_model.describe_evaluation(folder) or {}
    test = evaluation.get("test", {})
    return Model(
        name=content["architecture"]["model"],
        img_size=content["architecture"]["img_size"],
        fingerprint=content["fingerprint"],
        synthetic=content["synthetic"],
        test_faces=test.get("n"),
        mae=test.get("mae"),
        mae_low=test.get("mae_low"),
        mae_high=test.get("mae_high"),
        group_accuracy=test.get("group_accuracy"),
        coverage=evaluation.get("intervals", {}).get("coverage"),
    )
