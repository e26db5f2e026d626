"""What params.yaml may say: a typed, frozen section for each mapping, bounds for each key."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(gt=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A mapping in params.yaml: every key is required, known and of its type."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(Section):
    """The built-in data set of synthetic faces."""

    faces: int = Field(ge=50, le=100_000, description="how many usable faces to draw")
    img_size: int = Field(ge=64, le=512, description="side of a face in pixels")


class Csv(Section):
    """The tables of labels, of the layout `csv` above all."""

    file: str | None = Field(
        description="name of the table, or a pattern of several; null: found out", min_length=1
    )
    name: str = Field(min_length=1, description="column of the images' file names")
    label: str = Field(min_length=1, description="column of ages in years, or of class names")
    classes: str = Field(description="the grouping that class names belong to")


class Identity(Section):
    """A model that says whether two faces are one person's."""

    model: str = Field(min_length=1, description="path of an .onnx file, or none")
    similarity: float = Field(gt=0, le=1, description="cosine from which two are one person")


class Source(Section):
    """Where the faces come from."""

    source: str = Field(min_length=1, description="folder, .zip or .tar, also compressed")


class Data(Source):
    """Where the faces come from and which of them are used."""

    layout: str = Field(min_length=1, description="where the labels are: a layout's name, or auto")
    min_kept: Probability = Field(
        description="share of the images that must be usable; fewer end the run"
    )
    csv: Csv
    min_age: int = Field(ge=0, description="youngest age that is believed, in years")
    max_age: int = Field(le=150, description="oldest age that is believed, in years")
    align: bool = Field(description="find the face of each photograph and align it")
    min_img_size: int = Field(ge=8, description="shortest side of a usable image in pixels")
    near_duplicate: float = Field(gt=0.9, le=1, description="correlation from which two are one")
    identity: Identity
    conflicts: Literal["drop", "median", "keep"] = Field(
        description="what becomes of files of one picture that disagree about the age"
    )

    @model_validator(mode="after")
    def _ages_in_order(self) -> "Data":
        if self.min_age >= self.max_age:
            raise ValueError(f"min_age ({self.min_age}) must be below max_age ({self.max_age})")
        return self


class Split(Section):
    """Shares of the three parts and the age bins over which they are balanced."""

    train: Share = Field(description="share of the faces to learn from")
    val: Share = Field(description="share of the faces to decide on")
    test: Share = Field(description="share of the faces to report on, once")
    clusters: Literal["none", "exact", "near", "burst"] = Field(
        description="which faces stay on one side: those of the same picture or person"
    )
    bin_years: int = Field(ge=1, le=150, description="width of an age bin in years")
    min_bin: int = Field(ge=1, description="bins with fewer faces are merged with a neighbour")

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Split":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, and is {total:g}")
        return self


class LabelIssues(Section):
    """What becomes of labels that are probably wrong."""

    leave_out: float = Field(
        ge=0, lt=1, description="share of the training faces that clean_split.csv leaves out"
    )


class Flip(Section):
    """Mirror left and right."""

    name: Literal["flip"]
    p: Probability = Field(description="probability for each image")


class Affine(Section):
    """Rotate, zoom and shift in one resampling; borders are repeated."""

    name: Literal["affine"]
    rotate: float = Field(ge=0, le=180, description="up to this many degrees either way")
    zoom: float = Field(ge=0, lt=1, description="scale by up to this share either way")
    shift: float = Field(ge=0, lt=1, description="move by up to this share of the side")


class Jitter(Section):
    """Change the colours, each by up to a share either way."""

    name: Literal["jitter"]
    brightness: float = Field(ge=0, lt=1, description="factor on the pixels")
    contrast: float = Field(ge=0, lt=1, description="factor about the mean luma")
    saturation: float = Field(ge=0, lt=1, description="factor about the pixel's luma")


class Erase(Section):
    """Paint a rectangle of a fifth to half of each side grey."""

    name: Literal["erase"]
    p: Probability = Field(description="probability for each image")


class Grey(Section):
    """Take the colour away."""

    name: Literal["grey"]
    p: Probability = Field(description="probability for each image")


class Noise(Section):
    """Add Gaussian noise."""

    name: Literal["noise"]
    sd: float = Field(gt=0, le=1, description="largest standard deviation, of pixels in 0..1")


Transform = Annotated[Flip | Affine | Jitter | Erase | Grey | Noise, Field(discriminator="name")]


class Phase(Section):
    """A part of the training in which the same layers learn."""

    layers: Literal["all", "head"] | Annotated[int, Field(ge=1)] = Field(
        description="all, head, or how many of the last layers of the backbone learn with the head"
    )
    epochs: int | None = Field(ge=1, description="passes, at most; null: train.epochs")
    lr: float | None = Field(gt=0, description="highest learning rate; null: train.lr")


class Scheduler(Section):
    """How the learning rate goes over a phase."""

    name: str = Field(description="a scheduler of timm (cosine) or a class of torch (StepLR)")
    args: dict[str, Any] = Field(description="its arguments, by its own names")


class Head(Section):
    """What stands between the backbone's features and the logits."""

    hidden: list[Annotated[int, Field(ge=1)]] = Field(description="widths of Linear-ReLU layers")
    dropout: float = Field(ge=0, lt=1, description="before the last linear layer")
    init: Literal["default", "xavier_uniform"] = Field(description="of the linear layers")


