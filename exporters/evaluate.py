"""Answering questions from the merged snapshot: by the fast road where there is one, else by the exact one."""

from collections.abc import Mapping, Sequence
from typing import Final

from aggregators.answer import answer as exact_answer
from aggregators.company import Company
from aggregators.kpi import Figure
from aggregators.kpis import find_kpi
from aggregators.people import People
from aggregators.question import Question, Row, Window
from aggregators.tables.answer import Known, is_fast
from aggregators.tables.answer import answer as fast_answer
from aggregators.tables.answer import figures as fast_figures
from exporters.snapshot import Snapshot

Labels = tuple[str, ...]

_MOST_KNOWN: Final = 1_000
"""A refresh asks about 200 readings, windows and splits."""


class Evaluator:
    """Answers from a snapshot, on the thread that owns it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._known: Known = {}

    @property
    def company(self) -> Company:
        """The company as the exact road sees it: its deals come from tables and packed statements."""
        company = self.snapshot.company
        company.tabled = self.snapshot.tabled
        return company

    def answer(self, question: Question) -> list[Row]:
        """The rows of an answer. Raises UsageError for a question that cannot be asked."""
        company = self.company
        if is_fast(find_kpi(question.kpi)):
            return fast_answer(self.snapshot.deals, company, question)
        return exact_answer(company, question)

    def figures(self, question: Question, reading: str) -> dict[Window, Mapping[Labels, Figure]]:
        """One reading of an answer of the fast road, by window and group; raises UsageError as `answer`."""
        if len(self._known) > _MOST_KNOWN:  # those of days that are over, among others
            self._known.clear()
        return dict(fast_figures(self.snapshot.deals, self.company, question, reading, self._known))

    def answers(self, questions: Sequence[Question]) -> list[Row]:
        """The rows of several answers, one after the other."""
        return [row for question in questions for row in self.answer(question)]

    @property
    def people(self) -> People:
        """The employees, as they are known now."""
        company = self.snapshot.company
        return company.derived(People, lambda: People(company), "employee")
