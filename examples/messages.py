#!/usr/bin/env python3
"""Shows what is said while it is said, then each utterance with its times and those of its characters and words.

    messages.py [FILE]      a file of any kind that GStreamer reads; without one the microphone, until Ctrl-C

Needs the Debian packages python3-gst-1.0 and gir1.2-gstreamer-1.0, and GST_PLUGIN_PATH as README.md says.
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
rewrite = "\r\033[K" if sys.stdout.isatty() else "\n"


def span(part):
    return f"{part['start-time'] / Gst.SECOND:.2f} - {part['end-time'] / Gst.SECOND:.2f}"


def show(result):
    print(rewrite + result["text"], end="", flush=True)
    if result["final"]:
        print(f"  ({span(result)} s)")
        for token in result["tokens"]:
            print(f"    {token['text']}\t{span(token)}")


pipeline.set_state(Gst.State.PLAYING)
failure = message = None
while message is None or message.type not in (Gst.MessageType.EOS, Gst.MessageType.ERROR):
    try:
        message = pipeline.get_bus().timed_pop_filtered(Gst.SECOND // 10, kinds)
    except KeyboardInterrupt:
        pipeline.send_event(Gst.Event.new_eos())  # what was said last is still recognised
        continue
    if message is None:
        continue
    if message.type == Gst.MessageType.ERROR:
        failure = "\n".join(filter(None, map(str, message.parse_error())))
    elif message.type == Gst.MessageType.WARNING:
        print(message.parse_warning()[1], file=sys.stderr)
    elif message.type == Gst.MessageType.ELEMENT and message.has_name("paraformerasr"):
        show(message.get_structure())
pipeline.set_state(Gst.State.NULL)
sys.exit(failure)
