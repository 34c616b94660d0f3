"""Python looks for this module when it starts: the device that stands in, where it is asked for."""

import importlib
import os

if os.environ.get("STYLOSCOPE_STAND_IN"):
    importlib.import_module("stand_in").install()
