"""The embedded models' tokenizer: bytes, single digits, and whole phrases of the worksheet language as one token each.

Known instructions are one token, so a fusor's prompt stays short; any other text is spelled out in bytes and is read
all the same.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

BEGIN, USER, ASSISTANT, END = "<|begin|>", "<|user|>", "<|assistant|>", "<|end|>"
_SPECIALS = (BEGIN, USER, ASSISTANT, END)
_PHRASES = (*(f"({label}) " for label in "abcdef"), " + ", " - ", " x ", " = ", "\n\nResponse ", ":\n")


def build_tokenizer(known_texts: tuple[str, ...]) -> Tokenizer:
    """A byte-level tokenizer in which each of ``known_texts`` is a single token.

    Its ids depend on the order of ``known_texts``; a trained model must be used with the tokenizer it was trained with.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in _SPECIALS])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in (*_PHRASES, *known_texts)])
    return tokenizer


class ChatTokenizer:
    """Turns a system and a user text into token ids, and ids back into text.

    Control tokens written out inside a text are read as plain text, so no candidate can end a prompt.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.tokenizer.encode_special_tokens = True
        self.vocabulary_size = tokenizer.get_vocab_size()
        self.begin, self.user, self.assistant, self.end = (self._control(text) for text in _SPECIALS)

    @classmethod
    def from_json(cls, text: str) -> ChatTokenizer:
        """Reads what ``tokenizer.to_str()`` wrote."""
        return cls(Tokenizer.from_str(text))

    @classmethod
    def from_file(cls, path: Path) -> ChatTokenizer:
        """Loads a ``tokenizer.json``."""
        return cls(Tokenizer.from_file(str(path)))

    def _control(self, text: str) -> int:
        number = self.tokenizer.token_to_id(text)
        if number is None:
            from dspy_fusion.programs.errors import ConfigurationError  # with DSPy, which a model's process never needs

            raise ConfigurationError(
                f"this tokenizer has no control token {text!r}; use the tokenizer.json that belongs to the weights"
            )
        return number

    def encode(self, text: str) -> list[int]:
        """The ids of a plain text."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def prompt(self, system: str, user: str) -> list[int]:
        """The ids of a whole prompt, up to and including the token after which the model answers."""
        return [self.begin, *self.encode(system), self.user, *self.encode(user), self.assistant]

    def decode(self, ids: list[int]) -> str:
        """The text of ids, control tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)
