"""Thoughts that a model writes before its answer, told from the answer.

Needed where the server has no reasoning parser, or is not told to use it.

Only what comes before the answer is a thought. A text that speaks of such tags keeps them: in code, in quotation marks,
in the middle of a sentence, or behind the beginning of the answer.
"""

from __future__ import annotations

import re
from collections.abc import Collection

_WORDS = ("think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "seed:think", "analysis")
_PAIRS = (
    *((rf"<{word}>", rf"</{word}>", word) for word in _WORDS),
    (r"\[THINK\]", r"\[/THINK\]", ""),  # Magistral
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>", ""),  # OpenThinker
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>", ""),  # Command A Reasoning
    (r"◁think▷", r"◁/think▷", ""),  # Kimi-VL
    (r"<unused94>(?:thought)?", r"<unused95>", ""),  # MedGemma
    (r"<\|channel>(?:thought)?", r"<channel\|>", ""),  # Gemma 4
)
"""What opens and closes thoughts, as the models' own templates have it, and the word in the tag."""

_MARK = re.compile(r"[<◁]|\[/?THINK\]", re.IGNORECASE)  # one of which every such tag holds
_CHANNEL = re.compile(
    r"(?:<\|start\|>)?(?:assistant)?<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>\s*\w+\s*)?<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call)\|>")
_ANSWER_TAGS = re.compile(
    r"^\s*(?:<\|begin_of_solution\|>|<\|START_RESPONSE\|>)(.*?)(?:<\|end_of_solution\|>|<\|END_RESPONSE\|>)?\s*$",
    re.DOTALL,
)
_PROTOCOL = re.compile(r"\[\[ ## \w|```|[{\[]|<\w")
_SENTENCE_ENDS = ".!?…:;)]}\"'”»*\u3002\uff01\uff1f"


def split_thoughts(text: str, fields: Collection[str] = (), *, is_cut_off: bool = False) -> tuple[str, str]:
    """The thoughts before an answer and the answer; without thoughts the text is returned as it is.

    Args:
        text: what the model wrote.
        fields: names whose tags belong to the answer's own form, such as ``reasoning`` under an XML adapter.
        is_cut_off: whether it ended at the token limit; a thought that was not closed then ran to it.
    """
    if not _MARK.search(text):
        return "", text
    if "<|channel|>" in text[:200]:
        return _split_channels(text)
    thoughts, rest = [], text
    pairs = [(opening, closing) for opening, closing, word in _PAIRS if word not in fields]
    while (parts := _split_once(rest, pairs, is_cut_off)) is not None:
        thoughts.append(parts[0].strip())
        rest = parts[1]
    inner, rest = _split_fields(rest, pairs, fields)
    thoughts += inner
    if not thoughts:
        return "", text
    if framed := _ANSWER_TAGS.match(rest):
        rest = framed[1]
    return "\n\n".join(filter(None, thoughts)) or " ", rest.lstrip("\r\n") if rest.strip() else ""


def _split_fields(text: str, pairs: list[tuple[str, str]], fields: Collection[str]) -> tuple[list[str], str]:
    """Takes off thoughts at the very beginning of a field's value, behind what an adapter marks the field with."""
    names = "|".join(map(re.escape, fields))
    marks = rf"\[\[ ## (?:{names}) ## \]\]|<(?:{names})>|\"(?:{names})\"\s*:\s*\""
    thoughts: list[str] = []
    for opening, closing in pairs if names else ():

        def taken(match: re.Match[str]) -> str:
            thoughts.append(match["thought"].strip())
            return match["mark"]

        pattern = rf"(?P<mark>(?:{marks})\s*){opening}(?P<thought>.*?){closing}(?:\\n|\s)*"
        text = re.sub(pattern, taken, text, flags=re.IGNORECASE | re.DOTALL)
    return thoughts, text


def _split_once(text: str, pairs: list[tuple[str, str]], is_cut_off: bool) -> tuple[str, str] | None:
    for opening, closing in pairs:
        if begun := re.match(rf"\s*{opening}", text, re.IGNORECASE):
            return _split_opened(text, begun.end(), opening, closing, is_cut_off)
    for opening, closing in pairs:
        if (parts := _split_unopened(text, opening, closing)) is not None:
            return parts
    return None


def _split_opened(text: str, begin: int, opening: str, closing: str, is_cut_off: bool) -> tuple[str, str] | None:
    depth, last = 1, None
    for tag in re.finditer(rf"(?P<opens>{opening})|{closing}", text[begin:], re.IGNORECASE):
        depth += 1 if tag["opens"] else -1
        if not tag["opens"]:
            last = tag
        if depth == 0:
            break
    if last is not None:  # where an inner one was left open, the last closing tag ends them all
        return text[begin : begin + last.start()], text[begin + last.end() :]
    inner = text[begin:]
    if is_cut_off:
        return inner, ""
    if re.match(r" +\S", inner) or _starts_answer(inner):
        return None  # a sentence about the tag, or a thought that was not closed before an answer in its form
    return inner, ""


def _starts_answer(text: str) -> bool:
    return re.search(r"^\s*\[\[ ## \w+ ## \]\]", text, re.MULTILINE) is not None


def _split_unopened(text: str, opening: str, closing: str) -> tuple[str, str] | None:
    """Splits behind the first closing tag that nothing opened, where it stands as one that ends thoughts does."""
    depth = 0
    for tag in re.finditer(rf"(?P<opens>{opening})|{closing}", text, re.IGNORECASE):
        depth += 1 if tag["opens"] else -1
        if depth < 0:
            before, after = text[: tag.start()], text[tag.end() :]
            return (before, after) if _ends_thoughts(before, after) else None
    return None


def _ends_thoughts(before: str, after: str) -> bool:
    if not after.strip():
        return before.endswith("\n")
    if _PROTOCOL.match(before.lstrip()) and not _PROTOCOL.match(after.lstrip()):
        return False  # the answer has begun, in a form of its own
    if before.count("```") % 2 or before.rpartition("\n")[2].count("`") % 2:
        return False
    if before[-1:] in "\"'“«(/" and before:
        return False
    if not before.strip() or before[-1] == "\n" or after[0] == "\n" or _PROTOCOL.match(after.lstrip()):
        return True
    if before[-1].isspace():
        return before.rstrip()[-1] in _SENTENCE_ENDS
    return after[0] not in ".,;:!?)\"'”»"


def _split_channels(text: str) -> tuple[str, str]:
    """As gpt-oss marks its channels: the answer is what stands in ``final``."""
    thoughts, answer = [], []
    heads = list(_CHANNEL.finditer(text))
    if not heads or text[: heads[0].start()].strip():
        return "", text
    for place, head in enumerate(heads):
        end = heads[place + 1].start() if place + 1 < len(heads) else len(text)
        body = _CHANNEL_END.split(text[head.end() : end])[0]
        (answer if head[1] == "final" else thoughts).append(body.strip())
    return "\n\n".join(thoughts) or " ", "\n".join(answer)
