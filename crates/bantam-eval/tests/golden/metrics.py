"""Makes metrics.json: what scikit-learn says of small cases. Run: python metrics.py (scikit-learn 1.3 or newer)."""
import json
import pathlib

import numpy as np
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

random = np.random.default_rng(7)
classes, count = 4, 40
labels = random.integers(0, classes, count)
scores = np.round(random.normal(size=(count, classes)) + 1.2 * np.eye(classes)[labels], 3)
outside = np.round(random.normal(size=(15, classes)), 3)
probabilities = softmax(scores, axis=1)
answers = probabilities.argmax(1)
inside, outer = probabilities.max(1), softmax(outside, axis=1).max(1)

golden = {
    "classes": classes,
    "labels": labels.tolist(),
    "scores": scores.tolist(),
    "outside": outside.tolist(),
    "accuracy": accuracy_score(labels, answers),
    "macro_f1": f1_score(labels, answers, average="macro"),
    "negative_log_likelihood": log_loss(labels, probabilities),
    "brier": float(((probabilities - np.eye(classes)[labels]) ** 2).sum(1).mean()),
    "out_of_scope_auroc": roc_auc_score([1] * count + [0] * len(outer), np.r_[inside, outer]),
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(golden))
