"""Concurrent requests looked at together: many faces take a network hardly longer than one."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from faceage.estimates import Estimates, Estimator

# How long the first request waits for others, and how many faces make a batch.
WAIT = 0.004  # seconds
LARGEST = 64
# Requests that may wait; more are turned away rather than kept until their clients have gone.
WAITING = 256

Job = tuple[np.ndarray, "asyncio.Future[Estimates]"]


class Busy(Exception):
    """More requests wait than can be answered in time."""


class Batcher:
    """An estimator shared by concurrent requests; one thread runs it."""

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator
        self.thread = ThreadPoolExecutor(1)
        self.jobs: asyncio.Queue[Job] = asyncio.Queue(WAITING)

    async def estimate(self, crops: np.ndarray) -> Estimates:
        """Estimate aligned faces: uint8 (n, side, side, 3).

        Raises
        ------
        Busy
            If too many requests wait already.
        """
        answer: asyncio.Future[Estimates] = asyncio.get_running_loop().create_future()
        try:
            self.jobs.put_nowait((crops, answer))
        except asyncio.QueueFull:
            raise Busy from None
        return await answer

    async def run(self) -> None:
        """Answer requests until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            jobs = [await self.jobs.get()]
            await asyncio.sleep(WAIT)
            while not self.jobs.empty() and sum(len(crops) for crops, _ in jobs) < LARGEST:
                jobs.append(self.jobs.get_nowait())
            crops = np.concatenate([crops for crops, _ in jobs])
            try:
                found = await loop.run_in_executor(self.thread, self.estimator.estimate, crops)
            except Exception as error:  # one request's fault must not end the others' service
                for _, answer in jobs:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            start = 0
            for own, answer in jobs:
                if not answer.done():  # its client may have gone
                    answer.set_result(found[start : start + len(own)])
                start += len(own)
