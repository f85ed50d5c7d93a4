"""Judges caption files, .srt and .vtt, as a viewer's player and a broadcaster would; shares no code with the element.

    check_captions.py [LIMITS] FILE...    prints a line for each fault, `FILE: caption 3: what is wrong`; exits with 1 if there is any

The files are read by two parsers of other people, webvtt-py and pysubs2 (scripts/checker.sh brings them), which must agree; then
each caption is judged by its shape. Times in a file are cut to whole milliseconds, so durations may be 1 ms off; nothing else may.
"""
import argparse
import re
import sys
import unicodedata

import pysubs2
import webvtt

# Punctuation that is read aloud, and so takes time to read.
READ_ALOUD = set("%&@#+*")
# What may follow an ampersand in WebVTT.
ESCAPE = re.compile(r"&(amp|lt|gt|nbsp|lrm|rlm);")
ESCAPED_TWICE = re.compile(r"&amp;(amp|lt|gt);")


def parse_arguments():
    parser = argparse.ArgumentParser(description="Judges caption files.")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--max-line-chars", type=int, default=16, help="full-width characters of a line")
    parser.add_argument("--max-lines", type=int, default=2)
    parser.add_argument("--min-duration", type=int, default=833, help="ms, unless the next caption follows at once")
    parser.add_argument("--max-duration", type=int, default=7000, help="ms")
    parser.add_argument("--max-reading-speed", type=int, default=9,
                        help="full-width characters a second, unless the next caption follows at once; 0: no limit")
    parser.add_argument("--may-be-empty", action="store_true", help="a file without captions is right: nobody spoke")
    return parser.parse_args()


class Caption:
    """A caption as a parser sees it; times in ms."""

    def __init__(self, start, end, text):
        self.start, self.end, self.text = start, end, text
        self.lines = text.split("\n")

    @property
    def duration(self):
        return self.end - self.start


def clock(ms, separator):
    return f"{ms // 3600000:02}:{ms // 60000 % 60:02}:{ms // 1000 % 60:02}{separator}{ms % 1000:03}"


def as_written(captions, is_vtt):
    """The whole file, as it is to be written if these are its captions."""
    cues = []
    for number, caption in enumerate(captions, 1):
        separator = "." if is_vtt else ","
        times = f"{clock(caption.start, separator)} --> {clock(caption.end, separator)}"
        cues.append(("" if is_vtt else f"{number}\n") + f"{times}\n{caption.text}\n\n")
    return ("WEBVTT\n\n" if is_vtt else "") + "".join(cues)


def width(text):
    """Columns: 2 for a full-width character, none for a combining one. The context is Chinese."""
    return sum(0 if unicodedata.combining(c) or unicodedata.category(c) == "Cf"
               else 2 if unicodedata.east_asian_width(c) in "WFA" else 1 for c in text)


def read_aloud(text):
    """The text without spaces and punctuation."""
    return "".join(c for c in text if c in READ_ALOUD or unicodedata.category(c)[0] not in "PZC")


def shown(caption, is_vtt):
    """What the viewer sees of a line or a text."""
    if not is_vtt:
        return caption
    return caption.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def read(path, is_vtt):
    """The captions, and what is wrong with the file itself."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return [], [f"not UTF-8: {error}"]
    faults = [f"line {text.count(chr(10), 0, at) + 1}: the character U+{ord(c):04X}"
              for at, c in enumerate(text) if c in "\ufeff\ufffd" or (unicodedata.category(c) == "Cc" and c != "\n")]
    if faults:
        return [], faults
    if not text.strip():
        # Before the first caption webvttenc writes no header either.
        return [], ["there is white space and nothing else"] if text else []
    try:
        parsed = webvtt.read(path, strict=True) if is_vtt else webvtt.from_srt(path)
        others = pysubs2.load(path, encoding="utf-8", format_="vtt" if is_vtt else "srt")
    except (webvtt.errors.MalformedFileError, webvtt.errors.MalformedCaptionError, ValueError,
            pysubs2.exceptions.Pysubs2Error) as error:
        return [], [f"a parser refuses it: {type(error).__name__}: {error}"]
    captions = [Caption(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.raw_text) for cue in parsed]
    expected = as_written(captions, is_vtt)
    if text != expected:
        lines, right = text.split("\n"), expected.split("\n")
        number = next(i for i in range(len(lines) + 1) if lines[i:i + 1] != right[i:i + 1])
        faults.append(f"line {number + 1}: {lines[number:number + 1]}, and a parser expects {right[number:number + 1]}")
    elif [(cue.start, cue.end) for cue in others] != [(caption.start, caption.end) for caption in captions]:
        faults.append(f"the parsers disagree: {len(captions)} captions, {[(cue.start, cue.end) for cue in others]}")
    return captions, faults


def judge_text(caption, is_vtt, limits):
    for line in caption.lines:
        if not line.strip():
            yield "an empty line"
        elif line.strip() != line:
            yield f"white space at the end of a line: {line!r}"
        columns = width(shown(line, is_vtt))
        if columns > 2 * limits.max_line_chars:
            yield f"a line of {columns / 2:g} characters: {line}"
    if len(caption.lines) > limits.max_lines:
        yield f"{len(caption.lines)} lines"
    if is_vtt:
        if "&" in ESCAPE.sub("", caption.text) or "<" in caption.text or ">" in caption.text:
            yield f"markup that is not escaped: {caption.text!r}"
        if ESCAPED_TWICE.search(caption.text):
            yield f"escaped twice: {caption.text!r}"
    elif ESCAPE.search(caption.text):
        yield f"escaped, and .srt has no escapes: {caption.text!r}"


def judge_times(caption, following, is_vtt, limits):
    """The times of a caption; `following` is the next one or None."""
    if caption.duration <= 0:
        yield f"lasts {caption.duration} ms"
    if caption.duration > limits.max_duration:
        yield f"lasts {caption.duration} ms, longer than {limits.max_duration}"
    if following and following.start < caption.start:
        yield "out of order: the next caption begins before it"
    elif following and following.start < caption.end:
        yield f"overlaps the next caption by {caption.end - following.start} ms"
    elif not following or following.start > caption.end:
        if caption.duration < limits.min_duration - 1:
            yield f"lasts {caption.duration} ms, shorter than {limits.min_duration}, and nothing follows at once"
        reading = width(read_aloud(shown(caption.text, is_vtt))) / 2
        if limits.max_reading_speed and caption.duration < limits.max_duration - 1:
            needed = 1000 * reading / limits.max_reading_speed
            if caption.duration < needed - 1:
                yield f"{reading:g} characters in {caption.duration} ms, {needed:.0f} are needed, and nothing follows at once"


def judge(path, limits):
    """All that is wrong with a file."""
    if not path.endswith((".srt", ".vtt")):
        return ["neither .srt nor .vtt"]
    is_vtt = path.endswith(".vtt")
    captions, faults = read(path, is_vtt)
    if faults:
        # Captions that were read wrong are not worth a judgement.
        return faults
    if not captions and not limits.may_be_empty:
        return ["there are no captions"]
    for number, caption in enumerate(captions, 1):
        following = captions[number] if number < len(captions) else None
        for fault in judge_text(caption, is_vtt, limits):
            faults.append(f"caption {number}: {fault}")
        for fault in judge_times(caption, following, is_vtt, limits):
            faults.append(f"caption {number}: {fault}")
    return faults


def main():
    limits = parse_arguments()
    wrong = False
    for path in limits.files:
        for fault in judge(path, limits):
            wrong = True
            print(f"{path}: {fault}")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
