//! Messages in the bodies of refusals, as one line of text, and the reason that they give.

use super::Refusal;

/// Returns the reason of a refusal from the text of its body.
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

/// Returns the message of a body in one line: `message` or `error` of JSON, the title of a web page, or the text itself.
pub(super) fn message_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let message = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => ["message", "error", "description"].iter().find_map(|name| named(&value, name)),
        Err(_) => title(&text),
    };
    let line = message.unwrap_or_else(|| text.into_owned()).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "an empty response".to_owned();
    }
    line
}

/// Returns the text of a key, also of one inside `chart` and `error`, where Yahoo writes it.
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
    fn a_body_becomes_one_line_of_text() {
        let cases: [(&str, &str); 8] = [
            (r#"{"status":"ERROR","error":"Unknown API Key"}"#, "Unknown API Key"),
            (r#"{"status":"ERROR","message":"Invalid  API\nkey"}"#, "Invalid API key"),
            (r#"{"chart":{"result":null,"error":{"code":"Not Found","description":"No data"}}}"#, "No data"),
            ("<html>\n<head><title>504 Gateway Time-out</title></head></html>", "a web page, \"504 Gateway Time-out\""),
            ("Too Many Requests\r\n", "Too Many Requests"),
            ("", "an empty response"),
            ("{}", "{}"),
            ("<title>", "<title>"),
        ];
        for (body, expected) in cases {
            assert_eq!(message_text(body.as_bytes()), expected);
        }
        message_text(&[0xff, 0xfe, b'<']);
    }

    #[test]
    fn the_reason_of_a_refusal_is_read_from_its_text() {
        let reason = |text: &str| refusal(format!(r#"{{"status":"NOT_AUTHORIZED","message":"{text}"}}"#).as_bytes());
        assert_eq!(reason("You are not entitled to this data. Please upgrade your plan"), Refusal::Entitlement);
        assert_eq!(reason("Your plan doesn't include this data timeframe."), Refusal::Timeframe);
        assert_eq!(reason("Attempted to request today's data before end of day."), Refusal::Today);
        assert_eq!(reason("Forbidden."), Refusal::Entitlement);
        assert_eq!(reason("subscription does not permit querying recent SIP data"), Refusal::Today);
    }
}
