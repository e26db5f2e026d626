"""Faces followed from frame to frame by where they are.

Each face of a frame goes on with the track whose last box it overlaps most, the best pair first
(Bochinski et al. 2017, High-Speed Tracking-by-Detection Without Using Image Information, AVSS).
Tracks that were seen later choose before those that were seen earlier, so that who passes in front
of another does not go on as the one who is hidden (the cascade of Wojke et al. 2017,
arXiv:1703.07402). The page has the same in `serving/page/face_tracks.js`; a test compares them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from faceage.detection.detector import overlap
from faceage.inference.smoothing import Smoothed

MIN_OVERLAP = 0.3  # intersection over union from which two boxes may be of one face
LOST = 1.0  # seconds without a sighting that end a track that was not in the frame before

Box = tuple[float, float, float, float]


@dataclass
class Track:
    """One face through the frames: number, from 1; box (x, y, w, h) and time, in seconds, of its
    last sighting; its age, smoothed.
    """

    number: int
    box: Box
    time: float
    age: Smoothed = field(default_factory=Smoothed)


class Tracker:
    """The tracks that have not ended."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.count = 0
        self.time = 0.0  # of the last frame

    def update(self, boxes: Sequence[Box], time: float) -> list[Track]:
        """Tracks of the faces of a frame, new ones where there were none: one for each box."""
        earliest = min(self.time, time - LOST)
        self.time = time
        self.tracks = [track for track in self.tracks if track.time >= earliest]
        pairs = sorted(
            (-track.time, -shared, track.number, place)
            for track in self.tracks
            for place, box in enumerate(boxes)
            if (shared := overlap(track.box, box)) >= MIN_OVERLAP
        )
        waiting = {track.number: track for track in self.tracks}
        found: dict[int, Track] = {}
        for *_, number, place in pairs:
            if number in waiting and place not in found:
                found[place] = waiting.pop(number)
        for place, box in enumerate(boxes):
            if place not in found:
                found[place] = self._begin(box, time)
            found[place].box, found[place].time = box, time
        return [found[place] for place in range(len(boxes))]

    def _begin(self, box: Box, time: float) -> Track:
        self.count += 1
        self.tracks.append(Track(self.count, box, time))
        return self.tracks[-1]
