"""DSPy programs that make one answer from many candidates, the optimizers that tune them, and what measures them.

Everything a program needs is a name of this package, loaded when it is first asked for. Other libraries than DSPy come
with extras; the error of a name whose extra is not installed says which one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .lazy_face import lazy_names

if TYPE_CHECKING:
    from .experiments import (
        ComparisonResult as ComparisonResult,
        DiagnosisResult as DiagnosisResult,
        compare as compare,
        diagnose as diagnose,
        genai_scorer as genai_scorer,
        tune as tune,
    )
    from .optimizers import (
        Budget as Budget,
        BudgetSpent as BudgetSpent,
        InstructionProposer as InstructionProposer,
        MetricError as MetricError,
        OptunaTuner as OptunaTuner,
        TuningReport as TuningReport,
    )
    from .optimizers.finetuning import (
        AggregationFineTuning as AggregationFineTuning,
        FineTuningReport as FineTuningReport,
        FusorReferences as FusorReferences,
        GivenProposals as GivenProposals,
        GoldReferences as GoldReferences,
        Lora as Lora,
        Preferences as Preferences,
        SampledProposals as SampledProposals,
        Training as Training,
    )
    from .programs import (
        Abstained as Abstained,
        BankError as BankError,
        BestOfN as BestOfN,
        BudgetedEvaluate as BudgetedEvaluate,
        Candidate as Candidate,
        CandidateBank as CandidateBank,
        CodeAgreement as CodeAgreement,
        CodeLimits as CodeLimits,
        CodeTests as CodeTests,
        ConfigurationError as ConfigurationError,
        Fusion as Fusion,
        FusionError as FusionError,
        FusorFailed as FusorFailed,
        GenSelect as GenSelect,
        Hyperparameter as Hyperparameter,
        JudgePanel as JudgePanel,
        Likelihood as Likelihood,
        LimitReached as LimitReached,
        LMJudge as LMJudge,
        MissingExtra as MissingExtra,
        MissingKey as MissingKey,
        PairVerdict as PairVerdict,
        PairwiseJudge as PairwiseJudge,
        PairwiseTournament as PairwiseTournament,
        PanelAgreement as PanelAgreement,
        PlainAdapter as PlainAdapter,
        Pool as Pool,
        PooledPrediction as PooledPrediction,
        ProposeAggregate as ProposeAggregate,
        QuorumNotMet as QuorumNotMet,
        RecordError as RecordError,
        RewardFunction as RewardFunction,
        RewardModel as RewardModel,
        Scorer as Scorer,
        ScorerError as ScorerError,
        Scores as Scores,
        Stopping as Stopping,
        UniversalSelfConsistency as UniversalSelfConsistency,
        UnknownOption as UnknownOption,
        UnreadableVerdict as UnreadableVerdict,
        Usage as Usage,
        Vote as Vote,
        calibrate as calibrate,
        candidate_text as candidate_text,
        fusor_signature as fusor_signature,
        judge_signature as judge_signature,
        limited as limited,
        panel_agreement as panel_agreement,
        task_signature as task_signature,
    )
    from .serving import (
        ModelCatalogue as ModelCatalogue,
        ModelEntry as ModelEntry,
        ModelServer as ModelServer,
        checkpoint_lm as checkpoint_lm,
        embedded_lm as embedded_lm,
        load_models as load_models,
        load_program as load_program,
        local_lm as local_lm,
        save_program as save_program,
        vllm_lm as vllm_lm,
    )

    __version__: str
else:
    _load, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".programs": (
                "Abstained",
                "BankError",
                "BestOfN",
                "BudgetedEvaluate",
                "Candidate",
                "CandidateBank",
                "CodeLimits",
                "CodeAgreement",
                "CodeTests",
                "ConfigurationError",
                "Fusion",
                "FusionError",
                "FusorFailed",
                "GenSelect",
                "Hyperparameter",
                "JudgePanel",
                "LMJudge",
                "Likelihood",
                "LimitReached",
                "MissingExtra",
                "MissingKey",
                "PairVerdict",
                "PairwiseJudge",
                "PairwiseTournament",
                "PanelAgreement",
                "PlainAdapter",
                "Pool",
                "PooledPrediction",
                "ProposeAggregate",
                "QuorumNotMet",
                "RecordError",
                "RewardFunction",
                "RewardModel",
                "Scorer",
                "ScorerError",
                "Scores",
                "Stopping",
                "UniversalSelfConsistency",
                "UnknownOption",
                "UnreadableVerdict",
                "Usage",
                "Vote",
                "calibrate",
                "candidate_text",
                "fusor_signature",
                "judge_signature",
                "limited",
                "panel_agreement",
                "task_signature",
            ),
            ".experiments": (
                "ComparisonResult",
                "DiagnosisResult",
                "compare",
                "diagnose",
                "genai_scorer",
                "tune",
            ),
            ".optimizers": (
                "Budget",
                "BudgetSpent",
                "InstructionProposer",
                "MetricError",
                "OptunaTuner",
                "TuningReport",
            ),
            ".optimizers.finetuning": (
                "AggregationFineTuning",
                "FineTuningReport",
                "FusorReferences",
                "GivenProposals",
                "GoldReferences",
                "Lora",
                "Preferences",
                "SampledProposals",
                "Training",
            ),
            ".serving": (
                "ModelCatalogue",
                "ModelEntry",
                "embedded_lm",
                "ModelServer",
                "checkpoint_lm",
                "vllm_lm",
                "local_lm",
                "load_models",
                "load_program",
                "save_program",
            ),
        },
    )

    def __getattr__(name: str) -> Any:
        if name != "__version__":
            return _load(name)
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("dspy-fusion")
        except PackageNotFoundError as error:  # its source is on the path
            raise AttributeError("dspy-fusion is not installed, so it has no version: pip install -e .") from error
