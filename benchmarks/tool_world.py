"""What a fusor gains by seeing how agents came to their answers: ``python -m benchmarks.tool_world``.

A small world without any network: a shop whose one tool, ``page``, returns an item's page of a catalogue, with the
price somewhere in it. Questions ask what four items cost together. Five ``dspy.ReAct`` agents answer; they, the fusor
and the reader of look-ups are rules behind a model's interface, which know what stands in their prompts: agents
forget an item (and guess its price), look at another one, or add up wrongly, each with a chance; the fusor takes the
most frequent answer, or where it sees the prices of all items adds them up. So this measures which evidence reaches a
fusor and what that costs, and not what a language model makes of it. Tokens are a quarter of the characters.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from typing import Any

import dspy
from dspy.lm15 import Message, Response, TextPart, Usage
from dspy.signatures.signature import make_signature

from dspy_fusion.optimizers.bootstrap import of_mean
from dspy_fusion.programs import Fusion, PooledPrediction, Vote

_COLORS, _THINGS = "red blue green white black".split(), "lamp chair table shelf clock mirror basket vase".split()
_PRICES = {f"{color} {thing}": 3 + 7 * i for i, (color, thing) in enumerate((c, t) for c in _COLORS for t in _THINGS)}
_WORDS = "sturdy light quiet modern plain round small wide warm soft".split()
_FORGETS, _MISTAKES, _MISCOUNTS = 0.45, 0.25, 0.35
_CALL = re.compile(r'page\(\{\\*"item\\*": \\*"([a-z ]+)\\*"\}\)')


def page(item: str) -> str:
    """The catalogue's page of an item."""
    rng = random.Random(item)
    about = [" ".join(rng.choices(_WORDS, k=60)) for _ in range(2)]
    return f"{about[0]}. The {item} costs {_PRICES[item]} euros. {about[1]}." if item in _PRICES else "no such item"


class Rules:
    """An engine that answers by rules from the text of a request."""

    def complete(self, request: Any) -> Response:
        """An answer in the format of ``dspy.ChatAdapter``."""
        prompt = "\n".join(part.text for part in request.messages[-1].parts)
        system = str(request.system)
        rng = random.Random(f"{request.config.seed} {_question(prompt)}")
        if "## look_ups ## ]]" in system:
            fields = {"look_ups": json.dumps(_wanted(prompt))}
        elif "## candidates ## ]]" in prompt:
            fields = {"comparison": "by the evidence", "answer": _fused(prompt)}
        elif "## next_tool_name ## ]]" in system:
            fields = _step(prompt, rng)
        else:
            fields = {"reasoning": "added up", "answer": str(_added(prompt, rng))}
        text = "\n\n".join(f"[[ ## {name} ## ]]\n{value}" for name, value in {**fields, "completed": ""}.items())
        tokens = (len(system) + len(prompt)) // 4, len(text) // 4
        usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1], total_tokens=sum(tokens))
        message = Message.assistant([TextPart(text)])
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)

    def close(self) -> None:
        """Nothing is open."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Rules:
        return self


def main() -> None:
    """Prints a line per way of fusing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=60, help="how many (default: 60)")
    count = parser.parse_args().questions
    rng = random.Random(0)
    orders = [rng.sample(sorted(_PRICES), 4) for _ in range(count)]
    agent = dspy.ReAct(make_signature("question -> answer"), tools=[page], max_iters=6)
    ways: dict[str, dspy.Module] = {
        "one agent": Vote(agent, n=1),
        "vote of 5": Vote(agent, n=5),
        "fusion of 5 answers": Fusion(agent, n=5),
        "fusion of 5 trajectories, 4000 tokens": Fusion(agent, n=5, trajectories=4000),
        "fusion of 5 trajectories, 600 tokens": Fusion(agent, n=5, trajectories=600),
        "fusion of 5 trajectories, 600 tokens, 1 look-up": Fusion(agent, n=5, trajectories=600, look_ups=1),
        "fusion of 5 trajectories, 600 tokens, 2 look-ups": Fusion(agent, n=5, trajectories=600, look_ups=2),
    }
    print(
        f"{count} questions about four items; right answers, and tokens beyond the candidates' in rollouts of one agent"
    )
    rollout = 0.0
    with dspy.context(lm=dspy.LM("rules/agent", engine=Rules(), cache=False, num_retries=0), trace=None):
        for name, program in ways.items():
            rights, beyond = [], []
            for items in orders:
                prediction = program(question=f"What do these cost together: {', '.join(items)}?")
                rights.append(float(prediction.answer == str(sum(map(_PRICES.__getitem__, items)))))
                beyond.append(_tokens(prediction, "fusor"))
                rollout = rollout or _tokens(prediction, "candidates")
            score = of_mean(rights)
            print(
                f"  {name:50s} {100 * score.mean:5.1f} % [{100 * score.low:.1f}, {100 * score.high:.1f}]"
                f"  {sum(beyond) / len(beyond) / rollout:5.2f}",
                flush=True,
            )


