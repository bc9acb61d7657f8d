"""Makes tiny random encoders with a head for each task, and what the pipelines of transformers answer with them. Run: python make.py

Needs torch and transformers 4.57, the last version with a pipeline for question answering. Each folder's expected.json lists requests as
huggingface_hub.InferenceClient sends them (or the path of one to text-embeddings-inference), and the answers.
"""
import json
import pathlib

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import pipeline

here = pathlib.Path(__file__).parent
# What models without kinds of segment read.
untyped = ["input_ids", "attention_mask"]
special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
words = "the a my card bill is in was due lost stolen today london paris anna works when where who and for at . , ? ! '".split()
letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
pieces = special + words + [letter for letter in letters if letter not in words] + ["##" + letter for letter in letters] + ["##ing", "##er"]
sizes = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=48)
texts = [
    "Anna works in London.",
    "my card was stolen, Ànna: where is Zoë\u2019s bill \U0001f600 today?",
    "banking",
    "Who works at the Parisian bank when my bill is due in London and my card was lost today and stolen?",
]
long_text = "Anna works in London when the bill is due. Zed works in Paris, and my lost card was stolen today at the bank! " * 2
question = {"question": "Where is Anna working?", "context": "My card was lost. Anna is working in Parisian banks, and Zoë in London \u2013 where \U0001f600 is the bill?"}
longer = {"question": "who works?", "context": long_text}


def wordpiece(**settings):
    backend = Tokenizer(models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    backend.decoder = decoders.WordPiece()
    backend.add_special_tokens(special)
    names = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=48, **names, **settings)


def byte_level():
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    marks = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(texts + [long_text, question["context"]], trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(marks)
    names = dict(unk_token="<unk>", pad_token="<pad>", cls_token="<s>", sep_token="</s>", mask_token="<mask>", bos_token="<s>", eos_token="</s>")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=46, model_input_names=untyped, **names)


def labelled(names):
    return dict(id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)})


tags = labelled(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
nli = labelled(["contradiction", "neutral", "entailment"])
tones = labelled(["bad", "fine", "good"])


def bert(**keys):
    return transformers.BertConfig(vocab_size=len(pieces), pad_token_id=0, **sizes, **keys)


def roberta(vocabulary, **keys):
    return transformers.RobertaConfig(vocab_size=vocabulary, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, **sizes, **keys)


def distilbert(**keys):
    return transformers.DistilBertConfig(vocab_size=len(pieces), dim=16, hidden_dim=24, n_layers=2, n_heads=4, max_position_embeddings=48, pad_token_id=0, **keys)


def modernbert(**keys):
    return transformers.ModernBertConfig(
        vocab_size=len(pieces), pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3, global_attn_every_n_layers=1,
        decoder_bias=False, **sizes, **keys,
    )


def text_classification(model, tokenizer):
    run = pipeline("text-classification", model=model, tokenizer=tokenizer)
    for inputs, parameters in [
        (texts[0], {}),
        (texts[1], {"top_k": 2}),
        (texts[2], {"function_to_apply": "sigmoid"}),
        (texts[3], {"function_to_apply": "none", "top_k": 1}),
        ({"text": texts[0], "text_pair": texts[1]}, {"function_to_apply": "softmax"}),
    ]:
        yield inputs, parameters, [run(inputs, **{"top_k": None, **parameters})]
    yield texts, {}, [run(text, top_k=None) for text in texts]


def token_classification(model, tokenizer):
    run = pipeline("token-classification", model=model, tokenizer=tokenizer)
    for strategy in ["none", "simple", "first", "average", "max"]:
        for text in texts:
            yield text, {"aggregation_strategy": strategy}, run(text, aggregation_strategy=strategy)
    yield texts, {}, [run(text, aggregation_strategy="simple") for text in texts]
    ignored = ["B-PER", "LOC"]
    yield texts[1], {"ignore_labels": ignored, "aggregation_strategy": "none"}, run(texts[1], ignore_labels=ignored)
    yield texts[1], {"ignore_labels": ["LOC"]}, run(texts[1], ignore_labels=["LOC"], aggregation_strategy="simple")
    for strategy in ["simple", "first"]:
        yield long_text, {"stride": 8, "aggregation_strategy": strategy}, run(long_text, stride=8, aggregation_strategy=strategy)


def fill_mask(model, tokenizer):
    run, mask = pipeline("fill-mask", model=model, tokenizer=tokenizer), tokenizer.mask_token
    targets = ["anna", "london", "working", "card"]
    for inputs, parameters in [
        (f"Anna works in {mask}.", {}),
        (f"{mask} is due, Zoë!", {"top_k": 3}),
        (f"my {mask} was stolen", {"targets": targets}),
        (f"my {mask} was stolen", {"targets": targets, "top_k": 2}),
        (f"the {mask} in {mask}", {"top_k": 2}),
        ([f"my {mask} was stolen", f"{mask} works"], {"top_k": 2}),
    ]:
        yield inputs, parameters, run(inputs, **parameters)


def question_answering(model, tokenizer):
    run = pipeline("question-answering", model=model, tokenizer=tokenizer)
    for inputs, parameters in [
        (question, {}),
        (question, {"top_k": 3}),
        (question, {"align_to_words": False, "top_k": 2}),
        (question, {"handle_impossible_answer": True, "top_k": 4}),
        (question, {"max_answer_len": 2}),
        (longer, {"top_k": 2}),
        (longer, {"max_seq_len": 24, "doc_stride": 6, "top_k": 3}),
    ]:
        yield inputs, parameters, run(inputs, **parameters)


def zero_shot(model, tokenizer):
    run = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    labels = ["bank", "works", "stolen card"]
    for inputs, parameters in [
        (texts[0], {"candidate_labels": labels}),
        (texts[1], {"candidate_labels": labels, "multi_label": True}),
        (texts[0], {"candidate_labels": labels, "hypothesis_template": "the {} is lost."}),
        (texts[2], {"candidate_labels": ["bank"]}),
    ]:
        answer = run(inputs, **parameters)
        yield inputs, parameters, [dict(label=label, score=score) for label, score in zip(answer["labels"], answer["scores"])]


def states(model, tokenizer, text):
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]


