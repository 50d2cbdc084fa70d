"""The simulation: one company's life as a stream of event records, the same for the same seed.

    simulation = Simulation(SAULS_DOLLS, seed=7, reps=12, quarters=5, end_ms=end)
    past = simulation.history()          # the last five quarters and the running one, as told
    future = simulation.live(rate=2.0)   # goes on from there, without an end

Nothing here reads a clock: instants are arguments, and `told_ms` says when to publish a record.
"""

from collections.abc import Iterator
from random import Random

from .accounts import Accounts
from .agenda import Agenda
from .companies import COMPANIES, Company
from .contracts import Contracts
from .days import DAY_MS, day_start, local_day, quarter_start
from .money import Rates
from .opportunities import Opportunities
from .outbox import Outbox, Record
from .plans import Plans
from .staff import Staff

_RECENT_MS = 28 * DAY_MS


class Simulation:
    """A company from the start of its first quarter on.

    `end_ms` (ms since 2000-01-01 UTC) is where the history ends and the live part begins; the first
    quarter starts `quarters` whole quarters before the one that `end_ms` lies in. Of a company that
    dries up, new opportunities begin to cease at `dry_from_ms` (default: 60 days before the end).
    `mess` adds late, doubled, overtaken and badly keyed records, `poison` a few that are no events.
    """

    def __init__(
        self,
        company: Company,
        *,
        seed: int = 7,
        reps: int = 12,
        quarters: int = 5,
        end_ms: int,
        dry_from_ms: int | None = None,
        mess: bool = True,
        poison: bool = False,
    ) -> None:
        self.company, self.end_ms = company, end_ms
        self.start_ms = day_start(quarter_start(local_day(end_ms), later=-quarters))
        random = Random(f"{company.slug} {seed}")
        self._agenda = agenda = Agenda(self.start_ms)
        self._outbox = outbox = Outbox(company.slug, seed, mess=mess, poison=poison)
        if company.dries_up and dry_from_ms is None:
            dry_from_ms = end_ms - 60 * DAY_MS
        Rates(agenda=agenda, outbox=outbox, random=Random(random.random()))
        staff = Staff(company, reps, agenda=agenda, outbox=outbox, random=Random(random.random()))
        Plans(company, agenda=agenda, outbox=outbox, staff=staff, random=Random(random.random()))
        accounts = Accounts(agenda=agenda, outbox=outbox, staff=staff, random=Random(random.random()))
        deals = Opportunities(
            company,
            agenda=agenda,
            outbox=outbox,
            staff=staff,
            accounts=accounts,
            random=Random(random.random()),
            dry_from_ms=dry_from_ms,
        )
        contracts = Contracts(
            company,
            agenda=agenda,
            outbox=outbox,
            staff=staff,
            accounts=accounts,
            random=Random(random.random()),
            open_renewal=deals.open_renewal,
        )
        deals.start(contracts)
        self._recent = 0
        self._told_until_ms = self.start_ms - 1

    def history(self) -> Iterator[Record]:
        """What was told up to `end_ms`, in the order of telling."""
        for record in self.until(self.end_ms):
            if record.told_ms > self.end_ms - _RECENT_MS:
                self._recent += 1
            yield record

    def live(self, *, rate: float | None = None) -> Iterator[Record]:
        """What is told after the history, without an end; plays the history silently if need be.

        With a `rate` (records a second) deals move so much faster that about as many are told; else
        life goes on at the pace of the history.
        """
        for _ in self.history():
            pass
        if rate is not None:
            natural = max(self._recent, 28) / (_RECENT_MS / 1000)
            self._agenda.quicken(max(1e-6, rate / natural), from_ms=self.end_ms)
        while True:
            yield from self.until(max(self._told_until_ms + 1, self._agenda.next_ms()))

    def until(self, instant_ms: int) -> Iterator[Record]:
        """What is told up to an instant and was not yet given, in the order of telling."""
        agenda, outbox = self._agenda, self._outbox
        while (due_ms := agenda.next_ms()) <= instant_ms:
            # Nothing that is still to happen before `due_ms` is told before it.
            yield from outbox.due(due_ms - 1)
            agenda.step()
        yield from outbox.due(instant_ms)
        self._told_until_ms = max(self._told_until_ms, instant_ms)


def history(
    company: str, *, seed: int = 7, reps: int = 12, quarters: int = 5, end_ms: int
) -> Iterator[Record]:
    """The last quarters of a company (`sauls-dolls` or `joys-toys`) up to an instant, as told."""
    return Simulation(COMPANIES[company], seed=seed, reps=reps, quarters=quarters, end_ms=end_ms).history()


def live(
    company: str,
    *,
    seed: int = 7,
    reps: int = 12,
    quarters: int = 5,
    end_ms: int,
    rate: float | None = None,
) -> Iterator[Record]:
    """What goes on after the same company's `history`, without an end."""
    simulation = Simulation(COMPANIES[company], seed=seed, reps=reps, quarters=quarters, end_ms=end_ms)
    return simulation.live(rate=rate)
