"""A module whose JSON file also says how the module is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dspy


class SelfDescribing(dspy.Module):
    """What :meth:`save` adds to ``dspy.Module``'s."""

    def save(self, path: Any, save_program: bool = False, modules_to_serialize: list[Any] | None = None) -> None:
        """Saves the program as every ``dspy.Module`` does; the JSON also says how it is built.

        ``dspy-fusion serve`` and ``load_program`` take such a ``.json``, or the folder that ``save_program=True``
        makes, which gets a ``program.json`` of that kind beside DSPy's pickle; its pickle is never read by them. Of a
        program that no file can describe the JSON says why.

        Args:
            path: a ``.json`` or ``.pkl`` file, or a folder with ``save_program=True``.
            save_program: whether the whole program is pickled.
            modules_to_serialize: modules that are pickled by value.
        """
        super().save(path, save_program=save_program, modules_to_serialize=modules_to_serialize)
        path = Path(path)
        if not save_program and path.suffix != ".json":
            return
        from .program_file import PROGRAM_FILE, write_description

        if save_program:
            path, folder = path / PROGRAM_FILE, path
            super().save(path)
            write_description(self, path, folder.name)
        else:
            write_description(self, path)