def unit(row):
    return torch.nn.functional.normalize(row, dim=0)


def embeddings(pool):
    def cases(model, tokenizer):
        rows = [pool(states(model, tokenizer, text)) for text in texts]
        yield texts[0], {"normalize": False}, [rows[0].tolist()]
        yield texts, {}, [unit(row).tolist() for row in rows]
        similar = [torch.dot(unit(rows[0]), unit(row)).item() for row in rows[1:]]
        yield {"source_sentence": texts[0], "sentences": texts[1:]}, {}, similar

    return cases


def scores(model, tokenizer, first, second=None):
    with torch.no_grad():
        return model(**tokenizer(first, second, return_tensors="pt")).logits[0]


# Requests to text-embeddings-inference: a path and a body each.
def predict(model, tokenizer):
    labels = model.config.id2label

    def predicted(row):
        return sorted((dict(score=score, label=labels[index]) for index, score in enumerate(row.tolist())), key=lambda found: -found["score"])

    yield "/predict", {"inputs": texts[0]}, predicted(scores(model, tokenizer, texts[0]).softmax(0))
    yield "/predict", {"inputs": texts[0], "raw_scores": True}, predicted(scores(model, tokenizer, texts[0]))
    yield "/predict", {"inputs": [[texts[0]], [texts[1], texts[2]]]}, [
        predicted(scores(model, tokenizer, texts[0]).softmax(0)), predicted(scores(model, tokenizer, texts[1], texts[2]).softmax(0)),
    ]


def rerank(model, tokenizer):
    found = [scores(model, tokenizer, texts[2], text)[0] for text in texts]
    order = sorted(range(len(texts)), key=lambda index: -found[index].item())
    body = {"query": texts[2], "texts": texts}
    yield "/rerank", body, [dict(index=index, score=found[index].sigmoid().item()) for index in order]
    yield "/rerank", {**body, "raw_scores": True, "return_text": True}, [dict(index=index, text=texts[index], score=found[index].item()) for index in order]


