"""Created: the figures of `new_opportunities` under the name that the role boards use (F16)."""

from aggregators.kpi import DEAL_DIMENSIONS, Kpi, Text
from aggregators.kpis.new_opportunities import READINGS

CREATED = Kpi(
    name="created",
    version=1,
    title=Text("Opportunities created", "建立的商機"),
    definition=Text(
        "Opportunities created in the window, credited to the owner at creation: the same figures as "
        "new_opportunities. Their amount is that as of the instant.",
        "在期間內建立的商機,歸屬於建立時的負責人;與 new_opportunities 為相同數字。金額為截至查詢時點的金額。",
    ),
    dimensions=DEAL_DIMENSIONS,
    readings=READINGS,
)
