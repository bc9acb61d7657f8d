//! Runs a bundle: text in, label, confidence, reply and entities out.
