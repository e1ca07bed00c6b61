"""What a worker of a Ray cluster runs. It is sent by value: the worker finds adaspec only where the driver does."""

from __future__ import annotations

from typing import Any

__all__ = ["call"]


def call(pickled: bytes, folder: str, environment: dict[str, str], modules: list[str]) -> tuple[Any, Exception | None]:
    """Call a function in the driver's folder, with its variables and modules.

    Parameters
    ----------
    pickled : bytes
        The function and a tuple of its arguments, which are read only once their modules can be found.
    folder : str
        Working directory of the driver, absolute.
    environment : dict of str to str
        Variables that the driver has set.
    modules : list of str
        Absolute folders in which the driver finds modules, and the worker is to look first.

    Returns
    -------
    result, error
        One of the two is None. An error of the task is no failure of its worker, after which it would be run again.
    """
    import os
    import pickle
    import socket
    import sys
    import traceback

    try:
        os.chdir(folder)
    except OSError as error:
        where = f"{folder} on the node {socket.gethostname()}"
        return None, OSError(error.errno, "all nodes need the repository under the same path", where)
    os.environ.update(environment)
    sys.path[:] = dict.fromkeys([*modules, *sys.path])
    try:
        function, task = pickle.loads(pickled)
        return function(*task), None
    except Exception as error:  # noqa: BLE001 - it is raised where the task was given out
        error.add_note(traceback.format_exc())
        return None, error
