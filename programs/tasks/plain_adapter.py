"""PlainAdapter: instructions and numbered responses as system text, the query as user text,
the completion as the answer.

The layout in which aggregation-trained models are trained (AFT, arXiv 2501.11877, appendix A): no field markers,
nothing to parse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import dspy
from dspy.adapters.utils import parse_value
from dspy.utils.exceptions import AdapterParseError

from ..errors import ConfigurationError
from .signatures import CANDIDATES, plain

# At the start of whatever some reader takes for a line, however it is written or indented; and what is quoted already
# is quoted again, so
# that the quotes can be taken off without loss.
_HEADING = re.compile(r"(?<![^\n\r\v\f\x1c-\x1e\x85\u2028\u2029])(?=(?:> )*[ \t]*response\s+\d+\s*:)", re.IGNORECASE)


class PlainAdapter(dspy.Adapter):
    """Speaks to a model in plain text: for models trained on plain text, and for signatures with one output field.

    The system text holds the signature's instructions and, under numbered headings, the items of its ``candidates``
    field. The user text is the value of the only other input, or ``name: value`` blocks where there are several. The
    completion, as it is, becomes the only output; types other than ``str`` are parsed from it.

    Raises:
        ConfigurationError: the signature has more than one output field.

    Example:
        >>> dspy.configure(lm=lm, adapter=PlainAdapter())
    """

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The messages: system, one user and assistant turn per demo, and the query."""
        output = _only_output(signature)
        messages = [{"role": "system", "content": system_text(signature.instructions, inputs.get(CANDIDATES) or ())}]
        for demo in demos:
            if demo.get(output) is not None:
                messages.append({"role": "user", "content": _demo_text(signature, demo)})
                messages.append({"role": "assistant", "content": _text(demo[output])})
        return [*messages, {"role": "user", "content": _query_text(signature, inputs)}]

    def answer_text(self, signature: type[dspy.Signature], outputs: Mapping[str, Any]) -> str:
        """An answer as a model writes it: what :meth:`parse` reads back."""
        value = outputs[_only_output(signature)]
        return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """The completion as the only output field, in the field's type."""
        output = _only_output(signature)
        annotation = signature.output_fields[output].annotation
        if annotation is str:
            return {output: completion}
        try:
            return {output: parse_value(completion.strip(), annotation)}
        except (ValueError, TypeError) as error:
            raise AdapterParseError(
                adapter_name=type(self).__name__,
                signature=cast("Any", signature),
                lm_response=completion,
                message=str(error),
            ) from error


def system_text(instructions: str, candidates: Sequence[str] = ()) -> str:
    """The instructions followed by the candidates under numbered headings.

    A line inside a candidate that looks like such a heading is quoted with ``> ``, so no candidate can pose as another.
    """
    blocks = [instructions]
    for number, candidate in enumerate(candidates, 1):
        blocks.append(f"Response {number}:\n" + _HEADING.sub("> ", candidate))
    return "\n\n".join(blocks)


def _only_output(signature: type[dspy.Signature]) -> str:
    names = list(signature.output_fields)
    if len(names) != 1:
        raise ConfigurationError(
            f"PlainAdapter needs a signature with one output field, but got {names}; use dspy.ChatAdapter() for several"
        )
    return names[0]


def _query_text(signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> str:
    fields = {name: inputs[name] for name in signature.input_fields if name != CANDIDATES and name in inputs}
    if len(fields) == 1:
        return _text(next(iter(fields.values())))
    return "\n\n".join(f"{name}: {_text(value)}" for name, value in fields.items())


def _demo_text(signature: type[dspy.Signature], demo: Mapping[str, Any]) -> str:
    query = _query_text(signature, demo)
    return f"{system_text(query, demo[CANDIDATES])}" if demo.get(CANDIDATES) else query


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(plain(value))
