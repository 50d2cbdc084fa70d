"""Accounts: merged ones as aliases of their survivors, and parents."""

from collections.abc import Callable

from aggregators.company import Company, Entity


class Accounts:
    """Which account is meant by an id."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._into = company.each("merged into", lambda account: account.merged_into or None, "account")
        self._by_parent = company.meaning.kpis.customer_level == "parent"

    def survivor(self, account_id: str | None) -> str | None:
        """The account that is meant by an id: followed through merges, a cycle being its smallest id."""
        return None if account_id is None else _last(account_id, self._into.get)

    def find(self, account_id: str | None) -> Entity | None:
        """The living account that is meant by an id; None if it is deleted or was never told of."""
        survivor = self.survivor(account_id)
        account = None if survivor is None else self._company.find("account", survivor)
        return account if account and account.statements and not _deleted(account) else None

    def customer(self, account_id: str | None) -> str | None:
        """The customer an account belongs to: itself, or with `customer_level` parent the top (F35)."""
        survivor = self.survivor(account_id)
        if survivor is None or not self._by_parent:
            return survivor
        return _last(survivor, self._parent)

    def _parent(self, account_id: str) -> str | None:
        account = self.find(account_id)
        return self.survivor(account.newest("parent_id")) if account else None


def _deleted(account: Entity) -> bool:
    # The survivor of a cycle of merges is itself merged away, and yet the account that is meant.
    return not account.alive and account.merged_into is None


def _last(start: str, follow: Callable[[str], str | None]) -> str:
    """The end of a chain of ids; of a chain that runs into a cycle, the smallest id of the cycle."""
    path: list[str] = []
    following: str | None = start
    while following is not None:
        if following in path:
            return min(path[path.index(following) :])
        path.append(following)
        following = follow(following)
    return path[-1]
