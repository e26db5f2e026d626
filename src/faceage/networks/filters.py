"""Filters of a batch of images, on the device that holds it: float (n, 3, height, width)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from faceage.core.images import LUMA


def luma(images: Tensor) -> Tensor:
    """How light each pixel is, by Rec. 601: float (n, 1, height, width)."""
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def gaussian_blur(images: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Blur each image by a sigma of its own, along the rows and along the columns.

    Parameters
    ----------
    sigma : pixels (n,), on the CPU
    reach : pixels of the kernel to either side, fewer than the image has; what lies beyond the
        image is its reflection. Three sigma hold all of the kernel that counts
    """
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    kernel = kernel[:, None, None].to(images.device)
    channels = F.pad(images.flatten(0, 1)[None], [reach] * 4, mode="reflect")
    blurred = F.conv2d(channels, kernel, groups=len(kernel))
    blurred = F.conv2d(blurred, kernel.mT, groups=len(kernel))
    return blurred[0].unflatten(0, (-1, 3))
