"""A number smoothed over time: its exponentially weighted mean, and the spread around that.

What a model says of a face moves from frame to frame by light, pose and noise, while the person
stays as old. So all that was said counts, half as much for every `HALF_LIFE` seconds that have
passed since: the mean and the standard deviation of `pandas.Series.ewm(halflife=..., times=...)`.
Weighted by time, because a webcam's pictures come as fast as they are predicted and a film's at
fixed steps; in years and not in logarithms, because it is the errors of one person, all of one
size. A mean rather than a median: it needs no window of earlier numbers, and what pulls it away
shows in the spread. The page has the same in `serving/page/smoothing.js`; a test compares them.
"""

HALF_LIFE = 2.0  # seconds: what was wrong counts an eighth after six


class Smoothed:
    """Mean and standard deviation of numbers so far, updated one by one (West 1979, CACM 22(9)).

    mean: in the numbers' unit; std: likewise, without bias as in pandas, None of a single number.
    """

    def __init__(self) -> None:
        self.mean = self.time = 0.0
        self.weight = self.squares = self.deviations = 0.0  # sums of w, w^2, w (x - mean)^2

    def add(self, value: float, time: float) -> None:
        """Take in a number; time: in seconds, no earlier than the last."""
        kept = 0.5 ** ((time - self.time) / HALF_LIFE)
        self.time = time
        self.weight = kept * self.weight + 1
        self.squares = kept**2 * self.squares + 1
        step = value - self.mean
        self.mean += step / self.weight
        self.deviations = kept * self.deviations + step * (value - self.mean)

    @property
    def std(self) -> float | None:
        """Of the numbers around their mean."""
        freedom = self.weight - self.squares / self.weight
        return (self.deviations / freedom) ** 0.5 if freedom > 0 else None
