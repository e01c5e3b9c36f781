"""What is wrong with an option, in a user's words, from what pydantic found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["describe_problem"]

LONGEST = 100
"""Characters of a value that is repeated in the message."""


def describe_problem(problem: ErrorDetails, place: str) -> str:
    """Write one problem of a `ValidationError` as a sentence without its full stop.

    Args:
        problem: One of the error's ``errors()``.
        place: The option, as its user spells it.
    """
    message = problem["msg"]
    if problem["type"] == "value_error":  # ours, which names the value where that helps
        message = message.removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    given = problem["input"]
    is_short = isinstance(given, str | int | float | bool | tuple | list | None)
    got = repr(given) if is_short and len(repr(given)) <= LONGEST else ""
    wanted = message.removeprefix("Input should ")
    if wanted == message:  # of something else than a value, such as an option that is missing
        return f"{place}: {message}" + (f" (got {got})" if got else "")
    if problem["type"] == "literal_error":
        names = problem["ctx"]["expected"].replace("'", "")
        wanted = f"be {'one of ' if ' or ' in names else ''}{names}"
    else:
        wanted = wanted.partition(", ")[0]  # the rest says how the value fails, which it shows
    return f"{place} is {got}, but must {wanted}" if got else f"{place} must {wanted}"
