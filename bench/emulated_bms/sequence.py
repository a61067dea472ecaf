"""Contactors: close with precharge, shed current before opening, never open above the break rating."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.emulated_bms.alarms import State
from bench.emulated_bms.board import CHARGE, MAIN_MINUS, MAIN_PLUS, PRECHARGE, PYRO

if TYPE_CHECKING:
    from bench.emulated_bms.bms import EmulatedBms

_CLOSING = frozenset(
    {
        "closing_minus",
        "rise_check",
        "precharging",
        "closing_plus",
        "ending_precharge",
        "closing_charge",
        "pause",
    }
)


class Sequence:
    """One tick of 10 ms moves it by at most one step.

    Attributes
    ----------
    step
        Where it is: open, closing_minus, rise_check, precharging, pause, closing_plus, ending_precharge,
        closing_charge, closed, opening. `steps` maps each to what it does.
    wanted
        State asked for: STANDBY, DRIVE or CHARGE.
    coil
        Commanded coils (5,), in the order of `board.SWITCHES`.
    tries
        Precharges of this closing so far.
    precharge_failed, welded_by_rise
        Findings, until a reset.
    """

    def __init__(self, bms: EmulatedBms) -> None:
        self._bms = bms
        self.coil = [False] * 5
        self.steps = {
            "open": self.run_open,
            "closing_minus": self.run_closing_minus,
            "rise_check": self.run_rise_check,
            "precharging": self.run_precharging,
            "pause": self.run_pause,
            "closing_plus": self.run_closing_plus,
            "ending_precharge": self.run_ending_precharge,
            "closing_charge": self.run_closing_charge,
            "closed": self.run_closed,
            "opening": self.run_opening,
        }
        self.forget()

    def forget(self) -> None:
        """As after power-up: every coil off."""
        self.coil[:] = [False] * 5
        self.step = "open"
        self.wanted = State.STANDBY
        self.timer_ms = 0
        self.shed_ms = 0
        self.charge_open_ms = 0
        self.tries = 0
        self.link_at_start_mv = 0
        self.precharge_failed = False

    def request(self, wanted: State) -> None:
        """A new request of the host. Closing starts only here, never by itself."""
        self.wanted = wanted

    def run(self) -> None:
        """One tick."""
        self.timer_ms += 10
        self.steps[self.step]()

    def state(self) -> State:
        """Operating state that goes with the contactors and the faults."""
        bms = self._bms
        if bms.locked:
            return State.LOCKED
        if self.step in _CLOSING:
            return State.PRECHARGE
        if self.step == "closed":
            if self.coil[CHARGE] or (self.wanted is State.CHARGE and not bms.discharge_blocked):
                return State.CHARGE if self.wanted is State.CHARGE else State.DRIVE
            return State.FAULT if bms.discharge_blocked else State.DRIVE
        return State.FAULT if bms.charge_blocked or bms.discharge_blocked else State.STANDBY

    def permitted(self, wanted: State) -> bool:
        """Whether the contactors may close for `wanted` now."""
        bms = self._bms
        if bms.locked or not bms.ready or not bms.readings.feedback.value[PYRO]:
            return False
        blocked = bms.discharge_blocked if wanted is State.DRIVE else bms.charge_blocked
        return not blocked

    def run_open(self) -> None:
        """All open; wait for a request that is permitted, drop one that is not."""
        if self.wanted is State.STANDBY:
            return
        if not self.permitted(self.wanted):
            self.wanted = State.STANDBY
            return
        self.tries = 0
        self._close_minus()

    def run_closing_minus(self) -> None:
        """Wait for the auxiliary contact of main_minus."""
        if self._aborted():
            return
        if self._feedback(MAIN_MINUS):
            self.link_at_start_mv = self._bms.readings.link_mv.value
            self._go("rise_check")

    def run_rise_check(self) -> None:
        """The bus must stay where it is until precharge closes: main_plus or precharge would be welded."""
        if self._aborted():
            return
        parameters = self._bms.parameters.sequence
        rise_mv = self._bms.readings.link_mv.value - self.link_at_start_mv
        if rise_mv * 1000 > self._bms.readings.pack_mv.value * parameters.rise_permille:
            jumped = rise_mv * 2 > self._bms.readings.pack_mv.value and self.timer_ms <= 60
            self._bms.diagnosis.not_opened = [MAIN_PLUS if jumped else PRECHARGE]
            self._bms.protections["contactor_weld"].check(10)
            self._open_all()
        elif self.timer_ms >= parameters.rise_check_ms:
            self._after_minus()

    def run_precharging(self) -> None:
        """Wait until the bus is near the pack voltage; give up a try after the timeout."""
        if self._aborted():
            return
        parameters, readings = self._bms.parameters.sequence, self._bms.readings
        pack_mv = readings.pack_mv.value
        gap_mv = abs(pack_mv - readings.link_mv.value)
        # 60 ms: the relay has closed, and the bus was sampled after that.
        if (
            self._feedback(PRECHARGE)
            and self.timer_ms >= 60
            and gap_mv * 1000 <= pack_mv * parameters.precharge_done_permille
        ):
            self.coil[MAIN_PLUS] = True
            self._go("closing_plus")
        elif self.timer_ms > parameters.precharge_timeout_ms:
            self.coil[PRECHARGE] = self.coil[MAIN_MINUS] = False
            if self.tries >= parameters.precharge_tries:
                self.precharge_failed = True
                self._open_all()
            else:
                self._go("pause")

    def run_pause(self) -> None:
        """Let the precharge resistor cool between tries."""
        if self._aborted():
            return
        if self.timer_ms >= self._bms.parameters.sequence.precharge_pause_ms:
            self._close_minus()

    def run_closing_plus(self) -> None:
        """Wait for main_plus, then release precharge."""
        if self._aborted():
            return
        if self._feedback(MAIN_PLUS):
            self.coil[PRECHARGE] = False
            self._go("ending_precharge")

    def run_ending_precharge(self) -> None:
        """Wait for precharge to open, then go on to the charge contactor or be done."""
        if self._aborted():
            return
        if not self._feedback(PRECHARGE):
            self._after_plus()

    def run_closing_charge(self) -> None:
        """Wait for the charge contactor."""
        if self._aborted():
            return
        if self._feedback(CHARGE):
            self._go("closed")

    def run_closed(self) -> None:
        """Open what is blocked or not wanted, after shedding current; close charge again after a release."""
        bms, coil = self._bms, self.coil
        self.charge_open_ms = 0 if coil[CHARGE] else self.charge_open_ms + 10
        drop_main = coil[MAIN_PLUS] and (bms.discharge_blocked > 0 or self.wanted is State.STANDBY)
        drop_charge = coil[CHARGE] and (bms.charge_blocked > 0 or self.wanted is not State.CHARGE)
        if drop_main or drop_charge:
            level = max(bms.discharge_blocked if drop_main else 0, bms.charge_blocked if drop_charge else 0)
            if self._may_open(level):
                self._open_paths(main=drop_main, charge=drop_charge)
            return
        self.shed_ms = 0
        if not (coil[MAIN_PLUS] or coil[CHARGE]):
            self._open_all()
        elif self.wanted is State.CHARGE and not coil[CHARGE] and self._may_reclose():
            coil[CHARGE] = True

    def run_opening(self) -> None:
        """main_minus follows, without load if the path contactors did their work."""
        released = not any(self._bms.readings.feedback.value[k] for k in (MAIN_PLUS, CHARGE, PRECHARGE))
        if not released and self.timer_ms < self._bms.parameters.sequence.minus_opens_after_ms:
            return
        if self._too_much_to_break():
            return
        self.coil[:4] = [False] * 4
        self._go("open")

    def _close_minus(self) -> None:
        self.coil[MAIN_MINUS] = True
        self._go("closing_minus")

    def _after_minus(self) -> None:
        if self._bms.discharge_blocked:
            # Charging a pack whose discharge path is blocked: the bus is left alone.
            self.coil[CHARGE] = True
            self._go("closing_charge")
            return
        self.coil[PRECHARGE] = True
        self.tries += 1
        self._go("precharging")

    def _after_plus(self) -> None:
        if self.wanted is State.CHARGE:
            self.coil[CHARGE] = True
            self._go("closing_charge")
        else:
            self._go("closed")

    def _aborted(self) -> bool:
        """While closing: give up when the request is gone or what it needs is blocked."""
        bus = self.coil[MAIN_PLUS] or self.coil[PRECHARGE]
        wanted = self.wanted is not State.STANDBY and self.permitted(self.wanted)
        if wanted and not (bus and self._bms.discharge_blocked):
            return False
        self._open_all()
        return True

    def _open_all(self) -> None:
        if self._too_much_to_break():
            return
        self.coil[MAIN_PLUS] = self.coil[PRECHARGE] = self.coil[CHARGE] = False
        self.wanted = State.STANDBY
        self.shed_ms = 0
        self._go("opening")

    def _open_paths(self, *, main: bool, charge: bool) -> None:
        if main:
            self.coil[MAIN_PLUS] = False
        if charge:
            self.coil[CHARGE] = False
        self.shed_ms = 0
        if not (self.coil[MAIN_PLUS] or self.coil[CHARGE]):
            self._open_all()

    def _may_open(self, level: int) -> bool:
        """Level 3 at once; below, when current is shed or the wait is over. Never above the break rating."""
        parameters = self._bms.parameters.sequence
        self.shed_ms += 10
        shed = abs(self._bms.readings.current_ma.value) < parameters.zero_current_ma
        if level < 3 and not shed and self.shed_ms <= parameters.zero_current_wait_ms:
            return False
        return not self._too_much_to_break()

    def _too_much_to_break(self) -> bool:
        """Above the break rating the pyro switch goes first; the contactors follow without current."""
        if abs(self._bms.readings.current_ma.value) <= self._bms.parameters.sequence.break_rating_ma:
            return False
        self.coil[PYRO] = True
        return True

    def _may_reclose(self) -> bool:
        return (
            not self._bms.charge_blocked and self.charge_open_ms >= self._bms.parameters.sequence.reclose_ms
        )

    def _feedback(self, switch: int) -> bool:
        return bool(self._bms.readings.feedback.value[switch])

    def _go(self, step: str) -> None:
        self.step = step
        self.timer_ms = 0
