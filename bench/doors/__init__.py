"""Doors: the device side of real wires, through which clients in other processes reach a twin.

A door listens on a socket or a pseudo terminal, cuts what arrives into what its protocol calls a message,
hands it to a twin and sends the answer when it is due. It knows no instrument. All doors of one process live
in one asyncio loop and one thread, so that no two of them touch the plant at once.
"""
