"""The comparison of ``compare.toml`` from Python."""

from two_steps import ADAPTER, fused, share_of_lines, two_steps, vote

from dspy_fusion import compare

if __name__ == "__main__":
    programs = {"two steps": two_steps(), "vote of 3": vote(), "fusion of 3": fused()}
    result = compare(
        programs, "worksheets.csv", share_of_lines, inputs=["worksheet"], output="answers", adapter=ADAPTER
    )
    print(result)  # noqa: T201 (what the example is for)
