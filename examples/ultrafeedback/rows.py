"""UltraFeedback's prompts with its models' answers, as ``dspy-fusion finetune`` takes them.

``python rows.py OUT.jsonl`` writes them: a line has the prompt, four models' answers as ``proposals``, the judge's
``scores`` of them, and as ``response`` the best of them. With a second argument, a local file of the data set's rows
(.jsonl) is read instead of the hub.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

HUB = "openbmb/UltraFeedback"


def rows(data: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows that have at least two answers with scores that differ in something."""
    for item in data:
        answers = [
            (str(one["response"]).strip(), float(one["overall_score"]))
            for one in item["completions"]
            if str(one.get("response") or "").strip() and one.get("overall_score") is not None
        ]
        if len({text for text, _ in answers}) >= 2:
            best, _ = max(answers, key=lambda answer: answer[1])
            texts, scores = zip(*answers, strict=True)
            yield {
                "prompt": item["instruction"],
                "response": best,
                "proposals": list(texts),
                "scores": list(scores),
            }


def main(out: Path, local: Path | None = None) -> int:
    """Writes the file and returns how many rows it has."""
    if local is None:
        from datasets import load_dataset

        data: Iterable[Any] = load_dataset(HUB, split="train", streaming=True)
    else:
        data = (json.loads(line) for line in local.read_text(encoding="utf-8").splitlines())
    count = 0
    with out.open("w", encoding="utf-8") as file:
        for row in rows(data):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


if __name__ == "__main__":
    sys.stdout.write(f"{main(*(Path(argument) for argument in sys.argv[1:3]))} rows\n")
