"""What params.yaml may say: a typed, frozen section for each mapping, bounds for each key.

Docstrings of sections and descriptions of keys stand in params.yaml too, as comments: they are
written here, and tests/test_params.py compares. What names a target, a loss or a transform is
checked by the module that has them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from faceage.core.faults import closest, old_groupings

Share = Annotated[float, Field(gt=0, lt=1)]
Align = Annotated[
    Literal["never", "auto", "always"],
    Field(
        description="whether the largest face of each picture is found and aligned like UTKFace's:"
        " never, always, or auto, where the picture is no aligned face already"
    ),
]
Probability = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A mapping in params.yaml: every key is required, known and of its type."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(Section):
    """The built-in data set of synthetic faces, so that everything runs before you have data."""

    faces: int = Field(
        ge=50,
        le=100_000,
        description="usable faces to draw; some deliberately bad files come on top",
    )
    img_size: int = Field(ge=64, le=512, description="side of a face in pixels")


class Csv(Section):
    """The table; name and label are columns of it."""

    file: str | None = Field(
        description="null: the only one with these columns; or its name; or a pattern of several:"
        ' "*.csv"',
        min_length=1,
    )
    name: str = Field(min_length=1, description="file names")
    label: str = Field(min_length=1, description="ages in years, or names of classes")
    classes: str = Field(description="the grouping that these names belong to")


class Identity(Section):
    """Faces that a model of face embeddings takes for one person's are grouped like bursts."""

    model: str = Field(
        min_length=1,
        description="none, or the path of an .onnx file that takes faces as ArcFace's models do",
    )
    similarity: float = Field(
        gt=0,
        le=1,
        description="cosine of two embeddings from which on they are one person's",
    )


class Source(Section):
    """Where the faces come from."""

    source: str = Field(
        min_length=1,
        description="a folder, .zip or .tar, also .tar.gz, .tar.bz2, .tar.xz, .tar.zst, or a folder"
        " of such archives",
    )


class FurtherSource(Source):
    """A source whose faces are learned and measured from too."""

    layout: str = Field(min_length=1, description="where the labels are: a layout's name, or auto")
    align: Align
    weight: float = Field(gt=0, description="of each of its faces in the loss, beside 1")
    split: Literal["train", "val", "test"] | None = Field(
        description="where all its faces go: train, val or test; null: drawn like the others"
    )


SourceName = Annotated[str, Field(pattern=r"^[\w-]+$")]


class Data(Source):
    """Where the faces come from and which of them are used."""

    layout: str = Field(
        min_length=1,
        description="where the labels are: utkface, in names like 26_1_0_20170116174525125.jpg;"
        " age_folders, in a folder for each age (26/, 026/); csv, in a table beside the images;"
        " agedb, fairface and the other data sets that docs/data.md lists; auto: found out",
    )
    sources: dict[SourceName, FurtherSource] = Field(
        description="further sources, by name, with the weight of their faces in the loss (1 is"
        " that of the others), and train, val or test where all of them go, or null: {fairface:"
        " {source: fairface.tar, layout: fairface, align: auto, weight: 0.5, split: train}}"
    )
    min_kept: Probability = Field(
        description="share of the images that must be usable; fewer end the run"
    )
    csv: Csv
    align: Align
    min_age: int = Field(ge=0, description="years; labels of younger faces are rejected")
    max_age: int = Field(le=150, description="years; labels of older faces are rejected")
    min_img_size: int = Field(ge=8, description="images with a shorter side are rejected")
    near_duplicate: float = Field(
        gt=0.9,
        le=1,
        description="correlation of small grey crops from which two images are near-duplicates",
    )
    identity: Identity
    conflicts: Literal["drop", "median", "keep"] = Field(
        description="what becomes of byte-identical files of different ages, and of"
        " near-duplicates whose ages are more than 5 years apart: drop, median (all get the median"
        " age) or keep. Each is listed"
    )
    shard_faces: int | None = Field(
        ge=1,
        description="faces in each file of data/faces.parquet, which is a folder then; null: it is"
        " one file",
    )

    @model_validator(mode="after")
    def _ages_in_order(self) -> "Data":
        if self.min_age >= self.max_age:
            raise ValueError(f"min_age ({self.min_age}) must be below max_age ({self.max_age})")
        return self


