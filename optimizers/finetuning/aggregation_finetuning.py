"""AggregationFineTuning: from examples to a program whose fusor was trained to aggregate, in one ``compile()``."""

from __future__ import annotations

import hashlib
import json
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import dspy
from dspy.teleprompt import Teleprompter

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.redaction import redacting
from dspy_fusion.programs.visible_options import VisibleOptions, refuse_unknown

from ..tuning.scores.objective import example_digest
from .aggregation_preferences import Preferences
from .aggregation_rows import RowWriter, fusing_program, present_adapter
from .files.output_folder import check_free
from .files.training_row import TrainingRow
from .fitting import Fitter, foresee
from .gathering import Gathering, Material
from .objectives import OBJECTIVES, ObjectiveName
from .proposals import GivenProposals, Proposals
from .references import GoldReferences, References
from .rewards import Rewards
from .sampled_proposals import SampledProposals
from .serving_models import Serving, memory_of, served_by
from .settings import Training, real, whole
from .training_folder import RowSource, TooLong, TrainingFolder
from .training_progress import FineTuningProgress

logger = redacting(logging.getLogger(__name__))


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
        server: instead of ``serve``, serves the base while proposals are drawn and the trained model in the end, and
            frees the memory between: ``dspy_fusion.serving.checkpoints.ModelServer``.
        proposals: :class:`GivenProposals` (off-policy) or :class:`SampledProposals` (on-policy); by default what comes
            with the examples, or with a ``server`` five draws of the base.
        references: :class:`GoldReferences` or :class:`FusorReferences`.
        objective: ``"aft"``; ``"sft"``, the baseline that learns the best proposal as a direct answer;
            ``"no_proposals"``, which learns the reference as a direct answer; ``"pseudo_aggregation"``, which is shown
            proposals and learns the stronger model's own answer. Beyond the paper, best after an ``"aft"``: ``"dpo"``,
            which prefers the best of several aggregations of one pool to the worst, and ``"grpo"``, which draws
            aggregations while it trains and is rewarded for good ones; both need ``preferences``.
        preferences: for ``"dpo"`` and ``"grpo"``; see :class:`Preferences`.
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
        serve: Callable[[Path], dspy.BaseLM] | None = None,
        server: Serving | None = None,
        proposals: Proposals | None = None,
        references: References | None = None,
        objective: ObjectiveName = "aft",
        preferences: Preferences | None = None,
        training: Training | None = None,
        plain_share: float = 0.0,
        instructions: Sequence[str] = (),
        too_long: TooLong = "raise",
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
        for name, share in (("plain_share", plain_share), ("tolerated_failures", tolerated_failures)):
            real(name, share, "in [0, 1)", lambda value: 0 <= value < 1)
        if isinstance(instructions, str) or not all(isinstance(text, str) and text.strip() for text in instructions):
            raise ConfigurationError(
                f"instructions must be a list of texts that are not empty, but got instructions={instructions!r}"
            )
        whole("num_threads", num_threads)
        self.base, self.output = str(base), Path(output)
        self.serve, self.server = served_by(serve, server, self.base), server
        if proposals is None and server is not None:
            proposals = SampledProposals(server.lm(base), draws=5, keep=5)
        self.proposals, self.references = proposals or GivenProposals(), references or GoldReferences()
        self.objective, self.training = OBJECTIVES[objective], training or Training()
        self.preferences = None if self.objective.method == "sft" else preferences
        if self.preferences is not None:
            self.preferences.check(self.objective.method, self.training.batch_size, plain_share)
        self.plain_share, self.behind = plain_share, behind
        self.too_long: TooLong = too_long
        self.instructions = tuple(instructions)
        self.collected = Path(collected or output)
        self.tolerated_failures, self.num_threads = tolerated_failures, num_threads
        self.on_progress = on_progress or (lambda progress: None)
        self._warned = ""

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: list[dspy.Example],
        teacher: dspy.Module | None = None,
        valset: list[dspy.Example] | None = None,
        **unknown: Any,
    ) -> dspy.Module:
        """Trains, and returns a copy of the program with the trained model behind its fusor.

        The program itself stays as it is.

        Args:
            student: a module with one Fusion or ProposeAggregate in it.
            trainset: the examples.
            teacher: not used; part of DSPy's interface. The stronger model is that of ``references``.
            valset: not used.
            **unknown: none; anything else is refused.

        Returns:
            A program whose fusor writes the answer alone (``compare`` is off: the model learns no comparisons), with a
            :class:`FineTuningReport` as ``finetuning_report``. Its state names the trained model:
            saved and loaded, it answers the same, or says that the model is not there.
        """
        refuse_unknown("AggregationFineTuning.compile", unknown, ("student", "trainset"))
        compiled: Any = student.deepcopy()
        fusing_program(compiled).compare.value = False
        folder, source = self._checked(fusing_program(compiled), trainset)
        report = folder.train(source)
        model = Path(report.model)
        behind = {"everything": self.behind == "everything"}
        fusing_program(compiled).put_trained(self.serve(model), model, present_adapter(), **behind)
        compiled.finetuning_report = report
        return compiled

    def check(self, student: dspy.Module, examples: Sequence[dspy.Example]) -> None:
        """Raises ``ConfigurationError`` or ``MissingExtra`` for what can be known to fail before any model is asked."""
        folder, source = self._checked(fusing_program(student), examples)
        folder.load(source)

    def _checked(self, fusing: FusingProgram, examples: Sequence[dspy.Example]) -> tuple[TrainingFolder, RowSource]:
        folder = TrainingFolder(self.output, self.base, self.training, self.too_long, self.on_progress)
        gathering = Gathering(
            fusing,
            self.proposals,
            self.references,
            self.objective,
            self.collected,
            self.num_threads,
            self.tolerated_failures,
            self.on_progress,
            self.preferences,
        )
        if self.server is not None:
            self.server.check()
        check_free(self.output, self.base)
        gathering.check(examples)
        source = self._source(gathering, examples)
        few = folder.check(len({example_digest(example) for example in examples}), source.draws)
        if few and few != self._warned:
            logger.warning("%s", few)
            self._warned = few
        return folder, source

    def _source(self, gathering: Gathering, examples: Sequence[dspy.Example]) -> RowSource:
        digest = hashlib.sha256(json.dumps([example_digest(example) for example in examples]).encode()).hexdigest()[:16]
        about = {"plain_share": self.plain_share, **gathering.about(), "examples": digest}
        if self.instructions:
            about["instructions"] = hashlib.sha256(json.dumps(self.instructions).encode()).hexdigest()[:16]
        writer = RowWriter(gathering.fusing)

        def write(fitter: Fitter) -> Iterator[TrainingRow | None]:
            foresee(fitter, self.base, examples, gathering, writer)
            for place, material in enumerate(gathering.collect(examples)):
                yield self._row(place, material, writer, fitter)

        def counts() -> dict[str, int]:
            return {name: getattr(gathering, name) for name in ("failed", "merged", "unexplained", "unpaired")}

        method = self.objective.method
        wanted = self.preferences if method == "grpo" else None
        rewards = None if wanted is None else Rewards(gathering.fusing, wanted, examples)
        memory = memory_of(self.server)
        return RowSource(self.objective.name, about, write, counts, method, self.preferences, rewards, *memory)

    def _row(self, place: int, material: Material, writer: RowWriter, fitter: Fitter) -> TrainingRow | None:
        inputs, outputs = material.example.inputs().toDict(), material.outputs
        rng = random.Random(f"{self.training.seed} {example_digest(material.example)}")
        try:
            if material.shown and rng.random() >= self.plain_share:
                told = rng.choice((None, *self.instructions))
                return fitter.fit(place, material.shown, lambda shown: self._aggregating(writer, material, shown, told))
            return fitter.fit(place, (), lambda _: self._rewarded(writer.solving(inputs, outputs), material))
        except ConfigurationError as error:
            raise ConfigurationError(f"the row of example {place}: {error}") from error

    def _aggregating(
        self, writer: RowWriter, material: Material, shown: Sequence[Candidate], told: str | None
    ) -> TrainingRow:
        inputs = material.example.inputs().toDict()
        row = writer.aggregating(inputs, shown, material.outputs, told)
        if material.rejected is not None:
            row = replace(row, rejected=writer.aggregating(inputs, shown, material.rejected, told).completion)
        return self._rewarded(row, material)

    def _rewarded(self, row: TrainingRow, material: Material) -> TrainingRow:
        return replace(row, example=example_digest(material.example)) if self.objective.method == "grpo" else row


def _check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, but got {name}={value!r}")
