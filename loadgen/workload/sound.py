"""Sounds made on the spot: a voice's pitch that rises and falls, with breath, as WAV of 16 bits."""

import io
import wave
from typing import Final

import numpy as np

from loadgen.workload.media import Media

SAMPLES_PER_S: Final = 16_000  # what speech models listen at
SAMPLE_BYTES: Final = 2
_PITCH_HZ, _SWING_HZ = 140.0, 60.0
_OWN_BYTES: Final = 64  # of the last samples


def sound(seconds: float, seed: int, number: int) -> Media:
    """Return a sound, a function of all its arguments; its last samples are each request's own."""
    rng = np.random.default_rng((seed, number))
    n = max(_OWN_BYTES // SAMPLE_BYTES, round(seconds * SAMPLES_PER_S))
    at_s = np.arange(n, dtype=np.float32) / SAMPLES_PER_S
    pitch_hz = _PITCH_HZ + _SWING_HZ * np.sin(2 * np.pi * rng.uniform(0.2, 0.6) * at_s + rng.uniform(0, 6))
    phase = np.cumsum(2 * np.pi * pitch_hz / SAMPLES_PER_S)
    loud = np.abs(np.sin(np.pi * rng.uniform(1.5, 3.0) * at_s))  # syllables
    voice = loud * (np.sin(phase) + 0.5 * np.sin(2 * phase)) + rng.normal(0, 0.05, n)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(SAMPLES_PER_S)
        writer.writeframes((voice * 8_000).astype("<i2").tobytes())
    return Media("wav", file.getvalue()[:-_OWN_BYTES], _OWN_BYTES, bytes)