class Split(Section):
    """Which faces are learned from, decided on and reported on."""

    source: str = Field(
        min_length=1,
        description="data/faces.parquet: drawn from the faces there, as follows; or the path of a"
        " CSV with the columns path and split (train, val, test), somebody's published split, which"
        " is used as it is",
    )
    clusters: Literal["none", "exact", "near", "burst"] = Field(
        description="which faces stay in one of the three: none, exact (the same pixels), near"
        " (near-duplicates too), burst (the same person too, probably: photographs of people alike"
        " that were found within seconds, or that data.identity takes for one person's)"
    )
    train: Share = Field(description="share of the faces to learn from")
    val: Share = Field(description="share of the faces to decide on")
    test: Share = Field(description="share of the faces to report on, once")
    stratify: bool = Field(description="balance the three over age bins; false: plain random")
    bin_years: int = Field(ge=1, le=150, description="width of an age bin in years")
    min_bin: int = Field(ge=1, description="bins with fewer faces are merged with their neighbour")

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Split":
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train + val + test must be 1, and is {total:g}")
        return self


class External(Source):
    """A source that the finished model is measured on; its labels may be bands of ages."""

    layout: str = Field(min_length=1, description="where the labels are: a layout's name, or auto")
    align: Align
    calibrate: int | None = Field(
        ge=1,
        description="so many of the faces teach a bias and intervals, which are measured on the"
        " others; null: none",
    )


class LabelIssues(Section):
    """What becomes of labels that are probably wrong."""

    leave_out: float = Field(
        ge=0,
        lt=1,
        description="share of the training faces that data/clean_split.csv leaves out, those with"
        " the worst issues: train.split chooses it",
    )


class Phase(Section):
    """A part of the training in which the same layers learn."""

    layers: Literal["all", "head"] | Annotated[int, Field(ge=1)] = Field(
        description="all, head, or how many of the last layers of the backbone learn with the head"
    )
    epochs: int | None = Field(ge=1, description="passes, at most; null: train.epochs")
    lr: float | None = Field(gt=0, description="highest learning rate; null: train.lr")
    img_size: int | None = Field(
        ge=32, description="side of the network's input meanwhile, in pixels; null: train.img_size"
    )
    augment: list[dict[str, Any]] | None = Field(description="null: train.augment")


class Scheduler(Section):
    """How the learning rate goes over a phase."""

    name: str = Field(
        description="of timm (cosine, tanh, step, multistep, poly) or a class of torch"
        " (ReduceLROnPlateau)"
    )
    args: dict[str, Any] = Field(description="its arguments, by its own names")


class Head(Section):
    """What stands between the backbone's features and the logits."""

    hidden: list[Annotated[int, Field(ge=1)]] = Field(
        description="widths of layers between the features and the last one, each with a ReLU"
    )
    dropout: float = Field(ge=0, lt=1, description="before the last linear layer")
    init: Literal["default", "xavier_uniform"] = Field(
        description="of the linear layers: default or xavier_uniform"
    )


