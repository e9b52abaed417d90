"""What a task asks for, in its own words, read off the program at the moment of the call.

A fusor or a judge has instructions of its own, on how to fuse or to judge; this text travels beside them in a field of
its own. So either can be tuned without the other, what an optimizer writes for the task reaches whoever writes or
judges, and the signature of a fusor stays the same (GEPA finds a predictor's traces by it).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, cast

import dspy

from .languages import input_language
from .own_fields import free_name, marked_field
from .signatures import signature_of

_GENERATED = re.compile(r"Given the fields (?:`\w+`(?:, )?)+, produce the fields (?:`\w+`(?:, )?)+\.\s*")


def task_text(program: dspy.Module, task: type[dspy.Signature], *, given: bool = False) -> str:
    """The task's instructions as they are now.

    They are those of the program's predictors in their order, each text once; fusors and judges inside of the program
    do not count. Where the task as a whole has instructions that somebody wrote, because its signature was ``given`` or
    a program of several steps has one of its own, these come first, and of the predictors only those follow that write
    the task's outputs: the others' texts are about steps on the way. Demos of the task do not count, since they show no
    candidates.

    Args:
        program: the task program.
        task: its signature; its instructions are taken where the program has no predictor.
        given: whether the signature was given beside the program, and not read off a predictor.
    """
    told = [cast("type[dspy.Signature]", predictor.signature) for predictor in program.predictors()]
    told = [signature for signature in told if marked_field(signature, "candidates") is None]
    texts = [signature.instructions for signature in told]
    has_own = given or (len(told) > 1 and isinstance(getattr(program, "signature", None), type))
    if has_own and written(task.instructions):
        writers = [s.instructions for s in told if set(task.output_fields) <= set(s.output_fields)]
        texts = [task.instructions, *(text for text in writers if written(text))]
    return "\n\n".join(dict.fromkeys(texts)) or task.instructions


def fusor_inputs(
    task: type[dspy.Signature], text: str, inputs: Mapping[str, Any], candidates: list[str]
) -> dict[str, Any]:
    """What a fusor is called with: the task's text and inputs, and the candidates as they are shown.

    Where the inputs are in another language than English, the text says in which one the answer is to be, unless the
    task says otherwise (FusioN's prompt names the language too, arXiv 2510.00931).
    """
    language = input_language(value for name in task.input_fields if isinstance(value := inputs.get(name), str))
    if language is not None:
        text = f"{text}\n\nUnless these instructions say otherwise, answer in {language}, the language of the input."
    return {free_name(task, "task"): text, **inputs, free_name(task, "candidates"): candidates}


def written(text: str) -> str:
    """A text without the sentence that DSPy makes up for a signature without instructions, which says nothing."""
    return _GENERATED.sub("", text).strip()


def takes_input(fusor: dspy.Module, name: str) -> bool:
    """Whether a fusor has an input of this name; a forward that takes anything is as good as its predictors."""
    if isinstance(fusor, dspy.Predict):
        return name in signature_of(fusor).input_fields
    forward = getattr(type(fusor), "forward", None) or getattr(type(fusor), "aforward", None)
    parameters = inspect.signature(forward).parameters.values() if forward else ()
    if any(parameter.name == name for parameter in parameters):
        return True
    passes = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return passes and any(name in signature_of(predictor).input_fields for predictor in fusor.predictors())
