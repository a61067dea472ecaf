"""The menu of a PSB 10000 in SCPI: analog interface, network, and what else leaves the terminal as it is.

Commands and words: Michaelis33-BS/PSB-10000, src/ea_psb10000/subsystems (system, analog, communications).
Project defaults: every value that is set when the unit comes, and that words are answered as they are sent.
The network cannot be set up from here; no module is in the slot.
"""

from __future__ import annotations

from instruments.scpi import Command
from instruments.scpi_parameters import Boolean, Choice, Number, Text

_ON_OFF = Choice(("ENABLE", "DISABLE"), "DISABLE")
_CONFIG, _LAN = "SYSTem:CONFig", "SYSTem:COMMunicate:LAN"

#: What the network answers; the address is the one that these units come with in public examples.
NETWORK = {
    "ADDRess": "192.168.0.2",
    "SMASk": "255.255.255.0",
    "GATeway": "192.168.0.1",
    "CONTrol": "5025",
    "MAC": "00:50:C2:C3:00:01",
    "DNS1": "0.0.0.0",  # noqa: S104  (an answer, and nothing that is bound to)
    "DNS2": "0.0.0.0",  # noqa: S104
}

COMMANDS = (
    Command(f"{_CONFIG}:CONTroller:SPEed", "controller", (Choice(("SLOW", "NORM", "FAST"), "NORM"),)),
    Command(f"{_CONFIG}:SEMIF47", "semi_f47", (_ON_OFF,)),
    Command(f"{_CONFIG}:ANALog:REFerence", "analog_v", (Choice(("5", "10"), "10"),)),
    Command(
        f"{_CONFIG}:ANALog:MONitor",
        "analog_monitor",
        (Choice(("DEFAULT", "EL", "PS", "ELPS", "PSEL", "COMBINATION"), "DEFAULT"),),
    ),
    Command(f"{_CONFIG}:ANALog:REMSb:LEVel", "remsb_level", (Choice(("NORMAL", "INVERTED"), "NORMAL"),)),
    Command(f"{_CONFIG}:ANALog:REMSb:ACTion", "remsb_action", (Choice(("OFF", "AUTO"), "OFF"),)),
    Command(f"{_CONFIG}:ANALog:PIN6", "pin6", (Choice(("OT", "PF", "ALL"), "ALL"),)),
    Command(
        f"{_CONFIG}:ANALog:PIN14",
        "pin14",
        (Choice(("OVP", "OCP", "OPP", "OVP/OCP", "OVP/OPP", "OCP/OPP", "ALL"), "OVP"),),
    ),
    Command(f"{_CONFIG}:ANALog:PIN15", "pin15", (Choice(("CONT", "POW"), "CONT"),)),
    Command("SYSTem:COMMunicate:TIME", "serial_ms", (Number("ms", 5, 65_535, 5, integer=True),)),
    Command("SYSTem:COMMunicate:PROTocol:MODBus", "modbus", (Choice(_ON_OFF.words, "ENABLE"),)),
    Command("SYSTem:COMMunicate:INTerface:CODe", query="module"),
    Command(f"{_LAN}:INDex", "lan", (Number("", 1, 2, 2, integer=True),)),
    Command(f"{_LAN}:DHCP", "dhcp", (Boolean(),)),
    Command(f"{_LAN}:KEEPalive", "keep_alive", (Boolean(),)),
    Command(f"{_LAN}:TIME", "lan_s", (Number("s", 0, 65_535, 5, integer=True),)),
    Command(f"{_LAN}:HOSTname", "host", (Text("client"),)),
    Command(f"{_LAN}:DOMain", "domain", (Text("workgroup"),)),
    *(Command(f"{_LAN}:{name}", query="network", bound=(name,)) for name in NETWORK),
)
