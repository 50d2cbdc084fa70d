"""All boards, in both languages, as files below monitoring/grafana."""

from collections.abc import Iterator
from typing import Final

from exporters.dashboards import engine, executive, floor, manager, rep
from exporters.dashboards.render import Setting, board_text

BOARDS: Final = (executive.BOARD, manager.BOARD, rep.BOARD, floor.BOARD, engine.BOARD)
LANGUAGES: Final = ("en", "zh-TW")


def board_files(setting: Setting) -> Iterator[tuple[str, str]]:
    """Path below `monitoring/grafana/dashboards` and text of every board."""
    titles = {board.name: board.title for board in BOARDS}
    for lang in LANGUAGES:
        for board in BOARDS:
            yield f"{lang}/{board.name}.json", board_text(board, lang, setting, titles)