def _tokens(prediction: dspy.Prediction, role: str) -> float:
    pool = prediction.pool if isinstance(prediction, PooledPrediction) else None
    usage = pool.usage.get(role) if pool else None
    return 0.0 if usage is None else float(usage.tokens_in + usage.tokens_out)


def _question(prompt: str) -> str:
    return prompt.partition("## question ## ]]")[2].partition("?")[0]


def _items(prompt: str) -> list[str]:
    return [item.strip() for item in _question(prompt).partition(":")[2].split(",")]


def _step(prompt: str, rng: random.Random) -> dict[str, str]:
    """Looks the next item up; a forgetful agent leaves the last one out, a careless one looks at another."""
    items = _items(prompt)
    forgets, mistaken, place = rng.random() < _FORGETS, rng.random() < _MISTAKES, rng.randrange(len(items))
    if mistaken:
        items[place] = rng.choice(sorted(_PRICES))
    if forgets:
        items.pop(rng.randrange(len(items)))
    done = len(set(re.findall(r"## tool_name_(\d+) ## ]]", prompt)))
    if done >= len(items):
        return {"next_thought": "all looked up", "next_tool_name": "finish", "next_tool_args": "{}"}
    call = {"next_tool_name": "page", "next_tool_args": json.dumps({"item": items[done]})}
    return {"next_thought": f"the price of item {done + 1}", **call}


def _added(prompt: str, rng: random.Random) -> int:
    """The sum of what was seen, with a guess for what was not, and a mistake now and then."""
    seen = {item: int(price) for item, price in re.findall(r"The ([a-z ]+) costs (\d+) euros", prompt)}
    total = sum(seen.values()) + sum(rng.randint(5, 200) for _ in range(4 - len(seen)))
    return total + (rng.choice((-10, -1, 1, 10)) if rng.random() < _MISCOUNTS else 0)


def _evidence(prompt: str) -> dict[str, int]:
    return {item: int(price) for item, price in re.findall(r"The ([a-z ]+) costs (\d+) euros", prompt)}


def _fused(prompt: str) -> str:
    """The sum of the prices where all of them are seen, else the most frequent answer."""
    prices = _evidence(prompt)
    if all(item in prices for item in _items(prompt)):
        return str(sum(prices[item] for item in _items(prompt)))
    shown = json.loads(
        prompt.partition("## candidates ## ]]\n")[2].partition("\n\nRespond")[0].partition("\n\n[[ ##")[0]
    )
    answers = Counter(re.match(r"\d+", text)[0] for text in shown if re.match(r"\d+", text))  # type: ignore[index]
    return answers.most_common(1)[0][0]


def _wanted(prompt: str) -> list[dict[str, Any]]:
    """Which steps to read: of each item without a price, one call of it that a candidate made."""
    shown = json.loads(
        prompt.partition("## candidates ## ]]\n")[2].partition("\n\nRespond")[0].partition("\n\n[[ ##")[0]
    )
    wanted: dict[str, dict[str, Any]] = {}
    for number, text in enumerate(shown, start=1):
        for item in _CALL.findall(text):
            if item in _items(prompt) and item not in _evidence(prompt):
                wanted.setdefault(item, {"candidate": number, "words": f"the {item} costs"})
    return list(wanted.values())


if __name__ == "__main__":
    main()
