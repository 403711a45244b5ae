from tests.channels.fakes import fakes

__all__ = ["fakes"]
