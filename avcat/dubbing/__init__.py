"""From a clip and a voice to a file: everything in dubbing except the network."""

from avcat.dubbing.dubber import DubbedFrame, Dubber, DubSettings, DubSummary

__all__ = ["DubSettings", "DubSummary", "DubbedFrame", "Dubber"]
