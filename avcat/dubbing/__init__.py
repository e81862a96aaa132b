"""From a clip and a voice to a file: everything in dubbing except the network."""

from avcat.dubbing.dubber import Dubber, DubSummary
from avcat.dubbing.plan import DubSettings, Mix
from avcat.dubbing.second_pass import DubbedFrame

__all__ = ["DubSettings", "DubSummary", "DubbedFrame", "Dubber", "Mix"]
