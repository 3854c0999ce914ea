use super::*;

fn draw(seed: u64) -> Token {
    Token::draw(&mut SecretPrng::new(Seed::from_number(seed)))
}

#[test]
fn a_token_reads_back_as_it_was_written() {
    for seed in 0..50 {
        let token = draw(seed);
        let text = token.reveal();
        assert_eq!(text.len(), 4 + 16 + 1 + 64, "{text}");
        let read = Token::parse(&text).unwrap();
        assert_eq!(read.id(), token.id());
        assert_eq!(read.digest(), token.digest());
    }
}

#[test]
fn there_is_one_way_to_write_a_token() {
    let text = draw(1).reveal();
    let wrong = [
        String::new(),
        "vqt_".to_owned(),
        "vqt__".to_owned(),
        text.to_uppercase(),
        text.replacen("vqt_", "VQT_", 1),
        format!(" {text}"),
        format!("{text} "),
        format!("{text}0"),
        text[..text.len() - 1].to_owned(),
        text.replacen('_', "", 1),
        text.replacen("vqt_", "vqt_+", 1),
        format!("vqt_{}_{}", "é".repeat(8), "0".repeat(64)),
        format!("vqt_{}_{}", "0".repeat(16), "é".repeat(32)),
        format!("vqt_{}_{}", "0".repeat(16), "+1".repeat(32)),
        format!("vqt_+{}_{}", "0".repeat(15), "0".repeat(64)),
    ];
    for wrong in wrong {
        assert!(Token::parse(&wrong).is_none(), "{wrong:?}");
    }
}

#[test]
fn the_digest_is_sha_256_of_the_secrets_bytes() {
    let text = format!("vqt_{}_{}", "0".repeat(16), "0".repeat(64));
    let token = Token::parse(&text).unwrap();
    // SHA-256 of 32 zero bytes.
    let expected = [
        0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77, 0x6c, 0x8f, 0xc1, 0x8b, 0x8e, 0x9f, 0x8e,
        0x20, 0x08, 0x97, 0x14, 0x85, 0x6e, 0xe2, 0x33, 0xb3, 0x90, 0x2a, 0x59, 0x1d, 0x0d, 0x5f,
        0x29, 0x25,
    ];
    assert_eq!(token.digest(), TokenDigest::new(expected));
}

proptest::proptest! {
    #[test]
    fn no_text_is_too_odd_to_be_no_token(text in "\\PC*") {
        if let Some(token) = Token::parse(&text) {
            assert_eq!(token.reveal(), text);
        }
    }
}
