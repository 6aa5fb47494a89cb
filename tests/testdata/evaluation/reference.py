"""Writes reference.json: the metrics of made-up rows as scipy and scikit-learn compute them.

Run on Debian 12 with python3-scipy and python3-sklearn: /usr/bin/python3 reference.py > reference.json
"""

import json
import sys

import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics

random = np.random.default_rng(20240501)


def classification(classes, rows):
    """Labels, probabilities (rounded, so that ties occur) and numbers, with every metric of labels."""
    truth = random.integers(0, classes, rows)
    scores = random.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    probabilities = np.round(probabilities * 20 + 0.5) / 20
    probabilities /= probabilities.sum(1, keepdims=True)
    answers = probabilities.argmax(1)
    numbers = probabilities @ np.arange(classes)
    if classes == 2:
        auc = metrics.roc_auc_score(truth, probabilities[:, 1])
        brier = metrics.brier_score_loss(truth, probabilities[:, 1])
    else:
        auc = np.mean([metrics.roc_auc_score(truth == c, probabilities[:, c]) for c in range(classes)])
        brier = np.mean(((probabilities - np.eye(classes)[truth]) ** 2).sum(1))
    return {
        "classes": classes,
        "labels": truth.tolist(),
        "probabilities": probabilities.ravel().tolist(),
        "expected": {
            "accuracy": metrics.accuracy_score(truth, answers),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, answers),
            "macro_f1": metrics.f1_score(truth, answers, average="macro"),
            "auc": auc,
            "r2": metrics.r2_score(truth, numbers),
            "brier": brier,
            "log_loss": metrics.log_loss(truth, probabilities, eps=2.0**-23, labels=list(range(classes))),
        },
    }


def ranking(images, grades):
    """Votes and scores of one ranking, ties in both, with the metrics of rankings."""
    while True:
        relevance = random.integers(0, grades, images).astype(float)
        scores = np.round(random.normal(size=images) + relevance, 0 if images < 7 else 1)
        if len(set(relevance)) > 1 and len(set(scores)) > 1:
            break
    return {
        "relevance": relevance.tolist(),
        "scores": scores.tolist(),
        "kendall_tau_b": stats.kendalltau(relevance, scores, variant="b").statistic,
        "spearman": stats.spearmanr(relevance, scores).statistic,
        "ndcg_at_4": metrics.ndcg_score([relevance], [scores], k=4),
    }


def sign_flip(groups):
    """Differences by prompt and the exact p of every sign tried."""
    differences = np.round(random.normal(1.3, 1.3, groups))
    test = stats.permutation_test(  # swapping the two of a pair changes the sign of their difference
        (differences, np.zeros(groups)),
        lambda a, b: np.sum(a - b),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=False,
    )
    return {"differences": differences.tolist(), "p": test.pvalue}


json.dump(
    {
        "made_with": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
        "classifications": [classification(2, 60), classification(3, 80)],
        "rankings": [ranking(4, 2) for _ in range(12)] + [ranking(9, 5) for _ in range(12)],
        "sign_flips": [sign_flip(n) for n in (4, 9, 13)],
        "student_t_975": {str(n): stats.t.ppf(0.975, n) for n in (1, 2, 3, 5, 9, 19, 99, 1000)},
    },
    sys.stdout,
    indent=1,
)
print()