class Train(Section):
    """How the network is fitted."""

    split: Literal["data/split.csv", "data/clean_split.csv"] = Field(
        description="all faces of the split, or those without the worst label issues"
    )
    img_size: int | None = Field(ge=32, le=1024, description="input side; null: the backbone's")
    epochs: int = Field(ge=1, description="passes over the training set, at most")
    lr: float = Field(gt=0, description="highest learning rate")
    phases: list[Phase] = Field(min_length=1, description="what learns, one after the other")
    members: int = Field(ge=1, le=20, description="networks, each with a seed of its own")
    head: Head
    batch_size: int = Field(ge=2, description="images per step, over all devices")
    optimizer: str = Field(description="an optimiser that timm knows, by name")
    weight_decay: float = Field(ge=0, description="decoupled where the optimiser has that")
    layer_decay: float = Field(gt=0, le=1, description="factor on the rate for each layer down")
    scheduler: Scheduler
    warmup_epochs: float = Field(ge=0, description="epochs of linear warm-up")
    clip_grad: float = Field(gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(ge=0, lt=1, description="decay a step of the averaged weights; 0: off")
    monitor: Literal["mae", "accuracy"] = Field(description="what the best epoch is chosen by")
    patience: int = Field(ge=1, description="epochs without a better one before a phase ends")
    precision: Literal["auto", "float32", "bfloat16"] = Field(description="arithmetic of a step")
    reweight: Literal["none", "loss", "sampler"] = Field(
        description="whether faces of rare ages count more, or come more often"
    )
    reweight_power: float = Field(gt=0, le=1, description="1: inverse frequency, 0.5: its root")
    lds_sigma: float = Field(ge=0, description="neighbourhood over which frequency is smoothed")
    augment: list[Transform] = Field(description="random changes to a training image, in order")
    mixup: float = Field(ge=0, description="alpha of MixUp's Beta distribution; 0: off")
    cutmix: float = Field(ge=0, description="alpha of CutMix's Beta distribution; 0: off")
    hflip_tta: bool = Field(description="average over a face and its mirror image when in use")


class TargetSettings(Section):
    """What the head learns to say about an age."""

    name: Literal[
        "regression", "classification", "coral", "corn", "dldl", "sord", "mean_variance"
    ] = Field(description="what the logits stand for")
    loss: Literal["mse", "l1", "smooth_l1", "focal_mse"] = Field(description="of regression")
    beta: float = Field(gt=0, description="years of error where smooth L1 turns linear")
    grouping: str = Field(description="the grouping whose classes classification learns")
    label_smoothing: float = Field(ge=0, lt=1, description="of classification")
    sigma: float = Field(gt=0, le=20, description="years by which dldl and sord spread an age")
    gender: float = Field(ge=0, description="weight of a head for gender; 0: none")
    race: float = Field(ge=0, description="weight of a head for ethnicity; 0: none")


# Columns of reports/predictions.csv that a grouping's own columns must not hide.
TAKEN = (
    *("face", "path", "cluster", "age", "predicted", "error", "gender", "race", "decade"),
    *("low", "high", "low_plain", "high_plain"),
)


class Grouping(Section):
    """Named age groups: as classes, and for the share of faces put into the right one."""

    boundaries: list[int] = Field(min_length=1, description="first age of each group but the first")
    names: list[str] = Field(description="of the groups, from youngest to oldest")

    @model_validator(mode="after")
    def _in_order(self) -> "Grouping":
        if sorted(set(self.boundaries)) != self.boundaries:
            raise ValueError(f"boundaries must rise from youngest to oldest: {self.boundaries}")
        groups = len(self.boundaries) + 1
        if len(set(self.names)) != groups or len(self.names) != groups:
            raise ValueError(
                f"{len(self.boundaries)} boundaries make {groups} groups, each of a name of its"
                f" own; names: {self.names}"
            )
        return self


class Evaluate(Section):
    """How the test set is measured."""

    bootstrap: int = Field(ge=100, le=100_000, description="resamples behind each interval")
    min_subgroup: int = Field(ge=2, description="faces below which a subgroup is not compared")
    coverage: Share = Field(description="nominal coverage of the prediction intervals")
    robustness_faces: int = Field(ge=1, description="test faces to corrupt, at most")


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**31, description="of every random choice")
    model: str = Field(min_length=1, description="any model name that timm knows")
    weights: str = Field(min_length=1, description="imagenet, none or the path of a .safetensors")
    tracking: bool = Field(description="log runs to MLflow")
    promote: bool = Field(description="register a model that beats the champion")
    sample: Sample
    data: Data
    groupings: dict[str, Grouping] = Field(description="the age groups, by the grouping's name")
    split: Split
    label_issues: LabelIssues
    target: TargetSettings
    train: Train
    evaluate: Evaluate

    @model_validator(mode="after")
    def _groupings_are_known(self) -> "Params":
        if "age_group" not in self.groupings:
            raise ValueError(
                "groupings must have one called age_group, which headline and plots use"
            )
        for name in self.groupings:
            if name.removeprefix("predicted_") in TAKEN:
                raise ValueError(f"groupings: {name} has a meaning already, name it otherwise")
        known = ", ".join(self.groupings)
        for key, name in (
            ("target.grouping", self.target.grouping),
            ("data.csv.classes", self.data.csv.classes),
        ):
            if name not in self.groupings:
                raise ValueError(f"{key} is {name!r}, and groupings has {known}")
        return self

    @model_validator(mode="after")
    def _promotion_is_tracked(self) -> "Params":
        if self.promote and not self.tracking:
            raise ValueError("promote: on needs MLflow's registry, and tracking is off")
        return self

    @model_validator(mode="after")
    def _target_and_training_go_together(self) -> "Params":
        if self.target.name == "corn" and self.train.reweight == "loss":
            raise ValueError("train.reweight: corn has no weighted loss; set it to sampler")
        return self
