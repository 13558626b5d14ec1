"""Find the best classifier of handwritten digits, then teach a machine to draw digits that it can read.

    python examples/digits_search.py

The images are scikit-learn's digits: 1,797 scans of 8 x 8 pixels, real handwriting, inside the package. The program shows what
Thornback is for:

1. a data set put once and read in place by every task;
2. dozens of model fits as tasks, with an actor that keeps the leaderboard;
3. a streaming task, whose learning curve is drawn while it is still being measured;
4. two actors that pass weights and samples to each other by reference, two thousand calls without a round trip to this script.

It starts a runtime for itself, or joins the one that THORNBACK_ADDRESS names. It needs numpy and scikit-learn.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

# A fit is one task on one CPU. Without this, each would start a thread for every core, and they would fight.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.svm import SVC

import thornback

FOLDS = 4
ROUNDS = 1000
TERMINAL = sys.stdout.isatty()


# ---------------------------------------------------------------------------------------------------------------------------------------
# The search: what to try, one try, and who is ahead.


class Data(NamedTuple):
    """Images as rows of 64 grey values from 0 to 16, and the digit that each one shows."""

    train_images: np.ndarray
    train_digits: np.ndarray
    test_images: np.ndarray
    test_digits: np.ndarray


class Candidate(NamedTuple):
    kind: str
    params: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} " + " ".join(f"{name}={value:g}" for name, value in self.params.items())

    def model(self) -> ClassifierMixin:
        if self.kind == "svm":
            return SVC(**self.params)
        if self.kind == "neighbours":
            return KNeighborsClassifier(**self.params)
        if self.kind == "trees":
            return ExtraTreesClassifier(**self.params, random_state=0)
        return make_pipeline(MinMaxScaler(), LogisticRegression(**self.params, max_iter=500))


def candidates() -> list[Candidate]:
    return [
        *(Candidate("svm", {"C": c, "gamma": g}) for c, g in itertools.product([0.3, 1, 3, 10, 30], [1e-4, 3e-4, 1e-3, 3e-3, 1e-2])),
        *(Candidate("neighbours", {"n_neighbors": n, "p": p}) for n, p in itertools.product([1, 3, 5, 9], [1, 2])),
        *(Candidate("trees", {"n_estimators": n, "max_features": m}) for n, m in itertools.product([50, 100], [4, 8, 16])),
        *(Candidate("logistic", {"C": c}) for c in [0.1, 1, 10]),
    ]


@thornback.remote
class Leaderboard:
    """Keeps every score, best first. The tasks report to it themselves."""

    def __init__(self) -> None:
        self.scores: list[tuple[float, Candidate]] = []

    def report(self, candidate: Candidate, score: float) -> None:
        self.scores.append((score, candidate))
        self.scores.sort(key=lambda entry: -entry[0])

    def top(self, count: int) -> list[tuple[float, Candidate]]:
        return self.scores[:count]


@thornback.remote
def evaluate(candidate: Candidate, data: Data, board: Any) -> float:
    """Cross-validates one candidate on the training images."""
    # The arrays lie in memory shared with every other worker: they can be read, and nobody pays for a copy.
    assert not data.train_images.flags.writeable
    score = float(cross_val_score(candidate.model(), data.train_images, data.train_digits, cv=FOLDS).mean())
    # Waited for, so that the board knows of each try before the try counts as done.
    thornback.get(board.report.remote(candidate, score))
    return score


@thornback.remote
def learning_curve(candidate: Candidate, data: Data) -> Iterator[tuple[int, float, float]]:
    """Yields (images learnt from, accuracy on those, accuracy on the test images), each point as soon as it is known."""
    for size in (20, 40, 80, 160, 320, 640, len(data.train_images)):
        images, digits = data.train_images[:size], data.train_digits[:size]
        model = candidate.model().fit(images, digits)
        yield size, float(model.score(images, digits)), float(model.score(data.test_images, data.test_digits))


@thornback.remote
def fit(candidate: Candidate, data: Data) -> ClassifierMixin:
    return candidate.model().fit(data.train_images, data.train_digits)


# ---------------------------------------------------------------------------------------------------------------------------------------
# The drawing machine: a restricted Boltzmann machine over 64 pixels and 10 labels. Learning compares what the data looks like with what the
# machine dreams, so it falls apart into two actors: a Generator that dreams, and a Trainer that compares and moves the weights.


class Weights(NamedTuple):
    pairs: np.ndarray  # (pixels and labels) x hidden
    seen: np.ndarray
    hidden: np.ndarray


def chance(activation: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-activation))


@thornback.remote
class Trainer:
    def __init__(self, data: Data, hidden: int, rounds: int) -> None:
        self.random = np.random.default_rng(1)
        labels = np.eye(10, dtype=np.float32)[data.train_digits]
        self.examples = np.hstack([data.train_images / 16, labels]).astype(np.float32)
        mean = self.examples.mean(axis=0).clip(0.01, 0.99)
        self.weights = Weights(
            pairs=self.random.normal(0, 0.05, (74, hidden)).astype(np.float32),
            seen=np.log(mean / (1 - mean)),
            hidden=np.zeros(hidden, np.float32),
        )
        self.rate, self.slower = 0.3, 0.3 / rounds

    def start(self) -> Weights:
        return self.weights

    def learn(self, dreams: np.ndarray) -> Weights:
        """One round: makes the data more likely, and the dreams less."""
        pairs, seen, hidden = self.weights
        facts = (self.random.random(self.examples.shape) < self.examples).astype(np.float32)
        from_facts, from_dreams = chance(facts @ pairs + hidden), chance(dreams @ pairs + hidden)
        self.weights = Weights(
            pairs + self.rate * (facts.T @ from_facts / len(facts) - dreams.T @ from_dreams / len(dreams) - 1e-4 * pairs),
            seen + self.rate * (facts.mean(axis=0) - dreams.mean(axis=0)),
            hidden + self.rate * (from_facts.mean(axis=0) - from_dreams.mean(axis=0)),
        )
        self.rate = max(self.rate - self.slower, 0.005)
        return self.weights


@thornback.remote
class Generator:
    def __init__(self, chains: int) -> None:
        self.random = np.random.default_rng(2)
        self.labels = np.eye(10, dtype=np.float32)[np.arange(chains) % 10]
        self.dreams = self.noise(chains)

    def noise(self, count: int) -> np.ndarray:
        return np.hstack([self.random.random((count, 64), np.float32), self.labels[:count]])

    def steps(self, dreams: np.ndarray, weights: Weights, count: int) -> np.ndarray:
        pairs, seen, hidden = weights
        for _ in range(count):
            on = (self.random.random((len(dreams), len(hidden)), np.float32) < chance(dreams @ pairs + hidden)).astype(np.float32)
            shade = chance(on @ pairs[:64].T + seen[:64])
            dreams = np.hstack([(self.random.random(shade.shape, np.float32) < shade).astype(np.float32), self.labels[: len(dreams)]])
        return dreams

    def dream(self, weights: Weights) -> np.ndarray:
        """Goes on with the dreams of the round before, a few steps under the new weights."""
        self.dreams = self.steps(self.dreams, weights, 3)
        return self.dreams

    def draw(self, weights: Weights, count: int) -> np.ndarray:
        """Draws images from nothing but noise: the first shows a 0, the next a 1, and so on, over and over."""
        dreams = self.steps(self.noise(count), weights, 60)
        return chance(chance(dreams @ weights.pairs + weights.hidden) @ weights.pairs[:64].T + weights.seen[:64])


# ---------------------------------------------------------------------------------------------------------------------------------------
# What the reader sees.


def heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


class Progress:
    """A bar that redraws itself on a terminal; elsewhere, a line at each quarter, so that a log stays readable."""

    def __init__(self, total: int) -> None:
        self.total, self.started, self.quarters = total, time.monotonic(), 0

    def show(self, done: int, note: str) -> None:
        seconds = time.monotonic() - self.started
        line = f"[{'#' * (30 * done // self.total):<30}] {done:>4}/{self.total}  {seconds:4.1f} s  {note}"
        if TERMINAL:
            print(f"\r\x1b[K{line}", end="\n" if done == self.total else "", flush=True)
        elif 4 * done // self.total > self.quarters:
            self.quarters = 4 * done // self.total
            print(line, flush=True)


def print_confusion(matrix: np.ndarray) -> None:
    print("digit  read as" + "".join(f"{digit:>5}" for digit in range(10)))
    for digit, row in enumerate(matrix):
        print(f"{digit:>5}         " + "".join(f"{count or '.':>5}" for count in row))


def print_digits(images: np.ndarray) -> None:
    """Prints images with values from 0 to 1 side by side, two characters for a pixel."""
    shades = " .:-=+*#%@"
    for row in range(8):
        print(" ".join("".join(shades[int(value * 9.99)] * 2 for value in image.reshape(8, 8)[row]) for image in images))


# ---------------------------------------------------------------------------------------------------------------------------------------


def search(data: Any) -> Candidate:
    tries = candidates()
    heading(f"Searching: {len(tries)} candidates, {len(tries) * FOLDS} fits")
    board = Leaderboard.remote()
    pending = [evaluate.remote(candidate, data, board) for candidate in tries]
    progress = Progress(len(tries))
    progress.show(0, "the workers are loading scikit-learn")
    best = 0.0
    while pending:
        ready, pending = thornback.wait(pending)
        best = max(best, *thornback.get(ready), 0.0)
        progress.show(len(tries) - len(pending), f"best so far {best:.2%}")

    top = thornback.get(board.top.remote(5))
    print()
    for place, (score, candidate) in enumerate(top, 1):
        print(f"{place}. {score:.2%}  {candidate}")
    return top[0][1]


def study(winner: Candidate, data: Any) -> Any:
    """Prints the winner's learning curve and confusion matrix; returns a ref of the winner, fitted."""
    heading(f"Learning curve of the winner ({winner})")
    print("images   learnt   unseen   0 %" + " " * 44 + "100 %")
    for point in learning_curve.remote(winner, data):
        size, learnt, unseen = thornback.get(point)
        print(f"{size:>6}  {learnt:>7.1%}  {unseen:>7.1%}   {'=' * round(unseen * 50):<50}|", flush=True)

    model = fit.remote(winner, data)
    fitted, values = thornback.get([model, data])
    guesses = fitted.predict(values.test_images)
    heading(f"Confusion matrix on {len(guesses)} images that it has never seen: {np.mean(guesses == values.test_digits):.2%} right")
    print_confusion(confusion_matrix(values.test_digits, guesses))
    return model


