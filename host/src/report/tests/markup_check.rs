//! A reader of HTML, strict where browsers forgive.

/// What a page holds.
#[derive(Default)]
pub struct Page {
    /// Every `id`, in order.
    pub ids: Vec<String>,
    /// What every `href` within the page points at.
    pub links: Vec<String>,
    /// Every `src`.
    pub sources: Vec<String>,
    /// The text of every `h1`.
    pub headings: Vec<String>,
    /// Images that have no text instead of them.
    pub images_without_alt: Vec<String>,
}

impl Page {
    /// Reads a page. Panics where tags do not balance, an attribute is not quoted or is there
    /// twice, a character should have been escaped, an `id` is there twice, or a link leads
    /// nowhere.
    pub fn read(html: &str) -> Self {
        let mut rest = html.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
        let mut page = Self::default();
        let mut open: Vec<String> = Vec::new();
        while let Some(start) = rest.find('<') {
            let text = &rest[..start];
            rest = &rest[start + 1..];
            if open.last().is_some_and(|tag| tag == "style") {
                assert!(rest.starts_with("/style>"), "a tag in the style sheet");
            } else {
                check_text(text);
            }
            if open.last().is_some_and(|tag| tag == "bdi") && open.contains(&"h1".to_owned()) {
                page.headings.push(text.to_owned());
            }
            let (tag, after) = rest.split_once('>').expect("an end of the tag");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "tags do not balance");
                continue;
            }
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            page.attributes(name, attributes);
            if !["img", "meta"].contains(&name) {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty(), "{open:?} stay open");
        assert_eq!(rest.trim(), "");
        for (i, id) in page.ids.iter().enumerate() {
            assert!(!page.ids[..i].contains(id), "id {id} is there twice");
        }
        for link in &page.links {
            assert!(page.ids.contains(link), "{link} leads nowhere");
        }
        page
    }

    fn attributes(&mut self, tag: &str, mut rest: &str) {
        let mut seen: Vec<&str> = Vec::new();
        while let Some((name, after)) = rest.split_once("=\"") {
            let name = name.trim_start();
            let (value, after) = after.split_once('"').expect("a closing quote");
            rest = after;
            assert!(
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
                "an attribute is called {name}"
            );
            assert!(!name.starts_with("on"), "an event handler");
            assert!(!seen.contains(&name), "{name} is there twice");
            seen.push(name);
            check_text(value);
            match name {
                "id" => self.ids.push(value.to_owned()),
                "href" => {
                    let target = value.strip_prefix('#').expect("a link within the page");
                    self.links.push(target.to_owned());
                }
                "src" => self.sources.push(value.to_owned()),
                _ => {}
            }
        }
        assert_eq!(rest, "", "what remains of a tag");
        if tag == "img" && !seen.contains(&"alt") {
            self.images_without_alt.push(rest.to_owned());
        }
    }
}

/// Every `&` begins one of the escapes in use.
fn check_text(text: &str) {
    for after in text.split('&').skip(1) {
        assert!(
            ["amp;", "lt;", "gt;", "quot;", "#39;"]
                .iter()
                .any(|escape| after.starts_with(escape)),
            "a bare ampersand before {after:?}"
        );
    }
    assert!(!text.contains('>'), "a bare > in {text:?}");
}
