"""``response_format`` of a program: its output fields as a JSON object, as far as a schema can be met by their types.

A schema is a client's: it is read with a limit to its size, its references stay inside of it, and patterns, which could
keep the server busy for ever, are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dspy
from pydantic import TypeAdapter

from dspy_fusion.programs.extras import needs
from dspy_fusion.programs.tasks.signatures import plain

from .chat import ChatBody
from .error_responses import ApiError, bad_request

_MOST_PARTS = 2000  # of a schema, references written out
_PARAM = "response_format"
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


def check_schema(task: type[dspy.Signature], body: ChatBody) -> None:
    """Raises ``ApiError`` where the task's outputs cannot meet the schema that a request asks for."""
    schema = _schema(body)
    if "object" not in (_kinds(schema) or {"object"}):
        raise bad_request(f"the schema must be of an object, but is of {_kinds(schema)}", _PARAM)
    outputs, properties = task.output_fields, schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in outputs:
            raise bad_request(
                f"the schema requires {name!r:.80}, which is no output of this model; its outputs are"
                f" {', '.join(outputs)}",
                _PARAM,
            )
    for name in properties.keys() & outputs.keys():
        ours = _inlined(TypeAdapter(outputs[name].annotation or Any).json_schema())
        if not _meet(ours, properties[name]):
            raise bad_request(
                f"the output {name!r} is {_said(ours)}, which cannot be {_said(properties[name])} as the schema has it",
                _PARAM,
            )
    _checker(schema)


def as_json(prediction: dspy.Prediction, body: ChatBody) -> str:
    """The outputs as JSON: those that the schema names, or all where it names none.

    Raises:
        ApiError: they do not meet the schema.
    """
    schema = _schema(body)
    values = plain(prediction.toDict())
    if names := schema.get("properties"):
        values = {name: value for name, value in values.items() if name in names}
    failure = next(iter(_checker(schema).iter_errors(values)), None)
    if failure is not None:
        place = ".".join(map(str, failure.absolute_path))
        raise ApiError(
            502,
            f"the answer does not meet the schema{f' at {place}' if place else ''}: {failure.message:.160}",
            code="answer_not_in_schema",
        )
    return json.dumps(values, ensure_ascii=False)


def _schema(body: ChatBody) -> dict[str, Any]:
    wanted = body.response_format
    if wanted is None or wanted.type != "json_schema":
        return {}
    try:
        schema = _inlined(wanted.json_schema.schema_)
    except RecursionError:
        raise _too_large() from None
    if not isinstance(schema.get("properties") or {}, dict) or not isinstance(schema.get("required") or [], list):
        raise bad_request("the schema's properties must be an object and its required a list", _PARAM)
    return schema


def _checker(schema: Mapping[str, Any]) -> Any:
    with needs("json_schema", "serve"):
        import jsonschema
        import referencing
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise bad_request(f"the schema is none: {error.message:.160}", _PARAM) from None
    # an own registry, for the default one would fetch what a reference names
    return jsonschema.Draft202012Validator(schema, registry=referencing.Registry())


def _inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with its references written out.

    Raises:
        ApiError: it is too large, refers to itself or elsewhere, or has patterns.
    """
    left = _MOST_PARTS

    def inlined(part: Any) -> Any:
        """A part with what it refers to in its place."""
        nonlocal left
        left -= 1
        if left < 0:
            raise _too_large()
        if isinstance(part, list):
            return [inlined(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return inlined(_target(schema, part["$ref"]) | {k: v for k, v in part.items() if k != "$ref"})
        return {name: inlined(value) for name, value in part.items() if not _is_refused(name, value)}

    return inlined(dict(schema))


def _is_refused(name: str, value: Any) -> bool:
    is_pattern = (name == "pattern" and isinstance(value, str)) or name == "patternProperties"
    if is_pattern or name in ("$dynamicRef", "$recursiveRef"):
        raise bad_request(f"this server does not check {name} in a schema; leave it out", _PARAM)
    return name in ("$defs", "definitions", "$id", "$schema")


def _target(schema: Mapping[str, Any], reference: Any) -> dict[str, Any]:
    target: Any = schema if isinstance(reference, str) and reference.startswith("#") else None
    for step in str(reference).split("/")[1:]:
        target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise bad_request(f"the schema refers to {reference!r:.80}, which it does not hold", _PARAM)
    return target


def _meet(ours: Mapping[str, Any], theirs: Any) -> bool:
    """Whether some value is of both schemas, as far as their types and values say."""
    if not isinstance(theirs, dict):
        return theirs is not False
    mine, wanted = _kinds(ours), _kinds(theirs)
    if mine is not None and wanted is not None and not mine & wanted:
        return False
    choices, allowed = ours.get("enum"), theirs.get("enum")
    return not (isinstance(choices, list) and isinstance(allowed, list)) or any(one in allowed for one in choices)


def _kinds(schema: Mapping[str, Any]) -> set[str] | None:
    """The JSON types that a schema allows, or None for any."""
    kinds: set[str] | None = None
    if "type" in schema:
        kinds = set(schema["type"]) if isinstance(schema["type"], list) else {str(schema["type"])}
    elif isinstance(values := schema.get("enum", [schema["const"]] if "const" in schema else None), list):
        kinds = {_KINDS.get(type(value), "null") for value in values}
    elif isinstance(parts := schema.get("anyOf") or schema.get("oneOf"), list):
        several = [_kinds(part) if isinstance(part, dict) else None for part in parts]
        kinds = None if None in several else set().union(*(one for one in several if one))
    return kinds | {"integer"} if kinds and "number" in kinds else kinds


def _said(schema: Any) -> str:
    return " or ".join(sorted(_kinds(schema) or {"anything"})) if isinstance(schema, dict) else repr(schema)


def _too_large() -> ApiError:
    return bad_request(f"the schema has more than {_MOST_PARTS} parts, or refers to itself", _PARAM)
