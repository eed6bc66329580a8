//! The text of a piece of HTML. XJTAG's runner writes what it shows as such, and it may be all that says what is wrong.

/// The text without its tags: a line for each block, entities resolved as far as XJTAG uses them.
pub(crate) fn text(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        push(&mut text, before);
        let Some((tag, after)) = after.split_once('>') else { return text };
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        let block = matches!(name, "p" | "br" | "div" | "h1" | "h2" | "h3" | "h4" | "tr" | "table" | "li");
        if block && !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        rest = after;
    }
    push(&mut text, rest);
    text
}

fn push(text: &mut String, part: &str) {
    // The order matters: what `&amp;` stands for begins no other entity.
    let part = part.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    if !part.trim().is_empty() {
        text.push_str(&part);
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn tags_go_and_blocks_are_lines() {
        for (html, expected) in [
            ("", ""),
            ("<a name=x></a>", ""),
            (r#"<a href="component:B,IC6">IC6</a>"#, "IC6"),
            ("<h2>Error: <a>Short</a>: IO13.</h2>\n<h3>Net</h3><br />", "Error: Short: IO13.\nNet\n"),
            ("a &lt;b&gt; &amp;lt;", "a <b> &lt;"),
            ("cut <a", "cut "),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }
}
