"""Other functions in the place of some of torch's, while a forward pass runs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode


class Exchange(TorchFunctionMode):
    """Calls these in the place of torch's functions, however a module calls them.

    Parameters
    ----------
    functions : by the one that each stands for, and with its parameters
    """

    def __init__(self, functions: Mapping[Callable[..., Any], Callable[..., Any]]) -> None:
        super().__init__()
        self.functions = functions

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return self.functions.get(function, function)(*args, **kwargs or {})
