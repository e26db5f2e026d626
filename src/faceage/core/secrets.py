"""Passwords and tokens within addresses: kept out of messages, and refused in params.yaml."""

import re

# scheme://user:password@host, and ?token=..., &api_key=... and the like.
IN_ADDRESS = re.compile(
    r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/@:]*:)(?P<secret>[^\s/@]+)(?=@)", re.I
)
IN_QUERY = re.compile(
    r"(?P<before>[?&][\w-]*(?:token|password|passwd|secret|key|signature|sig)=)(?P<secret>[^\s&#']+)",
    re.I,
)


def hidden(text: str) -> str:
    """The text with *** in the place of each secret."""
    for pattern in (IN_ADDRESS, IN_QUERY):
        text = pattern.sub(r"\g<before>***", text)
    return text


def has_secret(value: object) -> bool:
    """Whether a text has a secret in it."""
    return isinstance(value, str) and hidden(value) != value
