"""Concurrent requests predicted together: many faces take a network hardly longer than one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from faceage.inference.predictions import Predictions, Predictor

LARGEST = 64  # faces from which a batch takes no further request

Job = tuple[np.ndarray, "asyncio.Future[Predictions]"]


class Batcher:
    """A predictor shared by concurrent requests; one thread runs it.

    Nobody waits for a batch to fill: it is what has come in while the one before was computed.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.thread = ThreadPoolExecutor(1)
        self.jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def predict(self, crops: np.ndarray) -> Predictions:
        """Predict the ages of aligned faces: uint8 (n, side, side, 3)."""
        answer: asyncio.Future[Predictions] = asyncio.get_running_loop().create_future()
        self.jobs.put_nowait((crops, answer))
        return await answer

    async def run(self) -> None:
        """Answer requests until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            jobs = [await self.jobs.get()]
            while not self.jobs.empty() and sum(len(crops) for crops, _ in jobs) < LARGEST:
                jobs.append(self.jobs.get_nowait())
            crops = np.concatenate([crops for crops, _ in jobs])
            try:
                predicted = await loop.run_in_executor(self.thread, self.predictor.predict, crops)
            except Exception as error:  # one request's fault must not end the others' service
                for _, answer in jobs:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            start = 0
            for own, answer in jobs:
                if not answer.done():  # its client may have gone
                    answer.set_result(predicted[start : start + len(own)])
                start += len(own)
