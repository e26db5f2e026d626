"""Stage `publish`: log the model with its evaluation to MLflow; promote it if that is asked for.

    python src/publish.py

Reads  models/, reports/predictions.csv
Writes data/published.txt: what came of it; to MLflow the model as a `pyfunc`, and with
       `promote: on` a registered version called champion
"""

from faceage import tables, tracking
from faceage.learning import saved_model
from faceage.outputs import whole_file
from faceage.params import PublishParams, load
from faceage.stage import UserError, run
from faceage.use import registry


def main() -> None:
    """Log the model; register it if it beats the champion on the same test faces."""
    params = load(PublishParams)
    about = saved_model.describe()
    with tracking.continue_run(params.tracking, about["fingerprint"]) as tracked:
        print("logging the model", flush=True)
        model = registry.log(tracked, saved_model.FOLDER, tables.PREDICTIONS)
        outcome = "logged to MLflow" if model else "not logged: tracking is off"
        if params.promote and model:
            predictions = tables.read_predictions()
            if "predicted" not in predictions:
                raise UserError(
                    "promote: a model of classes has no errors in years to compare; set it to off"
                )
            outcome = registry.promote(
                model,
                predictions,
                count=params.evaluate.bootstrap,
                seed=params.seed,
                smallest=params.evaluate.min_group,
            )
    with whole_file("data/published.txt") as part:
        part.write_text(f"{outcome}\n")
    print(outcome)


if __name__ == "__main__":
    run(main)
