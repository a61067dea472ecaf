"""Where each quantity lives in the arrays that the kernel works on.

The kernel takes few arrays, because each one costs about 0.1 µs per call to unwrap. Rows and slots have
names here; every other module of the plant uses the names.
"""

from __future__ import annotations

SWITCHES = ("main_minus", "main_plus", "precharge", "charge", "pyro")
MAIN_MINUS, MAIN_PLUS, PRECHARGE, CHARGE, PYRO = range(5)

# Rows of `switch`, bool (5, switches)
COIL, FEEDBACK, CLOSED, ARMATURE, WELDED = range(5)
SWITCH_ROWS = 5

# A *group* is what a BMS calls a cell: one place in the series string, with its taps. It holds one cell, or
# several in parallel. Columns of `cell` go group by group: the cells of group g are g * n .. g * n + n - 1.

# Rows of `group_flag`, bool (3, groups). OPENED: a connected channel whose relay has let go of the taps.
BLEED, CONNECTED, OPENED = range(3)
GROUP_FLAG_ROWS = 3

# Rows of `cell`, float64 (rows, cells of all groups)
(
    CAPACITY_C,  # charge of one full cell [C]
    R_FACTOR,  # spread and ageing, multiplies every resistance
    SOC,
    HYSTERESIS,  # -1 discharge branch .. +1 charge branch
    U1,  # voltage over each RC pair [V], positive after charging
    U2,
    U3,
    TEMPERATURE,  # [°C]
    HEAT_J,  # heat since the last thermal step [J]
    R0,  # at the present SOC and temperature [ohm]
    R1,
    R2,
    R3,
    TAU1,  # [s]
    TAU2,
    TAU3,
    DECAY1,  # exp(-h / tau) of the step length in STEP_S
    DECAY2,
    DECAY3,
    LINEAR1_A,  # current at which each pair leaves Ohm's law; 0: never
    LINEAR2_A,
    LINEAR3_A,
    V_PER_K,  # entropic coefficient at the present SOC
    AT_KELVIN,  # where in the tables the cell was last found
    AT_SOC,
    EMF,  # open-circuit voltage + u1 + u2 + u3 [V]
    BONDED,  # 1: joined to its group; 0: its bond or fuse is open
    SHARE,  # of the group's current that flows through this cell ...
    CIRCULATING_A,  # ... and what flows through it besides [A], positive when it charges
    MOVED_C,  # charge since the last thermal step [C]
    SHORT_S,  # conductance across the electrodes: what was put there ...
    SEPARATOR_S,  # ... and what the melting separator lets through [S]
    LEAK_A,  # self-discharge at 25 °C [A]
    PLATED_C,  # lithium on the anode that can still strip [C]
    LOST_C,  # lithium that is lost for good [C]; the capacity is less by it
    SEI,  # of what can react exothermally: shares that are left
    ANODE,
    HEATER_W,  # of a heater on this cell alone
) = range(38)
CELL_ROWS = 38

# Rows of `group`, float64 (rows, groups)
(
    GROUP_EMF,  # the group as one source behind one resistance [V], [ohm]
    GROUP_OHM,
    CELL_V,  # between the taps [V]
    AFE_V,  # at the inputs of the front end [V]
    SENSE_A,  # what sensing and bleeding take out of the group [A]
    CHANNEL_SET_V,  # cell emulator: set voltage [V]
    CHANNEL_V,  # cell emulator: at its terminals [V]
    CHANNEL_A,  # cell emulator: out of the channel [A]
    BLEED_A,  # through the bleed resistor [A]
    JOINT_OHM,  # what its upper joint has more than a sound one; inside the sensed loop
) = range(10)
GROUP_ROWS = 10

# Rows of `tap`, float64 (rows, cells + 1)
TAP_P, TAP_X, TAP_G, TAP_C, TAP_D = range(
    5
)  # source potential, solution, conductance, two of the elimination
TAP_ROWS = 5

# Rows of `sensor`, float64 (rows, sensors)
SENSOR_CELL, SENSOR_DEGC, SENSOR_OHM, SENSOR_V, SENSOR_SET_V = range(5)
SENSOR_ROWS = 5

