"""Stage `publish`: log the model with its evaluation to MLflow; promote it if that is asked for.

    python src/publish.py

Reads  models/, reports/predictions.csv
Writes data/published.txt: what came of it; to MLflow the model as a `pyfunc`, and with
       `promote: on` a registered version called champion
"""

from faceage.core.command_line import no_options

if __name__ == "__main__":
    no_options(__doc__)

from faceage.core import tables
from faceage.core.outputs import atomic_write
from faceage.core.params import PublishParams, load
from faceage.core.script import UserError, run
from faceage.inference import model_registry
from faceage.networks import saved_model
from faceage.tracking import runs


def main() -> None:
    """Log the model; register it if it beats the champion on the same test faces."""
    params = load(PublishParams)
    about = saved_model.describe()
    with runs.continue_run(params.tracking, about["fingerprint"]) as tracked:
        print("logging the model", flush=True)
        epoch = about["training"]["best_epochs"][0]
        model = model_registry.log(tracked, saved_model.FOLDER, tables.PREDICTIONS, epoch)
        outcome = "logged to MLflow" if model else "not logged: tracking is off"
        if params.promote and model:
            predictions = tables.read_predictions()
            if "predicted" not in predictions:
                raise UserError(
                    "promote: a model of classes has no errors in years to compare; set it to off"
                )
            outcome = model_registry.promote(
                model,
                predictions,
                count=params.evaluate.bootstrap,
                seed=params.seed,
                smallest=params.evaluate.min_subgroup,
            )
    with atomic_write("data/published.txt") as part:
        part.write_text(f"{outcome}\n")
    print(outcome)


if __name__ == "__main__":
    run(main)
