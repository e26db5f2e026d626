"""Which model is used where none is named: the one that was trained here, or the pretrained one."""

import sys
from pathlib import Path

from faceage.networks import saved_model


def folder() -> Path:
    """`models/`; or `pretrained/` where that has no model, or one of drawn faces only, and says so.

    Relative to the working directory, as all folders of the pipeline are.
    """
    trained, pretrained = saved_model.FOLDER, saved_model.PRETRAINED
    if not saved_model.is_there(pretrained):
        return trained
    if not saved_model.is_there(trained):
        reason = f"{trained}/ holds no model"
    elif saved_model.describe(trained).get("synthetic"):
        reason = f"the model in {trained}/ has seen drawn faces only"
    else:
        return trained
    print(
        f"{reason}: using {pretrained}/, trained on UTKFace, for non-commercial use"
        f" (--model {trained} for yours)",
        file=sys.stderr,
    )
    return pretrained
