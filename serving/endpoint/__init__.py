"""Programs and embedded models behind OpenAI's chat protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dspy_fusion.lazy_face import lazy_names

if TYPE_CHECKING:
    from .app import create_app as create_app
    from .saved_program import SavedProgram as SavedProgram, load_program as load_program, save_program as save_program
    from .server import endpoint_server as endpoint_server, serve as serve
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".app": ("create_app",),
            ".saved_program": ("SavedProgram", "load_program", "save_program"),
            ".server": ("endpoint_server", "serve"),
        },
    )
