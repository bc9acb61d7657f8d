//! Encoders with the heads of tasks, as the runtime opens them.

use std::time::{Duration, Instant};

use bantam_kernels::gemm::{PackedFormat, Precision};
use bantam_model::architectures::bert::{Bert, BertConfig, BertFamily};
use bantam_model::architectures::{Architecture, Head};
use bantam_model::{Weights, folder};
use bantam_runtime::sample::parts;
use bantam_runtime::tasks::{Cut, TaskModel, Wanted};

/// An encoder with that head and weights that mean nothing.
fn encoder(head: Head) -> TaskModel {
    let tokenizer = parts().tokenizer;
    let config = BertConfig {
        vocab_size: tokenizer.vocabulary_size() + 3,
        hidden_size: 8,
        intermediate_size: 8,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: 16,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        hidden_act: "gelu".to_owned(),
        num_labels: head.labels(),
        pad_token_id: None,
    };
    let bert = Bert::with_head(config, BertFamily::Bert, head).unwrap();
    let arrays = Weights::initialise(bert.schema(), 1, Precision::F32).to_arrays();
    let place = tempfile::tempdir().unwrap();
    folder::write(place.path(), &bert.config(), &arrays, &tokenizer).unwrap();
    TaskModel::open(place.path(), PackedFormat::F32).unwrap()
}

#[test]
fn how_much_a_document_becomes_is_known_before_it_is_read() {
    for head in [Head::Nothing, Head::Labels(2), Head::TokenLabels(2), Head::Span, Head::Vocabulary] {
        let model = encoder(head);
        for wanted in [Wanted::Scores, Wanted::ScoresAt(vec![0, 2, 1]), Wanted::Summary, Wanted::States] {
            let document = model.document("where is my order?", None, Cut::End, wanted.clone()).unwrap();
            let rows = &model.read(&[&document])[0];
            let found: usize = rows.iter().map(<[f32]>::len).sum();
            assert_eq!(model.numbers(&document), found, "{head:?} {wanted:?}");
        }
    }
}

#[test]
fn a_text_that_is_cut_is_read_no_further_than_it_has_to_be() {
    let model = encoder(Head::Nothing);
    let document = |text: &str, cut| model.document(text, None, cut, Wanted::Summary).unwrap();
    let text = "where is my order? ".repeat(3 << 20);
    let begin = Instant::now();
    let cut = [Cut::End, Cut::First].map(|cut| document(&text, cut));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    let short = &text[..1000];
    assert_eq!(cut, [Cut::End, Cut::First].map(|cut| document(short, cut)));
    assert_eq!(cut[0].tokens(), model.max_tokens());
    // Behind much that is no token it is read nevertheless.
    let spaces = format!("{}{short}", " ".repeat(100_000));
    assert_eq!(document(&spaces, Cut::End), cut[0]);
    // The end is what stays where the beginning is left out.
    assert_ne!(document(&format!("{short} refund"), Cut::Beginning), document(short, Cut::Beginning));
}
