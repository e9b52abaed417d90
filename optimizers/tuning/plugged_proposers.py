"""DSPy's own proposers in this tuner: what GEPA rewrites with, and what MIPROv2 grounds its instructions in.

Both write for predictors of programs that they do not know to hold a pool. So GEPA's is given the candidates, with what
each of them scored, among the inputs of a failure; MIPROv2's is given the program with the task's instructions.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from dspy_fusion.programs.tasks.signatures import plain

from .instruction_proposals import InstructionProposer
from .scores.study_store import Outcome

Proposal = Callable[..., Mapping[str, str]]
"""GEPA's protocol: of ``candidate``, ``reflective_dataset`` and ``components_to_update`` the new texts by component."""


class GEPAProposer(InstructionProposer):
    """Rewrites by an instruction proposer of GEPA (arXiv 2507.19457), the one of ``dspy.GEPA`` by default.

    Args:
        propose: what ``dspy.GEPA(instruction_proposer=...)`` takes; None takes what DSPy itself does by default.
        lm: the model that reflects; None takes the one in ``dspy.settings``.
        temperature: of first proposals, which this library's own proposer writes.
        seed: base of their seeds.
    """

    def __init__(
        self,
        propose: Proposal | None = None,
        *,
        lm: dspy.BaseLM | None = None,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(lm, temperature=temperature, seed=seed)
        self._propose = propose or _own_of_gepa()

    def reflective(
        self, instruction: str, worst: Sequence[tuple[dspy.Example, Outcome]], place: int, *, fuses: bool = True
    ) -> list[str]:
        """A rewrite in view of the worst results, each with its candidates and what they scored."""
        component = "fusor" if fuses else "predictor"
        rows = [_as_gepa_has_it(example, outcome) for example, outcome in worst]
        lm = self.lm or dspy.settings.lm
        writer = lm.copy(rollout_id=1000 + place) if lm is not None else None
        with dspy.context(lm=writer, adapter=dspy.ChatAdapter()):
            return self.checked(
                lambda: self._propose(
                    candidate={component: instruction},
                    reflective_dataset={component: rows},
                    components_to_update=[component],
                )[component]
            )


class MIPROProposer(InstructionProposer):
    """First instructions by the proposer of MIPROv2 (arXiv 2406.11695).

    From a summary of the examples, the program's code and a tip. Rewrites are this library's own.

    Args:
        lm: the model that proposes; None takes the one in ``dspy.settings``.
        temperature: of the proposals.
        seed: of its draws.
        use_dataset_summary: whether the model first sums up the examples.
        program_aware: whether it sees the program's code.
        use_tip: whether each proposal gets a tip, such as to be creative.
    """

    def __init__(
        self,
        lm: dspy.BaseLM | None = None,
        *,
        temperature: float = 1.0,
        seed: int = 0,
        use_dataset_summary: bool = True,
        program_aware: bool = True,
        use_tip: bool = True,
    ) -> None:
        super().__init__(lm, temperature=temperature, seed=seed)
        self._options = {
            "use_dataset_summary": use_dataset_summary,
            "program_aware": program_aware,
            "use_tip": use_tip,
            "set_tip_randomly": use_tip,
        }

    def grounded(
        self,
        task: str,
        examples: Sequence[dspy.Example],
        pool: str,
        tried: Sequence[str],
        count: int,
        *,
        fuses: bool = True,
    ) -> list[str]:
        """Up to ``count`` instructions for the predictor that the tuner is at."""
        from dspy.propose import GroundedProposer

        lm = self.lm or dspy.settings.lm
        program, path = self.program, self.path
        if lm is None or program is None:
            return super().grounded(task, examples, pool, tried, count, fuses=fuses)
        place = [name for name, _ in program.named_predictors()].index(path)

        def propose() -> list[str]:
            """The instructions that MIPROv2's proposer writes for the predictor."""
            with dspy.context(lm=lm, adapter=dspy.ChatAdapter()):
                grounded = GroundedProposer(
                    prompt_model=lm,
                    program=program,
                    trainset=list(examples),
                    use_task_demos=False,
                    use_instruct_history=False,
                    set_history_randomly=False,
                    rng=random.Random(f"{self.seed} {path}"),
                    init_temperature=self.temperature,
                    **self._options,
                )
                return [
                    grounded.propose_instruction_for_predictor(
                        program=program,
                        predictor=program.predictors()[place],
                        pred_i=place,
                        demo_candidates=None,
                        demo_set_i=number,
                        trial_logs={},
                        tip=grounded.rng.choice(_tips()) if self._options["use_tip"] else None,
                    )
                    for number in range(count)
                ]

        return self.checked(propose)


def _own_of_gepa() -> Proposal:
    from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer as OfGEPA

    return OfGEPA()


def _tips() -> list[str]:
    from dspy.propose.grounded_proposer import TIPS

    return [tip for tip in TIPS.values() if tip]


def _as_gepa_has_it(example: dspy.Example, outcome: Outcome) -> dict[str, Any]:
    inputs = {name: str(plain(value)) for name, value in example.inputs().items()}
    pool = {f"candidate {place}": text for place, text in enumerate(outcome.candidates, 1)}
    scores = ", ".join("unknown" if score is None else f"{score:.2f}" for score in outcome.candidate_scores)
    said = outcome.feedback or f"score {outcome.score:.2f}; a good answer: {_labels(example)}"
    said += f"; by themselves the candidates score {scores}" if scores else ""
    return {"Inputs": {**inputs, **pool}, "Generated Outputs": outcome.answer, "Feedback": said}


def _labels(example: dspy.Example) -> str:
    return " | ".join(f"{name}: {str(plain(value))[:300]}" for name, value in example.labels().items())
