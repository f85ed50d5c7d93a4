"""The peers: each takes the next 600 ms of a stream and recognises what it can."""
import copy
import logging
import os
import wave
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # NumPy's own threads would be counted on top of --threads.
warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402

RATE, CHUNK = 16000, 9600


class Funasr:
    """funasr_onnx. Its object is one stream: the front end's state lives in it. A copy of the front end for each
    stream, around one pair of graphs, is more than its interface offers, and in its favour: no model for each stream."""

    def __init__(self, model, streams, threads):
        from funasr_onnx.paraformer_online_bin import Paraformer

        logging.disable(logging.CRITICAL)
        first = Paraformer(model, batch_size=1, quantize=True, chunk_size=[5, 10, 5], intra_op_num_threads=threads)
        self.streams = []
        for _ in range(streams):
            stream = copy.copy(first)
            stream.frontend = copy.copy(first.frontend)
            stream.frontend.cache_reset()
            self.streams.append((stream, {"cache": {}, "is_final": False}))
        self.count = 0

    def chunk(self, stream, samples):
        model, state = self.streams[stream]
        for result in model(audio_in=samples, param_dict=state):
            self.count += len(result["preds"][1])

    def tokens(self):
        return self.count


class Sherpa:
    """sherpa-onnx. One recognizer for all streams; decode_streams runs Paraformer's one after the other."""

    def __init__(self, model, streams, threads):
        import sherpa_onnx

        self.recognizer = sherpa_onnx.OnlineRecognizer.from_paraformer(
            tokens=f"{model}/tokens.txt", encoder=f"{model}/encoder.int8.onnx", decoder=f"{model}/decoder.int8.onnx",
            num_threads=threads, sample_rate=RATE, feature_dim=80)
        self.streams = [self.recognizer.create_stream() for _ in range(streams)]

    def chunk(self, stream, samples):
        stream = self.streams[stream]
        stream.accept_waveform(RATE, samples)
        while self.recognizer.is_ready(stream):
            self.recognizer.decode_stream(stream)

    def tokens(self):
        return sum(len(self.recognizer.tokens(stream)) for stream in self.streams)


SYSTEMS = {"funasr": Funasr, "sherpa": Sherpa}


class Speech:
    """The file of one stream, which the Rust benches write, read as it is needed."""

    def __init__(self, folder, stream):
        self.file = wave.open(f"{folder}/stream-{stream:03}.wav", "rb")

    def chunk(self):
        return np.frombuffer(self.file.readframes(CHUNK), np.int16).astype(np.float32) / 32768
