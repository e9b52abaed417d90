"""PlainAdapter: instructions and numbered responses as system text, the query as user text,
the completion as the answer.

The layout in which aggregation-trained models are trained (AFT, arXiv 2501.11877, appendix A): no field markers,
nothing to parse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import dspy
from dspy.adapters.utils import parse_value
from dspy.utils.exceptions import AdapterParseError

from ..errors import ConfigurationError
from .inert_text import without_headings
from .own_fields import field_of, marked_field
from .signatures import plain
from .system_role import aask, ask, fitted
from .task_text import written


class PlainAdapter(dspy.Adapter):
    """Speaks to a model in plain text: for models trained on plain text, and for signatures with one output field.

    The system text holds the task's instructions, the signature's own and, under numbered headings, the items of its
    ``candidates`` field. The user text is the value of the only other input, or ``name: value`` blocks where there are
    several. The completion, as it is, becomes the only output; types other than ``str`` are parsed from it. A fusor's
    comparison is left out: models that are spoken to like this write the answer and nothing else.

    Images, audio, files and ``dspy.History`` are sent as DSPy's own adapters send them, tools by the model's own tool
    calls.

    Args:
        system_role: whether the model has a system role; False puts the system text before the first user turn, and
            None finds out: where the server refuses the role by name, the call is made again without it, and this
            process remembers that of the model.
        use_native_function_calling: whether tools are called by the model's own tool calls; there is no other way here.
        parallel_tool_calls: whether to ask for several tool calls at once; None leaves it to the server.
        callbacks: as of any DSPy adapter.

    Raises:
        ConfigurationError: the signature has more than one output field, or tools are to be called by a model that
            cannot.

    Example:
        >>> dspy.configure(lm=lm, adapter=PlainAdapter())
    """

    def __init__(
        self,
        *,
        system_role: bool | None = None,
        use_native_function_calling: bool = True,
        parallel_tool_calls: bool | None = None,
        callbacks: list[Any] | None = None,
    ) -> None:
        super().__init__(
            callbacks=callbacks,
            use_native_function_calling=use_native_function_calling,
            parallel_tool_calls=parallel_tool_calls,
        )
        self.system_role = system_role

    def __call__(self, lm: dspy.BaseLM, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """Asks the model, once more without a system role where it refuses that."""
        return ask(lm, self.system_role, lambda: super(PlainAdapter, self).__call__(lm, *args, **kwargs))

    async def acall(self, lm: dspy.BaseLM, *args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        """As calling it."""
        return await aask(lm, self.system_role, lambda: super(PlainAdapter, self).acall(lm, *args, **kwargs))

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The messages: system, one user and assistant turn per demo, the conversation so far, and the query."""
        answer_field(signature)
        messages = super().format(signature, demos, inputs)
        messages[0] = {"role": "system", "content": _system_of(signature, inputs)}
        if messages[-1]["role"] != "user":
            messages.append({"role": "user", "content": ""})
        return fitted(messages, self.system_role)

    def format_system_message(self, signature: type[dspy.Signature]) -> str:
        """The instructions; :meth:`format` adds what comes with the inputs."""
        return signature.instructions

    def format_user_message_content(
        self,
        signature: type[dspy.Signature],
        inputs: dict[str, Any],
        prefix: str = "",
        suffix: str = "",
        main_request: bool = False,
    ) -> str:
        """The value of the only input, or ``name: value`` blocks; candidates are system text, except in demos."""
        query = _query_text(signature, inputs)
        candidates = inputs.get(field_of(signature, "candidates") or "")
        return query if main_request or not candidates else system_text(query, candidates)

    def format_assistant_message_content(
        self, signature: type[dspy.Signature], outputs: dict[str, Any], missing_field_message: str | None = None
    ) -> str:
        """The answer."""
        value = outputs.get(answer_field(signature) or "")
        return "" if value is None else _text(value)

    def format_demos(self, signature: type[dspy.Signature], demos: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A user and an assistant turn for each demo that has an answer."""
        output = answer_field(signature) or ""
        messages = []
        for demo in demos:
            if demo.get(output) is not None:
                messages.append({"role": "user", "content": self.format_user_message_content(signature, demo)})
                messages.append({"role": "assistant", "content": _text(demo[output])})
        return messages

    def answer_text(self, signature: type[dspy.Signature], outputs: Mapping[str, Any]) -> str:
        """An answer as a model writes it: what :meth:`parse` reads back."""
        value = outputs[answer_field(signature) or ""]
        return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)

    def parse(self, signature: type[dspy.Signature], completion: str) -> dict[str, Any]:
        """The completion as the only output field, in the field's type."""
        output = answer_field(signature)
        if output is None:
            return {}
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

    def _call_preprocess(
        self, lm: dspy.BaseLM, lm_kwargs: dict[str, Any], signature: type[dspy.Signature], inputs: dict[str, Any]
    ) -> type[dspy.Signature]:
        calls = self._get_tool_call_output_field_name(signature)
        if calls is not None and not (self.use_native_function_calling and lm.supports_function_calling):
            raise ConfigurationError(
                f"PlainAdapter has tools called by the model itself, but {lm.model} is not known to call tools;"
                " use dspy.ChatAdapter(), which asks for calls in text"
            )
        return super()._call_preprocess(lm, lm_kwargs, signature, inputs)


def system_text(instructions: str, candidates: Sequence[str] = ()) -> str:
    """The instructions followed by the candidates under numbered headings.

    A line inside a candidate that reads like such a heading is quoted with ``> ``, so no candidate can pose as another.
    """
    blocks = [instructions] if instructions else []
    for number, candidate in enumerate(candidates, 1):
        blocks.append(f"Response {number}:\n" + without_headings(candidate))
    return "\n\n".join(blocks)


def answer_field(signature: type[dspy.Signature]) -> str | None:
    """The output that a completion is; None where all that is asked for are tool calls.

    Raises:
        ConfigurationError: there is more than one.
    """
    left_out = marked_field(signature, "comparison")
    fields = signature.output_fields.items()
    names = [name for name, field in fields if name != left_out and field.annotation is not dspy.ToolCalls]
    if len(names) > 1:
        raise ConfigurationError(
            f"PlainAdapter needs a signature with one output field, but got {names}; use dspy.ChatAdapter() for several"
        )
    return names[0] if names else None


def _system_of(signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> str:
    task = written(str(inputs.get(marked_field(signature, "task") or "") or ""))
    told = "\n\n".join(text for text in (task, signature.instructions) if text)
    return system_text(told, inputs.get(field_of(signature, "candidates") or "") or ())


def _query_text(signature: type[dspy.Signature], inputs: Mapping[str, Any]) -> str:
    apart = {field_of(signature, "candidates"), marked_field(signature, "task")}
    fields = {name: inputs[name] for name in signature.input_fields if name not in apart and name in inputs}
    if len(fields) == 1:
        return _text(next(iter(fields.values())))
    return "\n\n".join(f"{name}: {_text(value)}" for name, value in fields.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(plain(value))
