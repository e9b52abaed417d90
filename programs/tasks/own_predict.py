"""The predictor of a fusor or a judge, whose saved state is laid on by what its fields are and not by their places."""

from __future__ import annotations

from typing import Any, cast

import dspy

from ..errors import ConfigurationError
from .own_fields import marked_field

_LATER = ("task", "comparison")


class OwnPredict(dspy.Predict):
    """A ``dspy.Predict`` over a signature with fields of ours.

    DSPy saves fields without names and lays them on one after the other, whatever their number; a state that was saved
    with one field fewer would give each field its neighbour's description.
    """

    def load_state(self, state: dict[str, Any], **options: Any) -> OwnPredict:
        """Takes a saved state over; one from before there was a task's text or a comparison fits as well.

        Raises:
            ConfigurationError: it is the state of a predictor with other fields.
        """
        signature = cast("type[dspy.Signature]", self.signature)
        state = {**state, "signature": {**state["signature"], "fields": _fitted(signature, state)}}
        return cast("OwnPredict", super().load_state(state, **options))


def _fitted(signature: type[dspy.Signature], state: dict[str, Any]) -> list[dict[str, Any]]:
    own = cast("list[dict[str, Any]]", signature.dump_state()["fields"])
    saved: list[dict[str, Any]] = state["signature"]["fields"]
    if len(own) == len(saved):
        return saved
    later = {list(signature.fields).index(name) for role in _LATER if (name := marked_field(signature, role))}
    by_prefix = {field["prefix"]: field for field in saved}
    fitted = [by_prefix.pop(field["prefix"], field if place in later else None) for place, field in enumerate(own)]
    if None in fitted or by_prefix.keys() - {"Comparison:"}:
        there, here = (", ".join(field["prefix"].rstrip(":") for field in fields) for fields in (saved, own))
        raise ConfigurationError(
            f"the saved state has the fields {there}, but the predictor's are {here}; save the program again"
        )
    return cast("list[dict[str, Any]]", fitted)
