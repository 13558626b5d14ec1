"""The stage in Python: which documents belong together. The node starts it as a worker; scikit-learn does the work."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD

from thornback import worker

CLUSTERS = 5
KEYWORDS = 6


@worker.function("documents.cluster")
def cluster(scores: dict[str, Any]) -> dict[str, Any]:
    """The cluster of each document, a place for each on a plane, and the words that mark each cluster."""
    # In place, where the worker before left it.
    weights = np.asarray(scores["weights"])
    documents, terms = weights.shape
    clusters = min(CLUSTERS, documents)
    fit = KMeans(clusters, n_init=10, random_state=0).fit(weights)
    plane = TruncatedSVD(min(2, terms), random_state=0).fit_transform(weights)
    marks = np.argsort(fit.cluster_centers_, axis=1)[:, ::-1][:, :KEYWORDS]
    return {
        "clusters": fit.labels_.tolist(),
        "places": plane.tolist(),
        "keywords": [[scores["terms"][term] for term in marked] for marked in marks],
    }


if __name__ == "__main__":
    worker.serve()
