//! What holds for all command lines.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{fuzz_command_line, fuzz_console, fuzz_flags};

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn any_words_are_a_command_or_a_usage_error(data in vec(any::<u8>(), 0..80)) {
        fuzz_command_line(&data);
    }

    #[test]
    fn any_words_are_flags_of_a_server_or_are_complained_of(data in vec(any::<u8>(), 0..80)) {
        fuzz_flags(&data);
    }

    #[test]
    fn any_line_is_a_command_of_the_console_or_is_complained_of(
        line in "(start|stop)DataNode ?\\( ?\\[?(\"[a-z1 ]{0,3}'?\"|'P1-NODE1'|,|\"| ){0,6}\\]?\\)?;?|\\PC{0,20}",
    ) {
        fuzz_console(line.as_bytes());
    }
}
