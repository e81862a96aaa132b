"""A clip and a voice in, a file out: everything that dubbing does beside the network."""

from avcat.dubbing.dubber import DubbedFrame, Dubber, DubSettings, DubSummary

__all__ = ["DubSettings", "DubSummary", "DubbedFrame", "Dubber"]
