"""What a configuration means for stored state and frozen figures."""

from typing import Any

import pytest

from aggregators.meaning import Meaning

PLAIN = Meaning()


@pytest.mark.parametrize("change", [{"name": "Joy's Toys"}, {"office_hours": "08:00-17:00"}])
def test_what_no_figure_depends_on_leaves_stored_facts_and_frozen_figures_as_they_are(
    change: dict[str, Any],
) -> None:
    renamed = Meaning(company=PLAIN.company.model_copy(update=change))
    assert renamed.digest == PLAIN.digest


@pytest.mark.parametrize(
    "change",
    [{"timezone": "Asia/Taipei"}, {"currency": "TWD"}, {"sales_roles": ("ae",)}, {"calendar": "4-4-5"}],
)
def test_every_other_setting_of_the_company_makes_another_digest(change: dict[str, Any]) -> None:
    assert Meaning(company=PLAIN.company.model_copy(update=change)).digest != PLAIN.digest


def test_a_threshold_makes_another_digest() -> None:
    assert Meaning(kpis=PLAIN.kpis.model_copy(update={"renewal_grace_days": 31})).digest != PLAIN.digest
