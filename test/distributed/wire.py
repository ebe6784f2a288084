"""A wire between two network namespaces: what one's device sends comes out of the other's, so many milliseconds later.

    python3 wire.py NAMESPACE NAMESPACE DEVICE MILLISECONDS

Makes the devices (tun), says "ready", and carries packets until it is killed. While it is stopped, no packet arrives and
neither side is told.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

CLONE_NEWNET, TUNSETIFF, IFF_TUN_NO_PI = 0x40000000, 0x400454CA, 0x1001


def open_device(namespace, name):
    """A device in the namespace; what is read from it was sent there."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(place, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"setns to {namespace}")
    os.close(place)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return device


def carry(ends, delay):
    """Carries packets between the two ends for ever."""
    other = dict(zip(ends, reversed(ends)))
    under_way = collections.deque()
    while True:
        left = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        readable, _, _ = select.select(ends, [], [], left)
        for end in readable:
            under_way.append((time.monotonic() + delay, other[end], os.read(end, 65536)))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            try:
                os.write(end, packet)
            except OSError:
                pass  # the device is down or full: lost, as on any wire


first, second, name, milliseconds = sys.argv[1:]
devices = [open_device(namespace, name) for namespace in (first, second)]
print("ready", flush=True)
carry(devices, float(milliseconds) / 1000)
