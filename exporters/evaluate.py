"""Answering questions from the merged snapshot: by the fast road where there is one, else by the exact one."""

from collections.abc import Sequence

from aggregators.answer import answer as exact_answer
from aggregators.company import Company
from aggregators.kpis import find_kpi
from aggregators.people import People
from aggregators.question import Question, Row
from aggregators.tables.answer import answer as fast_answer
from aggregators.tables.answer import is_fast
from exporters.snapshot import Snapshot


class Evaluator:
    """Answers from a snapshot, on the thread that owns it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

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

    def answers(self, questions: Sequence[Question]) -> list[Row]:
        """The rows of several answers, one after the other."""
        return [row for question in questions for row in self.answer(question)]

    @property
    def people(self) -> People:
        """The employees, as they are known now."""
        company = self.snapshot.company
        return company.derived(People, lambda: People(company), "employee")
