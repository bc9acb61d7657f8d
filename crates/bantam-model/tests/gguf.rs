//! GGUF files: agreement with the `gguf` package (`gguf/make.py` made the file), damage, and what is written.

use std::fs;
use std::path::Path;

use bantam_model::arrays::Array;
use bantam_model::gguf::{Gguf, GgufError, List, Metadata, NewTensor, TensorFormat, Value, write};

fn fixture() -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf/formats.gguf")).unwrap()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn every_format_decodes_to_the_same_bits_as_the_gguf_package() {
    let bytes = fixture();
    let file = Gguf::parse(&bytes).unwrap();
    for format in TensorFormat::ALL {
        let blocks = &file.tensors()[&format!("{}.blocks", format.name())];
        assert_eq!((blocks.format, &blocks.shape[..]), (format, &[3, 256][..]));
        let expected = file.tensors()[&format!("{}.expected", format.name())].to_array().to_f32();
        assert_eq!(bits(&blocks.to_array().to_f32()), bits(&expected), "{}", format.name());
    }
}

#[test]
fn numbers_are_encoded_to_the_same_bytes_as_by_the_gguf_package() {
    let bytes = fixture();
    let file = Gguf::parse(&bytes).unwrap();
    let numbers = file.tensors()["numbers"].to_array().to_f32();
    for format in [TensorFormat::F16, TensorFormat::Bf16, TensorFormat::Q8_0, TensorFormat::Q4_0] {
        let expected = file.tensors()[&format!("numbers.{}", format.name())].bytes;
        assert_eq!(format.encode("numbers", &numbers, 64).unwrap(), expected, "{}", format.name());
    }
}

#[test]
fn values_of_every_type_are_read() {
    let bytes = fixture();
    let file = Gguf::parse(&bytes).unwrap();
    let expected = [
        ("u8", Value::U8(200)),
        ("i8", Value::I8(-100)),
        ("u16", Value::U16(60000)),
        ("i16", Value::I16(-30000)),
        ("u32", Value::U32(4_000_000_000)),
        ("i32", Value::I32(-2_000_000_000)),
        ("f32", Value::F32(0.1)),
        ("u64", Value::U64(1 << 63)),
        ("i64", Value::I64(-(1 << 62))),
        ("f64", Value::F64(0.1)),
        ("bool", Value::Bool(true)),
        ("text", Value::Text("▁héllo".into())),
        ("texts", Value::List(List::Text(vec!["a".into(), String::new(), "ß".into()]))),
        ("numbers", Value::List(List::I32(vec![1, -2, 3]))),
        ("nested", Value::List(List::List(vec![List::I32(vec![1, 2]), List::I32(vec![3])]))),
    ];
    for (key, value) in &expected {
        assert_eq!(file.metadata().get(key), Some(value), "{key}");
    }
    assert_eq!(file.metadata().iter().len(), expected.len() + 1, "and general.architecture");
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = small_file();
    for length in 0..bytes.len() - 31 {
        assert!(Gguf::parse(&bytes[..length]).is_err(), "{length} of {} bytes were accepted", bytes.len());
    }
}

#[test]
fn no_changed_byte_makes_the_reader_panic() {
    let bytes = small_file();
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(file) = Gguf::parse(&changed) {
                let total: usize = file.tensors().values().map(|tensor| tensor.to_array().len()).sum();
                assert!(total <= bytes.len() * 2, "more numbers than the file can hold");
            }
        }
    }
}

/// One text, one list, one tensor of two Q8_0 rows and one of two numbers.
fn small_file() -> Vec<u8> {
    let mut metadata = Metadata::new();
    metadata.insert("name", Value::Text("Ä".into()));
    metadata.insert("list", Value::List(List::List(vec![List::Text(vec!["b".into()])])));
    let matrix = Array::plain(vec![2, 32], (0..64).map(|index| index as f32).collect());
    let vector = Array::plain(vec![2], vec![1.5, -2.0]);
    let tensors = [
        NewTensor { name: "matrix".into(), array: &matrix, format: TensorFormat::Q8_0 },
        NewTensor { name: "vector".into(), array: &vector, format: TensorFormat::F32 },
    ];
    write(&metadata, &tensors).unwrap()
}

#[test]
fn what_is_written_reads_back() {
    let bytes = small_file();
    let file = Gguf::parse(&bytes).unwrap();
    assert_eq!(file.version(), 3);
    assert_eq!(file.metadata().text("name").unwrap(), "Ä");
    assert_eq!(file.tensors()["vector"].to_array(), Array::plain(vec![2], vec![1.5, -2.0]));
    assert_eq!(file.tensors()["matrix"].shape, [2, 32]);
    let read = file.tensors()["matrix"].to_array().to_f32();
    assert!(read.iter().enumerate().all(|(index, number)| (number - index as f32).abs() <= 63.0 / 254.0));
    assert_eq!(small_file(), bytes, "the same input gives the same bytes");
}

fn message(bytes: &[u8]) -> String {
    Gguf::parse(bytes).expect_err("the file is damaged").to_string()
}

/// A file of the given version with metadata and tensors as raw bytes.
fn raw(version: u32, tensors: &[Vec<u8>], metadata: &[Vec<u8>], data: usize) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    bytes.extend(metadata.concat());
    bytes.extend(tensors.concat());
    bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
    bytes
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text].concat()
}

