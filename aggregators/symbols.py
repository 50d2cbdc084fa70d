"""Texts that repeat (ids, names, stages) as small numbers, one table per shard."""

from collections.abc import Sequence


class Symbols(dict[str, int]):
    """Text -> code, given out in the order of first use. The empty text, a cleared field, is 0."""

    def __init__(self) -> None:
        super().__init__({"": 0})
        self.texts: list[str] = [""]

    def __missing__(self, text: str) -> int:
        code = self[text] = len(self.texts)
        self.texts.append(text)
        return code

    def since(self, code: int) -> list[str]:
        """The texts from `code` on: what a chunk carries of the table."""
        return self.texts[code:]

    def extend(self, start: int, texts: Sequence[str]) -> None:
        """Take over the texts that another table gave the codes from `start` on.

        Raises ValueError when they do not continue, or contradict, what is known.
        """
        known = len(self.texts) - start
        if known < 0:
            raise ValueError(f"symbols from {start} on do not continue a table of {len(self.texts)}")
        if self.texts[start : start + len(texts)] != list(texts[:known]):
            raise ValueError(f"symbols from {start} on contradict the table")
        for text in texts[known:]:
            self[text] = len(self.texts)
            self.texts.append(text)
