"""How the boards look: colours that everybody tells apart (Okabe-Ito), units, words for states."""

from typing import Final

from exporters.dashboards.panel import States, Unit, Words

GOOD: Final = "#56B4E9"
WARNING: Final = "#E69F00"
BAD: Final = "#D55E00"
NEUTRAL: Final = "#999999"
SERIES: Final = {
    "blue": GOOD,
    "orange": WARNING,
    "vermilion": BAD,
    "green": "#009E73",
    "yellow": "#F0E442",
    "deep blue": "#0072B2",
    "purple": "#CC79A7",
    "grey": NEUTRAL,
}
"""Colours by name; a series keeps its colour on every board."""

_MONEY: Final = frozenset({"AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "INR", "ISK",
                           "JPY", "KRW", "MYR", "NOK", "PHP", "PLN", "RUB", "SEK", "SGD", "THB", "TRY", "UAH",
                           "USD", "VND", "ZAR"})  # fmt: skip
_SIGNS: Final = {"TWD": "NT$", "NZD": "NZ$", "MXN": "MX$", "ILS": "₪"}

NO_SAMPLE: Final = Words("no sample", "無樣本")
FRESH: Final = States(
    Words("● up to date", "● 最新"), Words("▲ late", "▲ 延遲"), Words("▼ STALE", "▼ 資料過期")
)
WHOLE: Final = States(
    Words("● complete", "● 完整"), Words("▲ incomplete", "▲ 不完整"), Words("▼ gaps", "▼ 缺漏")
)
ON_PACE: Final = States(
    Words("● on pace", "● 符合進度"), Words("▲ behind", "▲ 稍落後"), Words("▼ far behind", "▼ 大幅落後")
)
COVERED: Final = States(
    Words("● covered", "● 足夠"), Words("▲ thin", "▲ 偏低"), Words("▼ too little", "▼ 不足")
)


def unit_of(unit: Unit, *, lang: str, currency: str) -> str:
    """The unit as Grafana knows it."""
    return {
        "money": f"currency{currency}"
        if currency in _MONEY
        else f"currency:{_SIGNS.get(currency, currency + ' ')}",
        "ratio": "percentunit",
        "days": "suffix:天" if lang == "zh-TW" else "suffix:days",
        "count": "short",
        "seconds": "s",
        "bytes": "bytes",
        "instant": "dateTimeFromNow",
        "factor": "suffix:倍" if lang == "zh-TW" else "suffix:x",
        "state": "short",
    }[unit]


def decimals_of(unit: Unit) -> int:
    """Decimals shown."""
    return {"ratio": 1, "days": 1, "factor": 1, "seconds": 1}.get(unit, 0)
