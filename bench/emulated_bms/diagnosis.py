"""Plausibility of what is sensed: contactors against commands, sums, frozen inputs, a lost current sensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.emulated_bms.board import CHARGE, MAIN_MINUS, MAIN_PLUS, PRECHARGE

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

#: Accepted response of the pack to a current step, as resistance of a cell times its capacity [µΩ Ah]: from
#: a hot new cell to a cold old one. Project default.
_LEAST_RESPONSE, _MOST_RESPONSE = 12_000, 600_000


class Diagnosis:
    """Findings, each with the time it has lasted.

    Attributes
    ----------
    not_closed, not_opened
        Switch indices whose auxiliary contact disagrees with the command for longer than
        `feedback_timeout_ms`. A contact that says closed against an open command is taken as welded: that is
        the safe reading.
    frozen
        Cells whose count has not changed for a whole window.
    current_lost
        The current reading vanished and the cells did not recover.
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        self.mismatch_ms = [0, 0, 0, 0]
        self.forget()

    def forget(self) -> None:
        """As after power-up or a reset: everything is to be found again."""
        self.mismatch_ms[:] = [0, 0, 0, 0]
        self.not_closed: list[int] = []
        self.not_opened: list[int] = []
        self.frozen: list[int] = []
        self.frozen_ms = 0
        self._candidates: list[int] = []
        self._reference: list[int] = []
        self.current_lost = False
        self.response_known = False
        self._last_sum_mv = self._last_ma = 0
        self._suspect_ms = self._suspect_sum_mv = self._suspect_ma = 0

    def acknowledge(self) -> None:
        """A reset: what only a new test can confirm is to be found again; contacts are as they are."""
        self.frozen, self.frozen_ms, self._candidates = [], 0, []
        self.current_lost, self.response_known, self._suspect_ms = False, False, 0
        self._list_switches()

    def switches(self, step_ms: int) -> None:
        """Compare auxiliary contacts with commands."""
        feedback, coil = self._bms.readings.feedback.value, self._bms.sequence.coil
        if feedback[:4] == coil[:4] and not any(self.mismatch_ms):
            return
        for k in range(4):
            self.mismatch_ms[k] = 0 if feedback[k] == coil[k] else self.mismatch_ms[k] + step_ms
        self._list_switches()

    def current_on_open_path(self) -> int | None:
        """1 while current flows where no path is closed, or in a direction that is blocked."""
        bms = self._bms
        current = bms.readings.current_ma.value
        least = bms.parameters.diagnosis.open_path_ma
        if -least < current < least:
            return 0
        closed = bms.readings.feedback.value
        if not (closed[MAIN_MINUS] and (closed[MAIN_PLUS] or closed[PRECHARGE] or closed[CHARGE])):
            return 1
        flowing = bms.parameters.sequence.zero_current_ma
        if current > flowing and bms.charge_blocked:
            return 1
        return int(current < -flowing and bms.discharge_blocked > 0)

    def sum_of_cells(self) -> int | None:
        """|sum of cells - pack voltage| in 0.01 % of the pack voltage; None while a cell is not available."""
        seen, pack_mv = self._bms.seen, self._bms.readings.pack_mv.value
        if seen.lost_cells or not seen.sum_mv:
            return None
        return min(10_000, abs(seen.sum_mv - pack_mv) * 10_000 // max(pack_mv, 1000))

    def cells(self, step_ms: int) -> None:
        """After each sample of the cells."""
        self._watch_frozen(step_ms)
        self._watch_current(step_ms)

    def _list_switches(self) -> None:
        coil, timeout_ms = self._bms.sequence.coil, self._bms.parameters.sequence.feedback_timeout_ms
        late = [k for k in range(4) if self.mismatch_ms[k] > timeout_ms]
        self.not_closed = [k for k in late if coil[k]]
        self.not_opened = [k for k in late if not coil[k]]

    def _watch_frozen(self, step_ms: int) -> None:
        cell_mv, reference = self._bms.readings.cell_mv.value, self._reference
        if self._candidates:
            self._candidates = [k for k in self._candidates if cell_mv[k] == reference[k]]
        self.frozen_ms += step_ms
        if self.frozen_ms < self._bms.parameters.diagnosis.frozen_window_ms:
            return
        masked = self._bms.open_wire.masked
        self.frozen = [k for k in self._candidates if k not in masked]
        self.frozen_ms = 0
        self._reference = list(cell_mv)
        self._candidates = list(range(len(cell_mv)))

    def _watch_current(self, step_ms: int) -> None:
        """A large current that vanishes must let the cells recover, if this pack was seen to respond before.

        Cells that do not respond (an emulator in their place) or that moved without a current disarm the
        check.
        """
        seen, parameters = self._bms.seen, self._bms.parameters.diagnosis
        current = self._bms.readings.current_ma.value
        change_ma, change_mv = current - self._last_ma, seen.sum_mv - self._last_sum_mv
        self._last_ma, self._last_sum_mv = current, seen.sum_mv
        if self._bms.discharge_blocked or self._bms.charge_blocked or self._bms.sequence.step != "closed":
            # The current went because this BMS took it away.
            self.response_known, self._suspect_ms = False, 0
            return
        if self._suspect_ms:
            self._suspect_ms += step_ms
            if abs(current) > parameters.current_lost_ma or self._recovered():
                self._suspect_ms = 0
            elif self._suspect_ms > parameters.current_lost_ms:
                self.current_lost, self._suspect_ms = True, 0
            return
        if abs(change_ma) < parameters.current_step_ma:
            if abs(change_mv) > 8 * self._bms.cells:
                self.response_known = False
            return
        responds = _LEAST_RESPONSE <= self._response(change_mv, change_ma) <= _MOST_RESPONSE
        if self.response_known and not responds and abs(current) < parameters.current_lost_ma:
            self._suspect_ms = step_ms
            self._suspect_ma, self._suspect_sum_mv = change_ma, seen.sum_mv - change_mv
        else:
            self.response_known = responds

    def _recovered(self) -> bool:
        moved_mv = self._bms.seen.sum_mv - self._suspect_sum_mv
        return self._response(moved_mv, self._suspect_ma) >= _LEAST_RESPONSE

    def _response(self, change_mv: int, change_ma: int) -> int:
        """Resistance of a cell times capacity [µΩ Ah] that a pair of steps speaks of."""
        capacity_ah = self._bms.parameters.estimator.capacity_mah // 1000
        return change_mv * 1_000_000 * capacity_ah // (change_ma * self._bms.cells)