# Slots of `state`: first what the plant writes before each call, ...
(
    IN_FAN,
    IN_HEATER,
    IN_OPEN_WIRE,
    IN_THRESHOLD_A,
    IN_DELAY_S,
    IN_RESET,
    IN_CHARGER_ON,
    IN_CHARGER_V,
    IN_CHARGER_A,
    IN_REGEN_ON,
    IN_REGEN_V,
    IN_REGEN_A,
    IN_LOAD_ON,
    IN_LOAD_A,
    IN_LOAD_SLEW,
    IN_AMBIENT_DEGC,
    IN_SUPPLY_V,
) = range(17)
INPUTS = 17

# ... then what it reads after each call, in the order in which plant.py unpacks it, ...
(
    OUT_BOARD_DEGC,
    OUT_SHUNT_A,
    OUT_SHUNT_MEAN_A,
    OUT_PACK_V,
    OUT_LINK_V,
    OUT_CHARGER_V,
    OUT_HVIL,
    OUT_SUPPLY_V,
    OUT_FAN_RPM,
    OUT_TRIPPED,
    OUT_TRIP_S,
    OUT_CHARGER_A,
    OUT_REGEN_V,
    OUT_REGEN_A,
    OUT_LOAD_A,
    OUT_CURRENT_A,
    OUT_HEATER_ON,
    OUT_CAPTURE,
) = range(INPUTS, INPUTS + 18)
OUTPUTS = 18

# ... then what only the kernel keeps.
(
    MAIN_A,  # stack to link bus [A]
    LINK_V,
    CHARGER_LIMIT_A,  # current limits, behind the lag of the sources [A]
    REGEN_LIMIT_A,
    CHARGER_V,
    CHARGER_A,
    REGEN_A,
    LOAD_LIMIT_A,
    LOAD_A,
    STEP_S,  # step length that DECAY1 and DECAY2 belong to
    SLOW_S,  # time since the last thermal step
    FAN_RPM,
    COOLANT_DEGC,  # at the inlet of the cold plate
    BOARD_DEGC,
    PYRO_S,  # time since the pyro switch was fired; -1: not fired
    ABOVE,  # comparator: 1 while above its threshold
    ABOVE_S,  # time since the crossing
    TRIPPED,
    TRIP_S,
    CAPTURE,  # 0 idle, 1 armed, 2 recording, 3 ready
    CAPTURE_LEVEL_A,
    CAPTURE_T0_S,
    CAPTURE_PERIOD_S,
    CAPTURE_COUNT,
    PEAK_A,  # largest magnitude of the stack current so far
    SQUARE_A2S,  # integral of its square so far
    PRECHARGE_DEGC,
    PRECHARGE_J,
    ARC_J,
    CHARGER_J,  # out of the charger, out of the regen source, into the load
    REGEN_J,
    LOAD_J,
    CIRCUIT_J,  # lost in harness, contactors, precharge resistor, short, bus leakage
    CELL_HEAT_J,
    CHEMICAL_J,  # into the cells at their mean open-circuit voltage
    PAIRS_J,  # by which the energy in the RC pairs is less than they took in, because their capacitance moved
    DECOMPOSITION_J,  # heat of exothermal reactions, which is not electrical
    BLEED_J,
    CHARGE_C,  # through the shunt, positive when it charges
    TICK_C,  # the same within this call
    CELLS_OHM,  # of the stack, now
    CELLS_EMF_V,
    SPLIT,  # 1: currents inside the groups have to be worked out
    POLARISES_PER_S,  # how fast a held voltage would let the quickest cell polarise, over its R0
    CONTACT_S,  # five: time that coil and armature have disagreed
) = range(INPUTS + OUTPUTS, INPUTS + OUTPUTS + 45)
DAMAGED = CONTACT_S + 5  # five: openings above the break rating

