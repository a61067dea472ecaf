"""How fast the plant steps: µs per tick of 10 ms, and how many times faster than real time that is.

    python benchmarks/plant_speed.py

Measured with the Python wrapper, as a station pays for it. The best of five rounds is printed, so that
another process on the machine does not count.
"""

from __future__ import annotations

from timeit import default_timer, repeat

from bench.plant import Plant, PlantSpec

TICK_S = 0.01


def driving(cells: int) -> Plant:
    """A pack under load, its bus settled."""
    plant = Plant(PlantSpec(cells=cells, sensor_cells=tuple(range(0, cells, max(1, cells // 8)))))
    plant.port.coil[[0, 1]] = True
    load = plant.terminal("load")
    load.enabled, load.current_a = True, 100.0
    plant.step(1.0)
    return plant


def balancing(cells: int) -> Plant:
    """As `driving`, with every other cell bleeding."""
    plant = driving(cells)
    plant.port.bleed[::2] = True
    return plant


def shorted(cells: int) -> Plant:
    """A pack in a short circuit that nothing ends: the kernel steps every 20 µs."""
    plant = driving(cells)
    plant.terminal("faults").set("short_circuit", True)
    return plant


def paralleled(cells: int) -> Plant:
    """As `driving`, with two cells in each group."""
    plant = Plant(PlantSpec(cells=cells, parallel=2, resistance_spread=0.05))
    plant.port.coil[[0, 1]] = True
    load = plant.terminal("load")
    load.enabled, load.current_a = True, 100.0
    plant.step(1.0)
    return plant


def main() -> None:
    print(f"{'cells':>6} {'case':<10} {'µs per tick':>12} {'x real time':>12}")
    for cells in (24, 32, 240):
        for case, rounds in ((driving, 2000), (balancing, 2000), (paralleled, 2000), (shorted, 50)):
            plant = case(cells)
            best_s = min(repeat(lambda plant=plant: plant.step(TICK_S), number=rounds, repeat=5)) / rounds
            print(f"{cells:>6} {case.__name__:<10} {best_s * 1e6:>12.1f} {TICK_S / best_s:>12.0f}")
        start_s = default_timer()
        Plant(PlantSpec(cells=cells))
        print(f"{cells:>6} {'construct':<10} {(default_timer() - start_s) * 1e6:>12.0f}")


if __name__ == "__main__":
    main()
