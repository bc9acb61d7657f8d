"""Makes baseline.json: what scikit-learn's TF-IDF and LinearSVC say of a few texts. Run: python baseline.py (scikit-learn 1.3 or newer)."""
import json
import pathlib

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion
from sklearn.svm import LinearSVC

train = [
    ("When is my bill due?", 0), ("pay the invoice now, please", 0), ("I want to pay my bill", 0), ("how much do I owe you", 0),
    ("my card was stolen!!", 1), ("I've lost my card", 1), ("block the card, it is gone", 1), ("Lost: card_42", 1),
    ("will it rain today", 2), ("is the sun out today?", 2), ("Wetter in München und Köln", 2), ("rain,  rain\tagain", 2),
]
test = ["please pay the bill today", "My CARD is gone", "rain in München?", "a", "", "völlig fremd xyz", "card card card"]

vectoriser = FeatureUnion([
    ("words", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)),
    ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)),
])
rows = vectoriser.fit_transform([text for text, _ in train])
svm = LinearSVC(C=1, tol=1e-8, max_iter=100_000).fit(rows, [label for _, label in train])
tested = vectoriser.transform(test)
golden = {
    "train": [text for text, _ in train],
    "labels": [label for _, label in train],
    "test": test,
    "features": rows.shape[1],
    # The columns of the two programs are in different order, the sorted values of a row are not.
    "rows": [sorted(tested[index].data.tolist()) for index in range(len(test))],
    "margins": svm.decision_function(tested).tolist(),
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(golden, ensure_ascii=False))
