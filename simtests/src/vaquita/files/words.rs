//! What clients want, as text: `put /d/f1 1003 9000 anything`.

use super::{Expected, Order};

/// An order as text, which [`parse_order`] reads back; what is in no history is for people only.
#[must_use]
pub fn order_text(order: &Order) -> String {
    match order {
        Order::Put {
            path,
            number,
            len,
            expect,
        } => format!("put {path} {number} {len} {}", expected_text(*expect)),
        Order::Get { path } => format!("get {path}"),
        Order::Remove { path } => format!("remove {path}"),
        Order::Rename { from, to, replace } => {
            let how = if *replace { "replace" } else { "keep" };
            format!("rename {from} {to} {how}")
        }
        Order::Ask(ask) => format!("ask {ask:?}"),
    }
}

fn expected_text(expected: Expected) -> String {
    match expected {
        Expected::Anything => "anything".to_owned(),
        Expected::Nothing => "nothing".to_owned(),
        Expected::Something => "something".to_owned(),
        Expected::Number(number) => number.to_string(),
    }
}

/// Bytes of a file at most: all of it is in memory.
const LEN_MAX: usize = 64 << 20;

/// Reads an order back.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_order(text: &str) -> Result<Order, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| {
        let wrong = |_| format!("`{text}`: `{word}` is no number");
        word.parse::<u64>().map_err(wrong)
    };
    let path = |word: &str| {
        vaquita_core::dfs::path::DfsPath::parse(word)
            .map(|_| word.to_owned())
            .map_err(|what| format!("`{text}`: {what}"))
    };
    match *words.as_slice() {
        ["put", at, content, len, expect] => Ok(Order::Put {
            path: path(at)?,
            number: number(content)?,
            len: match usize::try_from(number(len)?) {
                Ok(len) if len <= LEN_MAX => len,
                _ => return Err(format!("`{text}`: {LEN_MAX} bytes are the most")),
            },
            expect: match expect {
                "anything" => Expected::Anything,
                "nothing" => Expected::Nothing,
                "something" => Expected::Something,
                word => Expected::Number(number(word)?),
            },
        }),
        ["get", at] => Ok(Order::Get { path: path(at)? }),
        ["remove", at] => Ok(Order::Remove { path: path(at)? }),
        ["rename", from, to, how @ ("replace" | "keep")] => Ok(Order::Rename {
            from: path(from)?,
            to: path(to)?,
            replace: how == "replace",
        }),
        _ => Err(format!(
            "`{text}` is no order; there are put PATH NUMBER LEN anything|nothing|something|NUMBER, get \
             PATH, remove PATH, rename FROM TO replace|keep"
        )),
    }
}