def teach(data: Any, model: Any) -> None:
    heading(f"Learning to draw: {ROUNDS} rounds between a Trainer and a Generator")
    trainer = Trainer.remote(data, hidden=128, rounds=ROUNDS)
    generator = Generator.remote(chains=200)
    reader = thornback.get(model)
    asked = np.arange(100) % 10

    progress = Progress(ROUNDS)
    weights = trainer.start.remote()
    for done in range(50, ROUNDS + 1, 50):
        # A hundred calls that follow from one another, made at once. What passes between the actors never comes here: only its refs do.
        for _ in range(50):
            dreams = generator.dream.remote(weights)
            weights = trainer.learn.remote(dreams)
        drawn = thornback.get(generator.draw.remote(weights, len(asked)))
        readable = np.mean(reader.predict(drawn * 16) == asked)
        progress.show(done, f"the winner reads {readable:.0%} of its digits as meant")

    print()
    print_digits(drawn[:10])


def main() -> None:
    started = time.monotonic()
    thornback.init()
    images, digits = load_digits(return_X_y=True)
    train_images, test_images, train_digits, test_digits = train_test_split(images, digits, test_size=0.25, stratify=digits, random_state=0)
    data = thornback.put(Data(train_images, train_digits, test_images, test_digits))
    cpus = thornback.cluster_resources()["CPU"]
    print(f"{len(images)} handwritten digits, {images.nbytes / 1e6:.1f} MB, put once; {cpus:g} CPUs to work with")

    winner = search(data)
    model = study(winner, data)
    teach(data, model)

    thornback.shutdown()
    print(f"\nDone in {time.monotonic() - started:.0f} s.")


if __name__ == "__main__":
    main()