class Train(Section):
    """How the network is fitted."""

    faces: str = Field(
        min_length=1,
        description="data/faces.parquet, or where shards of it are:"
        " s3://bucket/faces.parquet/index.json, https://host/faces.parquet/index.json",
    )
    split: Literal["data/split.csv", "data/clean_split.csv"] = Field(
        description="or data/clean_split.csv, without the faces of label_issues.leave_out"
    )
    pixels: Literal["memory", "stream"] = Field(
        description="memory: faces are decoded once and kept, where they need more than half of the"
        " free memory in a file; stream: they are read and decoded in every epoch, some thousands"
        " at a time"
    )
    img_size: int | None = Field(
        ge=32,
        le=1024,
        description="side of the network's input in pixels; null: the backbone's own",
    )
    epochs: int = Field(ge=1, description="passes over the training set, at most")
    lr: float = Field(gt=0, description="highest learning rate")
    phases: list[Phase] = Field(
        min_length=1,
        description="One after the other: which layers learn (all, head, or a number: so many of"
        " the last layers of the backbone with the head), for how long, how fast and from images"
        " of which size, changed in which way; null: train.epochs, train.lr, train.img_size, which"
        " is the largest, train.augment. Each starts from the best averaged weights of the one"
        " before, and the best of the last are the model's. Where only the head learns, images are"
        " not augmented: their features are computed once. Batch norms keep their statistics,"
        " unless all layers learn",
    )
    members: int = Field(
        ge=1,
        le=20,
        description="networks trained, each with a seed of its own, whose mean is the model",
    )
    head: Head
    batch_size: int = Field(ge=2, description="images in a step")
    optimizer: str = Field(
        description="adamw, or another that timm knows: python -c"
        ' "import timm; print(timm.optim.list_optimizers())"'
    )
    weight_decay: float = Field(ge=0, description="decoupled where the optimizer has that")
    layer_decay: float = Field(
        gt=0,
        le=1,
        description="factor on the rate for each layer further from the head; 1: the same for all",
    )
    scheduler: Scheduler
    warmup_epochs: float = Field(
        ge=0, description="epochs in which the rate rises to lr, of timm's schedulers"
    )
    clip_grad: float = Field(gt=0, description="largest norm of the gradient")
    ema_decay: float = Field(
        ge=0, lt=1, description="of the averaged weights that are evaluated; 0: off"
    )
    monitor: Literal["mae", "accuracy"] = Field(
        description="what the best epoch is chosen by, on the validation set: mae or accuracy"
    )
    patience: int = Field(ge=1, description="epochs without a better one before a phase ends early")
    checkpoint_minutes: float = Field(
        ge=0,
        description="minutes after which a training that is killed within an epoch loses no more",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="arithmetic of a step: float32, bfloat16, or auto: bfloat16 where the device is"
        " faster with it, which gives other digits there"
    )
    deterministic: bool = Field(
        description="on a CUDA GPU the same bits each time, for some speed; on a CPU that is the"
        " rule"
    )
    reweight: Literal["none", "loss", "sampler"] = Field(
        description="none, or loss, or sampler: so that rare ages count like common ones"
    )
    reweight_power: float = Field(
        gt=0, le=1, description="1: by inverse frequency, 0.5: by its square root"
    )
    lds_sigma: float = Field(
        ge=0,
        description="years, of the Gaussian over which the frequency is smoothed (LDS)",
    )
    augment: list[dict[str, Any]] = Field(
        description="random changes to a training image, in this order; also {name: exposure, p:"
        " 0.2, stops: 1}, {name: gamma, p: 0.2, gamma: 1.5}, {name: grayscale, p: 0.1}, {name:"
        " gaussian_blur, p: 0.1, sigma: 0.02}, {name: downscale, p: 0.1, factor: 4}, {name:"
        " gaussian_noise, p: 0.1, sd: 0.1}, {name: jpeg, p: 0.1, quality: 10}"
    )
    mixup: float = Field(ge=0, description="alpha of MixUp; 0: off")
    cutmix: float = Field(ge=0, description="alpha of CutMix; 0: off")
    hflip_tta: bool = Field(
        description="use the mean over a face and its mirror image (test-time augmentation)"
    )

    @model_validator(mode="after")
    def _order_can_be_streamed(self) -> "Train":
        if self.pixels == "stream" and self.reweight == "sampler":
            raise ValueError(
                "pixels: stream reads each face once an epoch, and reweight: sampler draws some"
                " several times; reweight: loss gives rare ages the same weight"
            )
        return self


class TargetSettings(Section):
    """What the network learns to say about an age."""

    name: str = Field(
        description="regression: the age itself; classification: one of the groups of `grouping`;"
        " coral, corn: whether the face is older than each age; dldl, sord, mean_variance: a"
        " distribution over ages"
    )
    loss: str = Field(description="of regression: mse, l1, smooth_l1, focal_mse")
    beta: float = Field(
        gt=0, description="years of error at which smooth L1 turns from quadratic to linear"
    )
    grouping: str = Field(description="of classification: one of the groupings")
    label_smoothing: float = Field(ge=0, lt=1, description="of classification")
    sigma: float = Field(
        gt=0, le=20, description="years by which dldl and sord spread an age over its neighbours"
    )
    quantile: float | None = Field(
        gt=0,
        lt=1,
        description="of dldl, sord and mean_variance: the quantile of the distribution that is the"
        " age; null: its mean is",
    )
    gender: float = Field(
        ge=0, description="weight of the loss of an additional head for gender; 0: none"
    )
    race: float = Field(
        ge=0, description="weight of the loss of an additional head for ethnicity; 0: none"
    )


