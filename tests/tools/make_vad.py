"""Build a small FSMN-VAD with FunASR's own classes and export it with FunASR's own graph code; print what funasr_onnx finds.

    make_vad.py OUT [--seed N]                                      the model
    make_vad.py --goldens MODEL_DIR a.wav ...  > goldens/vad.jsonl  its segments, for several end silences

The model has the published one's graph inputs and outputs, with 8 instead of 128 channels. Its weights are set by hand, so
that it hears loudness and forgets slowly, with a little noise on each, so that every weight matters.
A golden is one JSON line: {"model", "audio", "samples", "end_silence", "events": [[start, -1], [-1, end], ...]} in ms.
"""
import argparse
import json
import logging
import os
import warnings

warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402

from host_loop import read_wav  # noqa: E402

WIDTH, PROJECTION, TAPS, LAYERS, SCORES = 10, 8, 20, 4, 6
NOISE = 0.02
# Log mel energies of 16-bit samples: silence is near 0 or below, speech above 10.
QUIET, SPREAD = 8.0, 4.0
GAIN = 0.35
BLOCKS = (800, 1600, 9600)
END_SILENCES = (200, 500, 800)

CONFIG = dict(
    frontend="WavFrontendOnline",
    frontend_conf=dict(fs=16000, window="hamming", n_mels=80, frame_length=25, frame_shift=10, dither=0.0, lfr_m=5, lfr_n=1),
    model="FsmnVADStreaming",
    model_conf=dict(sample_rate=16000, detect_mode=1, snr_mode=0, max_end_silence_time=800, max_start_silence_time=3000,
                    do_start_point_detection=True, do_end_point_detection=True, window_size_ms=200,
                    sil_to_speech_time_thres=150, speech_to_sil_time_thres=150, speech_2_noise_ratio=1.0, do_extend=1,
                    lookback_time_start_point=200, lookahead_time_end_point=100, max_single_segment_time=60000,
                    snr_thres=-100.0, noise_frame_num_used_for_snr=100, decibel_thres=-100.0, speech_noise_thres=0.6,
                    fe_prior_thres=0.0001, silence_pdf_num=1, sil_pdf_ids=[0], speech_noise_thresh_low=-0.1,
                    speech_noise_thresh_high=0.3, output_frame_probs=False, frame_in_ms=10, frame_length_ms=25),
    encoder="FSMN",
    encoder_conf=dict(input_dim=400, input_affine_dim=WIDTH, fsmn_layers=LAYERS, linear_dim=WIDTH, proj_dim=PROJECTION,
                      lorder=TAPS, rorder=0, lstride=1, rstride=0, output_affine_dim=WIDTH, output_dim=SCORES),
)


def set_weights(encoder):
    """Unit 0 is how loud the frame is, unit 1 how quiet; each block adds a fading memory of the last frames."""
    for parameter in encoder.parameters():
        parameter.data.normal_(0.0, NOISE)
    encoder.in_linear1.linear.weight.data[0] += 1 / 400
    encoder.in_linear1.linear.weight.data[1] -= 1 / 400
    for affine in (encoder.in_linear2, encoder.out_linear1):
        affine.linear.weight.data += torch.eye(WIDTH)
    for block in encoder.fsmn:
        block.linear.linear.weight.data += torch.eye(PROJECTION, WIDTH)
        block.affine.linear.weight.data += torch.eye(WIDTH, PROJECTION)
        block.fsmn_block.conv_left.weight.data[:, 0, :, 0] += 0.02 * torch.arange(TAPS) / TAPS
    encoder.out_linear2.linear.weight.data[0, :2] += GAIN * torch.tensor([-1.0, 1.0])
    encoder.out_linear2.linear.weight.data[1:, :2] += GAIN * torch.tensor([1.0, -1.0])


def make(out, seed):
    from funasr.models.fsmn_vad_streaming import model as vad_model, export_meta  # noqa: F401  (registers the classes)

    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = vad_model.FsmnVADStreaming(encoder="FSMN", encoder_conf=CONFIG["encoder_conf"], **CONFIG["model_conf"])
    set_weights(model.encoder)
    model.eval()
    exported = export_meta.export_rebuild_model(model, encoder="FSMN", type="onnx")
    exported.encoder_conf = CONFIG["encoder_conf"]
    with torch.no_grad():
        torch.onnx.export(exported, exported.export_dummy_inputs(), os.path.join(out, exported.export_name()),
                          opset_version=14, do_constant_folding=True, input_names=exported.export_input_names(),
                          output_names=exported.export_output_names(), dynamic_axes=exported.export_dynamic_axes(),
                          dynamo=False)
    with open(os.path.join(out, "config.yaml"), "w", encoding="utf-8") as f:
        yaml.safe_dump(CONFIG, f, sort_keys=False)
    with open(os.path.join(out, "am.mvn"), "w", encoding="utf-8") as f:
        vectors = [("AddShift", -QUIET), ("Rescale", 1 / SPREAD)]
        lines = [f"<{name}> 400 400\n<LearnRateCoef> 0 [ {' '.join([str(value)] * 400)} ]" for name, value in vectors]
        f.write("\n".join(["<Nnet>", *lines, "</Nnet>", ""]))


def segments(detector, samples, block):
    state, events = {"in_cache": []}, []
    for start in range(0, len(samples), block):
        state["is_final"] = start + block >= len(samples)
        for found in detector(audio_in=samples[start:start + block], param_dict=state):
            events += found if isinstance(found[0], list) else [found]
    return [part for start, end in events for part in ([[start, end]] if -1 in (start, end) else [[start, -1], [-1, end]])]


def goldens(directory, wavs):
    """A line for each recording and end silence; fails where blocks of another length give other events."""
    from funasr_onnx import Fsmn_vad_online

    logging.disable(logging.CRITICAL)
    lines = []
    for path in wavs:
        samples = np.asarray(read_wav(path), np.float32)
        for silence in END_SILENCES:
            detector = Fsmn_vad_online(directory, intra_op_num_threads=1, max_end_sil=silence)
            found = [segments(detector, samples, block) for block in BLOCKS]
            if any(events != found[0] for events in found):
                raise SystemExit(f"{path}, {silence} ms: the events depend on the block: {found}")
            lines.append(dict(model=os.path.basename(os.path.normpath(directory)), audio=os.path.basename(path),
                              samples=len(samples), end_silence=silence, events=found[0]))
    return lines


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", nargs="?")
    ap.add_argument("wavs", nargs="*")
    ap.add_argument("--goldens", action="store_true")
    ap.add_argument("--seed", type=int, default=0)
    a = ap.parse_args()
    if not a.out or bool(a.wavs) != a.goldens:
        ap.error("OUT, or --goldens MODEL_DIR and recordings")
    if a.goldens:
        for line in goldens(a.out, a.wavs):
            print(json.dumps(line), flush=True)
    else:
        make(a.out, a.seed)


if __name__ == "__main__":
    main()
