"""MIPROv2 and GEPA on the response surfaces, as DSPy has them, each followed by a grid over the numbers.

They run on DSPy's real LM layer: a program asks a scripted model, whose engine reads the instruction and the example
off the prompt and answers rightly or wrongly as the surface has it. The surface's instructions are what the proposing
model writes. A study's requests are counted as the tuner counts them: width times depth, and one.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import random
import re
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from .surface_study import EXAMPLES, Study
from .surfaces import INSTRUCTION, LEVELS

_SHARE = 0.6  # of the requests, for the instruction; the grid has the rest
_TEXT = re.compile(r"Instruction (\d+) of the surface")


class SurfaceEngine:
    """Answers as a surface has it at a setting; what a proposer asks for is one of its instructions."""

    def __init__(self, study: Study) -> None:
        self.study, self.asked, self._draw = study, 0, random.Random(study.seed)
        self.setting = study.surface.begin
        self._scores: dict[int, Any] = {}

    def complete(self, request: Request) -> Response:
        """One answer, in the form that DSPy's chat adapter reads."""
        system = request.system
        system = system if isinstance(system, str) else "".join(str(getattr(p, "text", "")) for p in system or ())
        example = re.findall(r"example (\d+)", request.messages[-1].text or "")
        names = re.findall(r"\[\[ ## (\w+) ## \]\]", system)
        if names and names[0] == "question" and "right" in names:
            text = {"right": self._answer(_TEXT.findall(system), int(example[-1]))}
        else:
            place = self._draw.randrange(1, self.study.surface.instructions)
            text = dict.fromkeys(dict.fromkeys(names), instruction(place))
        said = "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in {**text, "completed": ""}.items())
        message = Message.assistant([TextPart(said)])
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)

    def _answer(self, places: list[str], example: int) -> str:
        place = int(places[-1]) if places else 0
        self.asked += self.setting["width"] * self.setting["depth"] + 1
        if place not in self._scores:
            setting = {**self.setting, INSTRUCTION: place}
            self._scores[place] = self.study.surface.scores(setting, EXAMPLES, self.study.seed)
        return "yes" if self._scores[place][example] else "no"

    def close(self) -> None:
        """Nothing is open."""

    def __deepcopy__(self, memo: dict[int, Any]) -> SurfaceEngine:
        return self


def instruction(place: int) -> str:
    """The text of a surface's instruction."""
    return f"Instruction {place} of the surface."


def contender(name: str) -> Any:
    """A search in two steps: the named optimizer for the instruction, and then a grid over the numbers."""

    def search(study: Study, trials: int, requests: int) -> None:
        engine = SurfaceEngine(study)
        lm = dspy.LM("scripted/surface", engine=engine, cache=False, num_retries=0)
        examples = [dspy.Example(question=f"example {i}", right="yes").with_inputs("question") for i in range(EXAMPLES)]
        student = dspy.Predict(dspy.make_signature("question -> right", instruction(0)))
        logging.getLogger("dspy").setLevel(logging.ERROR)
        with (
            dspy.context(lm=lm, disable_history=True, adapter=dspy.ChatAdapter()),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            compiled = _OPTIMIZERS[name](student, examples, lm, int(_SHARE * requests), engine)
        study.requests = engine.asked
        text = _TEXT.findall(compiled.signature.instructions)
        _grid(study, int(text[-1]) if text else 0, trials, requests)

    return search


def _mipro(student: dspy.Predict, examples: list[dspy.Example], lm: dspy.LM, requests: int, engine: Any) -> Any:
    begin = engine.setting
    each = EXAMPLES * (begin["width"] * begin["depth"] + 1)
    optimizer = dspy.MIPROv2(
        metric=_is_right,
        prompt_model=lm,
        task_model=lm,
        auto=None,
        num_candidates=8,
        max_bootstrapped_demos=0,
        max_labeled_demos=0,
        seed=engine.study.seed,
        num_threads=1,
        verbose=False,
    )
    return optimizer.compile(
        student,
        trainset=examples[:20],
        valset=examples,
        num_trials=max(3, requests // each),
        minibatch=False,
        program_aware_proposer=False,
        data_aware_proposer=False,
        tip_aware_proposer=False,
        fewshot_aware_proposer=False,
    )


def _gepa(student: dspy.Predict, examples: list[dspy.Example], lm: dspy.LM, requests: int, engine: Any) -> Any:
    begin = engine.setting
    calls = requests // (begin["width"] * begin["depth"] + 1)
    optimizer = dspy.GEPA(
        metric=_with_feedback,
        max_metric_calls=max(EXAMPLES + 10, calls),
        reflection_lm=lm,
        seed=engine.study.seed,
        num_threads=1,
        track_stats=False,
    )
    return optimizer.compile(student, trainset=examples, valset=examples)


def _is_right(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> bool:
    return prediction.right == example.right


def _with_feedback(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> Any:
    score = float(pred.right == gold.right)
    return dspy.Prediction(score=score, feedback="right" if score else "wrong")


_OPTIMIZERS = {"MIPROv2": _mipro, "GEPA": _gepa}


def _grid(study: Study, place: int, trials: int, requests: int) -> None:
    """Combinations of few values of each number, drawn in a seeded order, whole, as long as requests are left."""
    coarse = {name: values[:: max(1, len(values) // 3)] for name, values in LEVELS.items()}
    points = [dict(zip(coarse, values, strict=True)) for values in itertools.product(*coarse.values())]
    random.Random(study.seed).shuffle(points)
    begin = {**study.surface.begin, INSTRUCTION: place}
    for point in [begin, *points][:trials]:
        if study.requests >= requests and study.whole:
            return
        study.race({**point, INSTRUCTION: place})