# Columns of reports/predictions.csv that a grouping's own columns must not hide.
TAKEN = (
    *("face", "path", "cluster", "age", "predicted", "error", "gender", "race", "decade"),
    *("low", "high", "low_plain", "high_plain"),
)


class Grouping(Section):
    """Named age groups."""

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

    bootstrap: int = Field(ge=100, le=100_000, description="resamples behind each 95% interval")
    min_subgroup: int = Field(
        ge=2,
        description="faces below which a gender or ethnicity is shown, but not compared",
    )
    coverage: Share = Field(
        description="share of the true ages that a prediction interval is to hold"
    )
    robustness_faces: int = Field(
        ge=1,
        description="test faces that are darkened, blurred and so on, and that the detector looks"
        " for; all if there are fewer",
    )
    legal_ages: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        min_length=1,
        description='years; age checks, as "at least 18", that are measured',
    )

    @model_validator(mode="after")
    def _legal_ages_in_order(self) -> "Evaluate":
        if sorted(set(self.legal_ages)) != self.legal_ages:
            raise ValueError(f"legal_ages must rise, each given once: {self.legal_ages}")
        return self


class Params(Section):
    """The whole of params.yaml."""

    seed: int = Field(ge=0, lt=2**31, description="of every random choice")
    model: str = Field(
        min_length=1,
        description="any model name that timm knows: python -c"
        """ "import timm; print(timm.list_models('*b0*'))\"""",
    )
    weights: str = Field(
        min_length=1,
        description="imagenet: timm's pretrained weights, downloaded once; pretrained: those of the"
        " model in pretrained/, of the same backbone; none: from scratch; or the path of a"
        " .safetensors file with the backbone's weights in timm's key names or of a model of ours",
    )
    tracking: bool = Field(description="off: log nothing to MLflow")
    promote: bool = Field(
        description="on: register the model in MLflow, as `champion`, if there is none or it beats"
        " the present one on the same test faces by a paired comparison"
    )
    sample: Sample
    data: Data
    groupings: dict[str, Grouping] = Field(
        description="age groups as classes; boundaries: first age of each group but the first;"
        " names: of the groups, from youngest to oldest; age_group is the one of the headline"
    )
    split: Split
    label_issues: LabelIssues
    target: TargetSettings
    train: Train
    external: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], External] = Field(
        description="other sources that the finished model is measured on, by name; calibrate: from"
        " how many of the faces bias and intervals are learned anew, null: none:"
        " {fairface: {source: fairface.tar, layout: fairface, align: auto, calibrate: null}}"
    )
    evaluate: Evaluate

    @model_validator(mode="after")
    def _groupings_are_known(self) -> "Params":
        if "age_group" not in self.groupings:
            raise ValueError(
                "; ".join(
                    [
                        "groupings must have one called age_group, which headline and plots use",
                        *old_groupings(self.groupings),
                    ]
                )
            )
        for name in self.groupings:
            if name.removeprefix("predicted_") in TAKEN:
                raise ValueError(f"groupings: {name} has a meaning already, name it otherwise")
        for key, name in (
            ("target.grouping", self.target.grouping),
            ("data.csv.classes", self.data.csv.classes),
        ):
            if name not in self.groupings:
                close = closest(name, self.groupings)
                hint = f" (did you mean {close}?)" if close else ""
                known = ", ".join(self.groupings)
                raise ValueError(f"{key} is {name!r}, and groupings has {known}{hint}")
        return self

    @model_validator(mode="after")
    def _promotion_is_tracked(self) -> "Params":
        if self.promote and not self.tracking:
            raise ValueError("promote: on needs MLflow's registry, and tracking is off")
        return self
