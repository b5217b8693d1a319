//! What vendors say in words: bodies of every kind, put into one line, and the kinds of no told apart.

use super::Refusal;

/// Tells the three kinds of 403 apart by what stands in the body.
pub(super) fn refusal(body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    if text.contains("today's data") || text.contains("before end of day") || text.contains("recent sip data") {
        Refusal::Today
    } else if text.contains("timeframe") || text.contains("time frame") {
        Refusal::Timeframe
    } else {
        Refusal::Entitlement
    }
}

/// Returns what a body says, in one line: the `message` or `error` of JSON, the title of a page, or the text itself.
pub(super) fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => ["message", "error", "description"].iter().find_map(|name| named(&value, name)),
        Err(_) => title(&text),
    };
    let line = said.unwrap_or_else(|| text.into_owned()).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "an empty answer".to_owned();
    }
    line
}

/// Finds a text of this name, also inside `chart` and `error`, where Yahoo puts it.
fn named(value: &serde_json::Value, name: &str) -> Option<String> {
    let found = value.get(name).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    let deeper = || ["chart", "error"].iter().find_map(|part| named(value.get(part)?, name));
    found.map(str::to_owned).or_else(deeper)
}

fn title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = start + lower.get(start..)?.find("</title>")?;
    text.get(start..end).map(|title| format!("a web page, {title:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_put_into_one_line_of_words() {
        let cases: [(&str, &str); 8] = [
            (r#"{"status":"ERROR","error":"Unknown API Key"}"#, "Unknown API Key"),
            (r#"{"status":"ERROR","message":"Invalid  API\nkey"}"#, "Invalid API key"),
            (r#"{"chart":{"result":null,"error":{"code":"Not Found","description":"No data"}}}"#, "No data"),
            ("<html>\n<head><title>504 Gateway Time-out</title></head></html>", "a web page, \"504 Gateway Time-out\""),
            ("Too Many Requests\r\n", "Too Many Requests"),
            ("", "an empty answer"),
            ("{}", "{}"),
            ("<title>", "<title>"),
        ];
        for (body, expected) in cases {
            assert_eq!(words(body.as_bytes()), expected);
        }
        words(&[0xff, 0xfe, b'<']);
    }

    #[test]
    fn three_kinds_of_no_are_told_apart() {
        let no = |text: &str| refusal(format!(r#"{{"status":"NOT_AUTHORIZED","message":"{text}"}}"#).as_bytes());
        assert_eq!(no("You are not entitled to this data. Please upgrade your plan"), Refusal::Entitlement);
        assert_eq!(no("Your plan doesn't include this data timeframe."), Refusal::Timeframe);
        assert_eq!(no("Attempted to request today's data before end of day."), Refusal::Today);
        assert_eq!(no("Forbidden."), Refusal::Entitlement);
        assert_eq!(no("subscription does not permit querying recent SIP data"), Refusal::Today);
    }
}
