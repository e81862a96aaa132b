"""Memory of large arrays, kept for the next ones."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST = 32 * 2**20  # that glibc lets be kept
_KEPT = 2**30  # at most


def keep_large_arrays() -> bool:
    """Has glibc keep what arrays of up to 32 MiB leave behind, up to 1 GiB; tells whether it does (other systems: no).

    Otherwise each such array is asked of the system and given back to it, which then has to clear its pages anew at
    every step: a twentieth of the time that dubbing takes (docs/lab-notes.md).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEPT))
