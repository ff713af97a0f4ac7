"""`heimdall top` on a terminal: draws sheets with textual, and checks several times a second for a new picture.

It never asks a cluster: a separate thread keeps the feed, so a hung broker never blocks a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar, Protocol

from rich.cells import cell_len
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Input, Static, Tab, Tabs

from asgard.core.pages.parts import Cell, Column, Table
from asgard.heimdall import words
from asgard.heimdall.top import sheets
from asgard.heimdall.top.sheets import VIEWS, Sheet, SortOrder, TopSnapshot, View

POLL_S = 0.25
_APART = "\0"
STYLES = {"good": "green", "bad": "bold red", "warn": "yellow", "info": "cyan", "plain": ""}


class Feed(Protocol):
    """What was seen last: None before the first look. `problem`: why the last look failed; empty if it did not."""

    @property
    def known(self) -> TopSnapshot | None: ...

    @property
    def problem(self) -> str: ...


class Rows(DataTable[Text]):  # type: ignore[misc]
    """The table with the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "Open")]


class Top(App[None]):  # type: ignore[misc]
    """See the module."""

    TITLE = "asgard heimdall top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #heading { padding: 0 1; height: auto; max-height: 7; }
    #table { height: 1fr; min-height: 6; }
    #others { height: auto; max-height: 50%; padding: 0 1; }
    #state { padding: 0 1; height: auto; max-height: 3; }
    #filter { display: none; } #filter.shown { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n + 1), f"view('{view}')", view.capitalize(), show=False) for n, view in enumerate(VIEWS)),
        Binding("tab", "next", "Next view", priority=True),
        Binding("s", "sort(1)", "Sort by"),
        Binding("S", "sort(-1)", "Sort by the column before", show=False),
        Binding("r", "reverse", "Reverse"),
        Binding("slash", "filter", "Filter"),
        Binding("escape", "back", "Back"),
        Binding("space", "hold", "Hold"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, feed: Feed, name: str) -> None:
        super().__init__()
        self.feed = feed
        self.cluster = name
        self.view: View = "cluster"
        self.opened: list[str] = []
        """Addresses of what was opened, one inside the other."""
        self.orders: dict[str, SortOrder] = {}
        self.wanted = ""
        self.held = False
        self._drawn: object = None
        self._shown: TopSnapshot | None = None
        self._sheet: Sheet | None = None

    def compose(self) -> ComposeResult:
        yield Tabs(*(Tab(f"{n + 1} {view.capitalize()}", id=view) for n, view in enumerate(VIEWS)))
        yield Static(id="heading", markup=False)
        yield Input(placeholder="words that a row must have", id="filter")
        yield Rows(id="table", cursor_type="row", zebra_stripes=True)
        with VerticalScroll(id="others", can_focus=False):
            yield Static(id="more", markup=False)
        yield Static(id="state", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        self.query_one(DataTable).focus()
        self.set_interval(POLL_S, self._look)
        self._look()

    # Keys -------------------------------------------------------------------------------------------------------

    def action_view(self, view: View) -> None:
        self.query_one(Tabs).active = view

    def action_next(self) -> None:
        self.query_one(Tabs).active = VIEWS[(VIEWS.index(self.view) + 1) % len(VIEWS)]

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        if event.tab.id != self.view or self.opened:
            self.view, self.opened = next(v for v in VIEWS if v == event.tab.id), []
            self._filter_by("")
        self.query_one(DataTable).focus()
        self._draw()

    def action_sort(self, by: int) -> None:
        """Sort by the next column: figures from the largest, names from the first."""
        if self._sheet is not None:
            columns = self._sheet.table.columns
            order = self.orders.get(self._where, SortOrder())
            at = (-1 if by > 0 else 0) if order.column is None else order.column
            self._order(SortOrder((at + by) % len(columns), columns[(at + by) % len(columns)].number))

    def action_reverse(self) -> None:
        order = self.orders.get(self._where, SortOrder())
        self._order(SortOrder(order.column or 0, not order.descending))

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a column's head sorts by it, a second one in reverse."""
        order = self.orders.get(self._where, SortOrder())
        number = self._sheet is not None and self._sheet.table.columns[event.column_index].number
        self._order(
            SortOrder(event.column_index, not order.descending if order.column == event.column_index else number)
        )

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.add_class("shown")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.wanted = event.value
        self._draw()

    def on_input_submitted(self) -> None:
        self.query_one(DataTable).focus()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter, or a click: the topic or group of the row."""
        address = (event.row_key.value or "").partition(_APART)[0]
        if address and address != self._where:
            self.opened.append(address)
            self._filter_by("")
            self._draw()

    def action_back(self) -> None:
        """Leave the filter, else what was opened."""
        if self.wanted or self.query_one(Input).has_class("shown"):
            self._filter_by("")
        elif self.opened:
            self.opened.pop()
        self._draw()

    def action_hold(self) -> None:
        self.held = not self.held
        self._draw()

    # Drawing ----------------------------------------------------------------------------------------------------

    @property
    def _where(self) -> str:
        return self.opened[-1] if self.opened else self.view

    def _order(self, order: SortOrder) -> None:
        self.orders[self._where] = order
        self._draw()

    def _filter_by(self, text: str) -> None:
        field = self.query_one(Input)
        field.value = self.wanted = text
        if not text:
            field.remove_class("shown")
            self.query_one(DataTable).focus()

    def _look(self) -> None:
        seen = (None if self.feed.known is None else self.feed.known.picture, self.feed.problem)
        if seen != self._drawn and not self.held:
            self._drawn = seen
            self._draw()

    def _draw(self) -> None:
        if not self.held or self._shown is None:
            self._shown = self.feed.known
        self.query_one("#state", Static).update(self._state())
        if self._shown is None:
            self.query_one("#heading", Static).update(Text(f"{self.cluster}: the first look is under way …"))
            return
        order = self.orders.get(self._where, SortOrder())
        found = sheets.about(self._shown, self.opened[-1], order, self.wanted) if self.opened else None
        if found is None:  # it was a view, or what was opened is gone
            self.opened = []
            found = sheets.sheet(self._shown, self.view, self.orders.get(self.view, SortOrder()), self.wanted)
        self._sheet = found
        heading = Text(found.title, style=STYLES.get(found.tone, "") or "bold")
        heading.append("".join(f"\n{line}" for line in found.lines), style="not bold default")
        self.query_one("#heading", Static).update(heading)
        _fill(self.query_one(DataTable), found.table, self.orders.get(self._where, SortOrder()))
        self.query_one("#more", Static).update(Text("\n\n").join(map(_plain, found.more)))
        self.query_one("#others").display = bool(found.more)

    def _state(self) -> Text:
        known, text = self._shown, Text()
        if known is not None:
            picture = known.picture
            at = datetime.fromtimestamp(picture.at, UTC).strftime("%H:%M:%S")
            text.append(f"{picture.cluster} at {at} UTC, looked at in {words.duration(picture.seconds)}", style="dim")
            if self.held:
                text.append("  held: space goes on", style=STYLES["warn"])
            told = [f"{what}: {why}" for what, why in picture.problems.items()]
            if told:
                more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
                text.append(f"\nnot reached: {told[0]}{more}", style=STYLES["warn"])
        if self.feed.problem:
            text.append(f"\n{self.feed.problem}", style=STYLES["bad"])
        return text


def _fill(table: DataTable[Text], content: Table, order: SortOrder) -> None:
    """Put rows in; the cursor stays on its row if that is still there."""
    at, rows = table.cursor_row, list(content.rows)
    key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value if table.row_count else None
    scrolled = table.scroll_y
    table.clear(columns=True)
    keys = [f"{sheets.address_of(row)}{_APART}{_first(row)}" for row in rows]
    drawn = [[_cell(c, h) for c, h in zip(row, content.columns, strict=True)] for row in rows]
    for n, column in enumerate(content.columns):
        head = _head(column, order if order.column == n else None)
        width = max([cell_len(head.plain), *(cell_len(cells[n].plain) for cells in drawn)])
        table.add_column(head, key=str(n), width=width if rows else None)
    for cells, key_of_row in zip(drawn, keys, strict=True):
        table.add_row(*cells, key=key_of_row)
    if not rows:
        table.add_row(Text(content.empty, style="dim"), *(Text() for _ in content.columns[1:]), key=_APART)
    table.move_cursor(row=keys.index(key) if key in keys else min(at, max(len(rows) - 1, 0)), animate=False)
    table.scroll_to(y=scrolled, animate=False)


def _head(column: Column, order: SortOrder | None) -> Text:
    arrow = "" if order is None else " ↓" if order.descending else " ↑"
    return Text(column.name + arrow, justify="right" if column.number else "left")


def _cell(cell: str | Cell, column: Column) -> Text:
    justify = "right" if column.number else "left"
    if isinstance(cell, str):
        return Text(cell, justify=justify)  # type: ignore[arg-type]
    return Text(cell.text, style=STYLES[cell.tone], justify=justify)  # type: ignore[arg-type]


def _first(row: Sequence[str | Cell]) -> str:
    return row[0].text if isinstance(row[0], Cell) else row[0]


def _plain(table: Table) -> Text:
    """A table as text: one shown below the table with the cursor."""
    rows = [[_cell(c, h) for c, h in zip(row, table.columns, strict=True)] for row in table.rows[:20]]
    widths = (
        [max(len(h.name), *(len(r[n].plain) for r in rows), 1) for n, h in enumerate(table.columns)] if rows else []
    )
    out = Text(table.caption, style="bold")
    if not rows:
        return out.append(f": {table.empty}", style="not bold dim")
    heads = (h.name.rjust(w) if h.number else h.name.ljust(w) for h, w in zip(table.columns, widths, strict=True))
    out.append("\n" + "  ".join(heads), style="not bold dim")
    for row in rows:
        out.append("\n")
        for n, (cell, head) in enumerate(zip(row, table.columns, strict=True)):
            padded = cell.plain.rjust(widths[n]) if head.number else cell.plain.ljust(widths[n])
            out.append(padded + "  ", style=f"not bold {cell.style}".strip())
    return out
