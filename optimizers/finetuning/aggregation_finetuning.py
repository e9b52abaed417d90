"""AggregationFineTuning: one ``compile()`` from examples to a program whose fusor is a model that was trained to
aggregate.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dspy
from dspy.teleprompt import Teleprompter

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.visible_options import VisibleOptions, refuse_unknown

from ..tuning.objective import example_digest
from .aggregation_rows import Row, RowWriter
from .collected import alone_in, check_about
from .fitting import Fitter
from .gathering import Gathering, Material
from .objectives import OBJECTIVES, ObjectiveName
from .proposals import GivenProposals, Proposals
from .references import GoldReferences, References
from .settings import Training, check_installed
from .training_progress import FineTuningProgress, FineTuningReport

if TYPE_CHECKING:
    from .base_model import BaseModel

REPORT, ROWS, SUMMARY = "report.json", "rows.jsonl", "rows.json"


class AggregationFineTuning(VisibleOptions, Teleprompter):
    """Trains a model to write one answer from several (AFT, arXiv 2501.11877) and puts it behind a program's fusor.

    Collects proposals for each example (given with it, or sampled), gets what is to be learned (the example's own
    answer, or a stronger model's aggregation of them), writes both as the messages that the program itself sends, and
    trains with TRL, with LoRA or in full, with the loss on the answer alone. Everything is in ``output``: the same call
    goes on after ``kill -9``, from the last example and the last checkpoint. Needs the extra ``finetune``.

    Unlike the paper, the order of the proposals is the program's own seeded one, and rows without proposals can be
    mixed in.

    Args:
        base: a Hugging Face checkpoint: a folder, or a name on the Hub. Embedded models become one by
            ``dspy_fusion.serving.embedded.to_huggingface``.
        output: a folder for what is collected, checkpoints, the curve, and the results ``model`` (adapters merged) and
            ``adapter``.
        serve: from the folder of the trained checkpoint to the model that answers, such as ``huggingface_lm`` of the
            same package, or ``lambda folder: dspy.LM("hosted_vllm/aft", api_base=...)`` where vLLM will serve it.
        proposals: :class:`GivenProposals` (off-policy) or :class:`SampledProposals` (on-policy).
        references: :class:`GoldReferences` or :class:`FusorReferences`.
        objective: ``"aft"``; ``"sft"``, the baseline that learns the best proposal as a direct answer;
            ``"no_proposals"``, which learns the reference as a direct answer; ``"pseudo_aggregation"``, which is shown
            proposals and learns the stronger model's own answer.
        training: how it is trained.
        plain_share: share of the examples, in [0, 1), whose rows show no proposals, so that a small model does not
            forget how to answer; none in the paper.
        instructions: further instructions of the fusor; each row that shows proposals has one of these or the program's
            own, so that the trained model heeds the proposals however it is told to, and prompts can still be tuned.
            Only the program's own in the paper.
        too_long: what becomes of a row that the model cannot take: ``"raise"``, or ``"drop_proposals"`` to leave out as
            few as it takes.
        collected: a folder for proposals and references, to be shared with other objectives; by default ``output``.
        behind: what the trained model does in the returned program: the ``"fusor"`` alone, or ``"everything"``,
            proposals too, as in the paper's experiments.
        tolerated_failures: share of the examples, in [0, 1), on which models may fail; those are left out.
        num_threads: examples at once.
        on_progress: called after each example and for each point of the curve.

    Raises:
        ConfigurationError: an option, an example or the checkpoint is wrong, or the ``output`` is another training's.
        QuorumNotMet: proposals failed for too many examples.
        FusorFailed: the stronger model failed, or refused, for too many examples.
        RecordError: the disk is full.

    Example:
        ``AggregationFineTuning("Qwen/Qwen3-0.6B", output="runs/aft", serve=serve).compile(Fusion(task),
        trainset=examples)``
    """

    def __init__(
        self,
        base: str | Path,
        *,
        output: str | Path,
        serve: Callable[[Path], dspy.BaseLM],
        proposals: Proposals | None = None,
        references: References | None = None,
        objective: ObjectiveName = "aft",
        training: Training | None = None,
        plain_share: float = 0.0,
        instructions: Sequence[str] = (),
        too_long: Literal["raise", "drop_proposals"] = "raise",
        collected: str | Path | None = None,
        behind: Literal["fusor", "everything"] = "fusor",
        tolerated_failures: float = 0.0,
        num_threads: int = 8,
        on_progress: Callable[[FineTuningProgress], None] | None = None,
    ) -> None:
        super().__init__()
        _check_choice("objective", objective, OBJECTIVES)
        _check_choice("too_long", too_long, ("raise", "drop_proposals"))
        _check_choice("behind", behind, ("fusor", "everything"))
        if not 0 <= plain_share < 1 or not 0 <= tolerated_failures < 1:
            raise ConfigurationError(
                f"plain_share must be in [0, 1) and tolerated_failures in [0, 1), but got {plain_share!r} and"
                f" {tolerated_failures!r}"
            )
        if isinstance(instructions, str) or not all(isinstance(text, str) and text.strip() for text in instructions):
            raise ConfigurationError(
                f"instructions must be a list of texts that are not empty, but got instructions={instructions!r}"
            )
        if num_threads < 1:
            raise ConfigurationError(f"num_threads must be at least 1, but got num_threads={num_threads!r}")
        self.base, self.output, self.serve = str(base), Path(output), serve
        self.proposals, self.references = proposals or GivenProposals(), references or GoldReferences()
        self.objective, self.training = OBJECTIVES[objective], training or Training()
        self.plain_share, self.too_long, self.behind = plain_share, too_long, behind
        self.instructions = tuple(instructions)
        self.collected = Path(collected or output)
        self.tolerated_failures, self.num_threads = tolerated_failures, num_threads
        self.on_progress = on_progress or (lambda progress: None)

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: list[dspy.Example],
        teacher: dspy.Module | None = None,
        valset: list[dspy.Example] | None = None,
        **unknown: Any,
    ) -> dspy.Module:
        """Trains, and returns a copy of the program with the trained model behind its fusor;
        the program itself stays as it is.

        Args:
            student: a module with one Fusion or ProposeAggregate in it.
            trainset: the examples.
            teacher: not used; part of DSPy's interface. The stronger model is that of ``references``.
            valset: not used.
            **unknown: none; anything else is refused.

        Returns:
            A program with a :class:`FineTuningReport` as ``finetuning_report``.
        """
        refuse_unknown("AggregationFineTuning.compile", unknown, ("student", "trainset"))
        report = self._train(fusing_program(student), trainset)
        compiled: Any = student.deepcopy()
        fusing, lm = fusing_program(compiled), self.serve(Path(report.model))
        fusing.fusor_lm = lm
        if self.behind == "everything":
            fusing.lms = [lm]
        compiled.finetuning_report = report
        return compiled

    def _train(self, fusing: FusingProgram, examples: Sequence[dspy.Example]) -> FineTuningReport:
        gathering = Gathering(
            fusing,
            self.proposals,
            self.references,
            self.objective,
            self.collected,
            self.num_threads,
            self.tolerated_failures,
            self.on_progress,
        )
        gathering.check(examples)
        check_installed()
        from .base_model import load_base  # torch and transformers take seconds

        base = load_base(self.base, self.training)
        with alone_in(self.output):
            self._check_output(gathering, examples)
            if not (self.output / REPORT).exists():
                self._train_from(base, gathering, examples)
            return FineTuningReport.load(self.output / REPORT)

    def _train_from(self, base: BaseModel, gathering: Gathering, examples: Sequence[dspy.Example]) -> None:
        """Goes through what is not there yet: rows, training, report."""
        if not (self.output / SUMMARY).exists():
            self._write_rows(gathering, base.tokens, base.context, examples)
        from .training import last_loss, train

        steps = train(base, self.output / ROWS, self.output, self.training, self._log)
        adapter = str(self.output / "adapter") if self.training.lora else ""
        made = {"model": str(self.output / "model"), "adapter": adapter, "steps": steps, "loss": last_loss(self.output)}
        summary = json.loads((self.output / SUMMARY).read_text())
        FineTuningReport(self.objective.name, self.base, **made, **summary).save(self.output / REPORT)

    def _check_output(self, gathering: Gathering, examples: Sequence[dspy.Example]) -> None:
        """Makes the output folder, or sees to it that what is in it was made with these settings."""
        digest = hashlib.sha256(json.dumps([example_digest(example) for example in examples]).encode()).hexdigest()[:16]
        chosen = {
            "base": self.base,
            "objective": self.objective.name,
            "plain_share": self.plain_share,
            "too_long": self.too_long,
        }
        if self.instructions:
            chosen["instructions"] = hashlib.sha256(json.dumps(self.instructions).encode()).hexdigest()[:16]
        check_about(
            self.output / "about.json", {**chosen, **self.training.relevant, **gathering.about(), "examples": digest}
        )

    def _write_rows(
        self, gathering: Gathering, tokens: Callable[[Row], int], limit: int, examples: Sequence[dspy.Example]
    ) -> None:
        """Writes the rows, then what is to be said of them: with that, they are whole and never written again."""
        writer, fitter = RowWriter(gathering.fusing), Fitter(tokens, limit, self.too_long == "drop_proposals")
        rows = 0
        try:
            with (self.output / ROWS).open("w", encoding="utf-8") as file:
                for rows, material in enumerate(gathering.collect(examples), 1):
                    row = self._row(rows - 1, material, writer, fitter)
                    if row is not None:
                        file.write(json.dumps(row.as_messages(), ensure_ascii=False) + "\n")
            fitter.check(self.base)
            summary = {
                "rows": rows,
                "dropped_proposals": fitter.dropped,
                "failed": gathering.failed,
                "tokens": fitter.longest,
            }
            beside = (self.output / SUMMARY).with_suffix(".partial")
            beside.write_text(json.dumps(summary))
            beside.rename(self.output / SUMMARY)
        except OSError as error:
            raise RecordError(f"cannot write to {self.output}: {error.strerror}; what was collected is safe") from error

    def _row(self, place: int, material: Material, writer: RowWriter, fitter: Fitter) -> Row | None:
        inputs, outputs = material.example.inputs().toDict(), material.outputs
        rng = random.Random(f"{self.training.seed} {example_digest(material.example)}")
        if material.shown and rng.random() >= self.plain_share:
            told = rng.choice((None, *self.instructions))
            return fitter.fit(place, material.shown, lambda shown: writer.aggregating(inputs, shown, outputs, told))
        return fitter.fit(place, (), lambda _: writer.solving(inputs, outputs))

    def _log(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        self.on_progress(FineTuningProgress("training", step, steps, values))


def fusing_program(program: dspy.Module) -> FusingProgram:
    """The one Fusion or ProposeAggregate in a module.

    Raises:
        ConfigurationError: there is none, or more than one.
    """
    found = [part for _, part in program.named_sub_modules(FusingProgram) if isinstance(part, FusingProgram)]
    if len(found) != 1:
        raise ConfigurationError(
            f"{type(program).__name__} has {len(found)} programs that fuse, but one fusor can be trained at a time;"
            " give a module with one Fusion or ProposeAggregate in it"
        )
    return found[0]


def _check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, but got {name}={value!r}")