def embed(model, tokenizer):
    rows = [states(model, tokenizer, text) for text in texts]
    yield "/embed", {"inputs": texts[1]}, [unit(rows[1].mean(0)).tolist()]
    yield "/embed", {"inputs": texts, "normalize": False}, [row.mean(0).tolist() for row in rows]
    yield "/embed_all", {"inputs": texts[:2]}, [row.tolist() for row in rows[:2]]
    yield "/similarity", {"inputs": {"source_sentence": texts[0], "sentences": texts[1:]}}, [torch.dot(unit(rows[0].mean(0)), unit(row.mean(0))).item() for row in rows[1:]]


def golden():
    pieces_, one_kind, bytes_ = wordpiece(), wordpiece(model_input_names=untyped), byte_level()
    vocabulary = len(bytes_)
    yield "bert_labels", "BertForSequenceClassification", bert(**tones), pieces_, [text_classification], [predict]
    yield "bert_nli", "BertForSequenceClassification", bert(**nli), pieces_, [zero_shot], []
    yield "bert_rank", "BertForSequenceClassification", bert(num_labels=1), pieces_, [text_classification], [rerank]
    yield "bert_tokens", "BertForTokenClassification", bert(**tags), pieces_, [token_classification], []
    yield "bert_masked", "BertForMaskedLM", bert(), pieces_, [fill_mask], []
    yield "bert_spans", "BertForQuestionAnswering", bert(), pieces_, [question_answering], []
    yield "bert_plain", "BertModel", bert(), pieces_, [embeddings(lambda rows: rows.mean(0))], [embed]
    yield "bert_first", "BertModel", bert(), pieces_, [embeddings(lambda rows: rows[0])], []
    yield "distilbert_labels", "DistilBertForSequenceClassification", distilbert(**tones, problem_type="multi_label_classification"), one_kind, [text_classification], []
    yield "distilbert_masked", "DistilBertForMaskedLM", distilbert(), one_kind, [fill_mask], []
    yield "distilbert_spans", "DistilBertForQuestionAnswering", distilbert(), one_kind, [question_answering], []
    yield "roberta_labels", "RobertaForSequenceClassification", roberta(vocabulary, **tones), bytes_, [text_classification], []
    yield "roberta_tokens", "RobertaForTokenClassification", roberta(vocabulary, **tags), bytes_, [token_classification], []
    yield "roberta_masked", "RobertaForMaskedLM", roberta(vocabulary), bytes_, [fill_mask], []
    yield "roberta_spans", "RobertaForQuestionAnswering", roberta(vocabulary), bytes_, [question_answering], []
    yield "modernbert_tokens", "ModernBertForTokenClassification", modernbert(**tags), one_kind, [token_classification], []
    yield "modernbert_masked", "ModernBertForMaskedLM", modernbert(), one_kind, [fill_mask], []


def plain(value):
    """As JSON: numpy's numbers are none."""
    return json.loads(json.dumps(value, default=lambda number: number.item()))


def make():
    for name, family, config, tokenizer, tasks, requests in golden():
        torch.manual_seed(sum(map(ord, name)))
        model = getattr(transformers, family)(config).eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                is_gain = "norm" in key.lower() and key.endswith("weight")
                parameter.normal_(1.0 if is_gain else 0.0, 0.3)
            if family.endswith("TokenClassification"):
                # Every label is the best one somewhere.
                rows = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts])
                spread = 4 / rows.std(dim=0)
                model.classifier.weight *= spread[:, None]
                model.classifier.bias.copy_((model.classifier.bias - rows.mean(dim=0)) * spread)
        folder = here / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        # The pipelines of earlier models have left their settings.
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()), ensure_ascii=False) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": tokenizer.model_max_length}) + "\n")
        if name == "bert_first":
            (folder / "1_Pooling").mkdir(exist_ok=True)
            settings = {"word_embedding_dimension": 16, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
            (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings) + "\n")
        cases = [dict(path="", body={"inputs": inputs, "parameters": parameters}, answer=plain(answer)) for task in tasks for inputs, parameters, answer in task(model, tokenizer)]
        cases += [dict(path=path, body=body, answer=plain(answer)) for request in requests for path, body, answer in request(model, tokenizer)]
        (folder / "expected.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


make()
