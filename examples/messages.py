#!/usr/bin/env python3
"""Shows what is said while it is said, then each utterance with its times and those of its characters and words.

messages.py [FILE]     a file of any kind that GStreamer reads; without one, the microphone (Ctrl-C ends it)

Needs python3-gi and gir1.2-gstreamer-1.0, and GST_PLUGIN_PATH as README.md says.
"""
import pathlib
import sys

import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst

Gst.init(None)
source = f"uridecodebin uri={pathlib.Path(sys.argv[1]).resolve().as_uri()}" if sys.argv[1:] else "autoaudiosrc"
pipeline = Gst.parse_launch(f"{source} ! audioconvert ! audioresample ! queue ! paraformerasr ! fakesink")
kinds = Gst.MessageType.ELEMENT | Gst.MessageType.WARNING | Gst.MessageType.ERROR | Gst.MessageType.EOS
redraw = "\r\033[K" if sys.stdout.isatty() else "\n"
seconds = lambda structure, name: structure.get_uint64(name).value / Gst.SECOND

pipeline.set_state(Gst.State.PLAYING)
while True:
    try:
        message = pipeline.get_bus().timed_pop_filtered(100 * Gst.MSECOND, kinds)
    except KeyboardInterrupt:
        pipeline.send_event(Gst.Event.new_eos())  # what was said last is still recognised
        continue
    if message is None:
        continue
    if message.type == Gst.MessageType.EOS:
        break
    if message.type == Gst.MessageType.ERROR:
        sys.exit(f"{message.src.get_name()}: {message.parse_error().gerror.message}")
    if message.type == Gst.MessageType.WARNING:
        print(message.parse_warning().gerror.message, file=sys.stderr)
        continue
    result = message.get_structure()
    if result.get_name() != "paraformerasr":
        continue
    print(redraw + result.get_string("text"), end="", flush=True)
    if result.get_boolean("final").value:
        print(f"   {seconds(result, 'start-time'):.2f} s to {seconds(result, 'end-time'):.2f} s")
        tokens = result.get_array("tokens").array
        print("   ", " ".join(f"{t.get_string('text')} {seconds(t, 'start-time'):.2f}" for t in map(tokens.get_nth, range(tokens.n_values))))
pipeline.set_state(Gst.State.NULL)
