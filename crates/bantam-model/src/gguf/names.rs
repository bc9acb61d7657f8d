//! What llama.cpp calls the weights of a Llama, and of the families that are built like it.

const OUTER: [(&str, &str); 3] =
    [("token_embd", "model.embed_tokens"), ("output_norm", "model.norm"), ("output", "lm_head")];

const IN_LAYER: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The name in Hugging Face folders of the tensor `name`, `None` where a Llama has no such tensor.
pub(super) fn to_ours(name: &str) -> Option<String> {
    let (stem, kind) = stem_and_kind(name)?;
    if let Some((_, ours)) = OUTER.iter().find(|(theirs, _)| *theirs == stem) {
        return Some(format!("{ours}.{kind}"));
    }
    let (layer, part) = layer_and_part(stem.strip_prefix("blk.")?)?;
    let (_, ours) = IN_LAYER.iter().find(|(theirs, _)| *theirs == part)?;
    Some(format!("model.layers.{layer}.{ours}.{kind}"))
}

/// The reverse of [`to_ours`].
pub(super) fn to_theirs(name: &str) -> Option<String> {
    let (stem, kind) = stem_and_kind(name)?;
    if let Some((theirs, _)) = OUTER.iter().find(|(_, ours)| *ours == stem) {
        return Some(format!("{theirs}.{kind}"));
    }
    let (layer, part) = layer_and_part(stem.strip_prefix("model.layers.")?)?;
    let (theirs, _) = IN_LAYER.iter().find(|(_, ours)| *ours == part)?;
    Some(format!("blk.{layer}.{theirs}.{kind}"))
}

/// A name without its last part, and that.
fn stem_and_kind(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.').filter(|(_, kind)| ["weight", "bias"].contains(kind))
}

/// `3.rest` in its parts. A number written in another way, such as `03`, would name a layer twice.
fn layer_and_part(text: &str) -> Option<(usize, &str)> {
    let (number, part) = text.split_once('.')?;
    let layer: usize = number.parse().ok()?;
    (layer.to_string() == number).then_some((layer, part))
}
