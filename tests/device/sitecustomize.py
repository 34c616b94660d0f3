"""Python looks for this module when it starts: the device that stands in, where it is asked for."""

import os

if os.environ.get("STYLOSCOPE_STAND_IN"):
    import stand_in

    stand_in.install()
