"""What a user can mend, told in one line instead of a traceback.

ValueError
  InputError      anything that comes from outside: knobs, files, the command line
    SettingError  one setting of a layer, by its name
"""

from __future__ import annotations

__all__ = ["InputError", "SettingError"]


class InputError(ValueError):
    """Input that cannot be used: says what, where, what was got, what is allowed and what to do.

    Parameters
    ----------
    problems : str
        One, or several that are found together, a line each.
    """

    def __str__(self) -> str:
        return "\n       ".join(self.problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, a line each."""
        return tuple(map(str, self.args))


class SettingError(InputError):
    """A setting of a layer that is out of range or contradicts another.

    Parameters
    ----------
    setting : str
        Name of the argument, such as "win_length". The message begins with it.
    reason : str
        What follows the name: value, what is allowed and what to do.
    """

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(setting, reason)  # as they were given: a worker's error is made anew from them
        self.setting, self.reason = setting, reason

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in one line."""
        return (f"{self.setting}{self.reason}",)