fn value(key: &str, kind: u32, bytes: &[u8]) -> Vec<u8> {
    [text(key.as_bytes()), kind.to_le_bytes().to_vec(), bytes.to_vec()].concat()
}

fn tensor(name: &str, sizes: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name.as_bytes());
    bytes.extend((sizes.len() as u32).to_le_bytes());
    bytes.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

#[test]
fn version_2_and_shapes_from_the_outside_in() {
    let bytes = raw(2, &[tensor("t", &[3, 2], 0, 0)], &[value("k", 0, &[5])], 24);
    let file = Gguf::parse(&bytes).unwrap();
    assert_eq!((file.version(), &file.tensors()["t"].shape[..]), (2, &[2, 3][..]));
    assert_eq!(file.metadata().whole("k").unwrap(), Some(5));
}

#[test]
fn another_alignment_is_followed() {
    let aligned = |alignment: u32| value("general.alignment", 4, &alignment.to_le_bytes());
    let tensors = [tensor("a", &[1], 0, 0), tensor("b", &[1], 0, 8)];
    assert!(Gguf::parse(&raw(3, &tensors, &[aligned(8)], 12)).is_ok());
    assert!(message(&raw(3, &tensors, &[], 12)).contains("no multiple of 32"));
    for wrong in [0, 12] {
        assert!(message(&raw(3, &tensors, &[aligned(wrong)], 12)).contains("power of two"));
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let one = |tensor: Vec<u8>| raw(3, &[tensor], &[], 64);
    let deep = (0..9).fold(vec![], |list: Vec<u8>, _| [&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes(), &list].concat());
    let cases = [
        (b"PK\x03\x04".to_vec(), "letters GGUF"),
        (raw(1, &[], &[], 0), "version 1"),
        (raw(4, &[], &[], 0), "version 4"),
        (raw(3_u32.swap_bytes(), &[], &[], 0), "big-endian"),
        (raw(3, &[], &[value("twice", 0, &[1]), value("twice", 0, &[1])], 0), "twice: the key is there twice"),
        (raw(3, &[], &[value("odd", 13, &[1])], 0), "odd: values of type 13"),
        (raw(3, &[], &[value("odd", 7, &[2])], 0), "odd: true or false is written as 2"),
        (raw(3, &[], &[value("odd", 8, &text(&[0xff]))], 0), "not UTF-8"),
        (raw(3, &[], &[value("deep", 9, &deep)], 0), "deep: lists within lists"),
        (raw(3, &[], &[value("long", 9, &[&10_u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat())], 0), "long"),
        (raw(3, &[], &[value("long", 8, &u64::MAX.to_le_bytes())], 0), "cut off: long"),
        (one(tensor("t", &[256], 10, 0)), "type 10 (Q2_K)"),
        (one(tensor("t", &[256], 99, 0)), "type 99"),
        (one(tensor("t", &[], 0, 0)), "0 dimensions"),
        (one(tensor("t", &[1; 5], 0, 0)), "5 dimensions"),
        (one(tensor("t", &[u64::MAX, 2], 0, 0)), "multiply to more"),
        (one(tensor("t", &[u64::MAX, 2, 0], 0, 0)), "multiply to more"),
        (one(tensor("t", &[33], 8, 0)), "no whole Q8_0 blocks"),
        (one(tensor("t", &[1], 0, 3)), "no multiple of 32"),
        (one(tensor("t", &[17], 0, 0)), "reach beyond the 64 bytes"),
        (one(tensor("t", &[1], 0, 1 << 63)), "reach beyond"),
        (one(tensor(&"t".repeat(65), &[1], 0, 0)), "65 bytes"),
        (raw(3, &[tensor("t", &[1], 0, 0), tensor("t", &[1], 0, 32)], &[], 64), "the name is there twice"),
        (raw(3, &[tensor("t", &[9], 0, 0), tensor("u", &[1], 0, 32)], &[], 64), "`u`: it overlaps tensor `t`"),
    ];
    for (bytes, expected) in cases {
        let message = message(&bytes);
        assert!(message.contains(expected), "{message:?} does not say {expected:?}");
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let mut numbers = vec![1.0; 32];
    assert!(TensorFormat::Q4K.encode("t", &numbers, 32).unwrap_err().to_string().contains("no whole blocks of 256"));
    assert!(TensorFormat::Q5_1.encode("t", &numbers, 32).unwrap_err().to_string().contains("only read"));
    numbers[3] = f32::NAN;
    let error = TensorFormat::Q8_0.encode("t", &numbers, 32).unwrap_err();
    assert!(matches!(error, GgufError::Unfit { ref name, format: "Q8_0", .. } if name == "t"), "{error}");
    numbers[3] = 1e5;
    assert!(TensorFormat::F16.encode("t", &numbers, 32).is_err());
    assert!(TensorFormat::Bf16.encode("t", &numbers, 32).is_ok());
}

#[test]
fn metadata_of_another_type_are_told() {
    let mut metadata = Metadata::new();
    metadata.insert("count", Value::I32(-1));
    metadata.insert("name", Value::Text("x".into()));
    assert!(metadata.whole("count").unwrap_err().to_string().contains("`count` is a whole number"));
    assert!(metadata.fraction("name").unwrap_err().to_string().contains("`name` is text"));
    assert!(metadata.text("absent").unwrap_err().to_string().contains("no `absent`"));
    assert_eq!(metadata.truth("absent").unwrap(), None);
}