# Scratch of the circuit: how it is connected now, ...
(
    LOOP,  # 1: stack and link bus are connected
    ON_STACK,  # 1: the charger feeds the stack
    ON_BUS,  # 1: the charger feeds the bus past the open stack; both have their other pole on HV-
    BRANCH_OHM,  # stack plus to bus
    RESISTOR_SHARE,  # of the branch current that flows through the precharge resistor
    SHARED_OHM,  # what stack current and charger current share
    CHARGER_AIM_A,  # where the limits are heading
    REGEN_AIM_A,
    LOAD_AIM_A,
    # ... and the step that is tried.
    TRY_I,  # at the end: branch current, bus voltage, the three limits
    TRY_V,
    TRY_CHARGER_A,
    TRY_REGEN_A,
    TRY_LOAD_A,
    TRY_START_I,
    TRY_MEAN_I,
    TRY_MEAN_V,
    CHARGER_P,  # lines of the three: p and q
    CHARGER_Q,
    REGEN_P,
    REGEN_Q,
    LOAD_P,
    LOAD_Q,
) = range(DAMAGED + 5, DAMAGED + 5 + 23)
STATE_SIZE = DAMAGED + 5 + 23

# Slots of `constant`, fixed at construction
(
    K_STACK_OHM,  # interconnects of the stack
    K_SHARED_OHM,  # shunt, pyro, main_minus and their bars
    K_CONTACT_OHM,
    K_PRECHARGE_OHM,
    K_PRECHARGE_J_PER_K,
    K_PRECHARGE_W_PER_K,
    K_INDUCTANCE_H,
    K_BUS_F,
    K_BUS_LEAK_OHM,
    K_SHORT_OHM,
    K_SOURCE_OHM,
    K_SOURCE_LAG_S,
    K_LOAD_KNEE_V,
    K_CLOSING_S,
    K_OPENING_S,
    K_BREAK_A,
    K_PYRO_S,
    K_BLEED_OHM,
    K_WIRE_OHM,
    K_CHANNEL_OHM,
    K_SUPPLY_DROPOUT_V,  # below it, coils, fan and heater have no power
    K_FAN_RPM,
    K_FAN_LAG_S,
    K_HEATER_W,
    K_BOARD_K_PER_W,
    K_BOARD_LAG_S,
    K_SENSOR_LAG_S,
    K_NTC_R25,
    K_NTC_BETA,
    K_NTC_PULLUP,
    K_NTC_REFERENCE,
    K_HEAT_CAPACITY,
    K_NEIGHBOUR_W,
    K_AMBIENT_W,
    K_FAN_W,
    K_PLATE_W,  # cell to cold plate; 0: no plate
    K_COOLANT_W,  # heat that the coolant carries at full flow [W/K]
    K_COOLANT_J,
    K_RADIATOR_W,
    K_OVER_V,
    K_UNDER_V,
    K_HYSTERESIS_RATE,
    K_PAIRS,  # number of RC pairs
    K_PLATING_A,  # charge current above which a cell plates, at 25 °C and low SOC
    K_COLLAPSED_OHM,  # across the electrodes, when the separator is gone
) = range(45)
CONSTANTS = 45

# Rows of `axis`, float64 (rows, longest axis): what the cell file gives over one axis alone. The first seven
# over the temperatures of `ohm`, the logarithm where the Arrhenius law holds; the last two over its SOC.
AXIS_PER_KELVIN, AXIS_LOG_TAU1, AXIS_LOG_TAU2, AXIS_LOG_TAU3 = range(4)
AXIS_LOG_LINEAR1_A, AXIS_LOG_LINEAR2_A, AXIS_LOG_LINEAR3_A = range(4, 7)
AXIS_SOC, AXIS_V_PER_K = range(7, 9)
AXIS_ROWS = 9

# Slots of `fault`, bool: per tap, per tap, per sensor (three times), then the single ones
(
    F_HVIL_OPEN,
    F_SUPPLY_OPEN,
    F_SHORT_CIRCUIT,
    F_INSULATION_POSITIVE_30K,
    F_INSULATION_NEGATIVE_30K,
    F_INSULATION_POSITIVE_5K,
    F_INSULATION_NEGATIVE_5K,
    F_PRECHARGE_OPEN,
    F_FAN_STOPPED,
    F_HEATER_STUCK,
    F_CURRENT_SENSOR_OPEN,
    F_WELD,  # four: main_minus, main_plus, precharge, charge
) = range(12)
F_FEEDBACK_OPEN = F_WELD + 4  # five
F_FEEDBACK_CLOSED = F_FEEDBACK_OPEN + 5  # five
SINGLE_FAULTS = F_FEEDBACK_CLOSED + 5
#: Single faults come first, so that their slots do not depend on the pack; then the taps, then the sensors.
F_TAPS = SINGLE_FAULTS
