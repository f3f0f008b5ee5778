//! HTML and SVG as a tree: tags balance and strings are escaped by construction.

use std::fmt::{self, Display, Formatter, Write};

/// Elements that have no content and no end tag. SVG's own have end tags.
const VOID: [&str; 4] = ["col", "img", "link", "meta"];

/// An element with its attributes and children.
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

enum Node {
    Element(Element),
    Text(String),
    /// The project's own style sheet: the one text that is not escaped.
    Style(&'static str),
}

/// An element of that name.
pub fn el(name: &'static str) -> Element {
    Element {
        name,
        attributes: Vec::new(),
        children: Vec::new(),
    }
}

/// The style sheet of the page.
pub fn style(sheet: &'static str) -> Element {
    let mut element = el("style");
    element.children.push(Node::Style(sheet));
    element
}

impl Element {
    /// With an attribute.
    pub fn attr(mut self, name: &'static str, value: impl Display) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// With a class, or several between spaces.
    pub fn class(self, class: impl Display) -> Self {
        self.attr("class", class)
    }

    /// With text after what it has.
    pub fn text(mut self, text: impl Display) -> Self {
        self.children.push(Node::Text(text.to_string()));
        self
    }

    /// With an element after what it has.
    pub fn child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// With elements after what it has; an `Option` adds one or none.
    pub fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children
            .extend(children.into_iter().map(Node::Element));
        self
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"")?;
            escape(f, value)?;
            f.write_char('"')?;
        }
        f.write_char('>')?;
        if VOID.contains(&self.name) {
            return Ok(());
        }
        for child in &self.children {
            match child {
                Node::Element(element) => element.fmt(f)?,
                Node::Text(text) => escape(f, text)?,
                Node::Style(sheet) => f.write_str(sheet)?,
            }
        }
        write!(f, "</{}>", self.name)
    }
}

/// Writes `text` so that it means itself, in content and between quotes alike. Control characters,
/// which HTML forbids, become U+FFFD.
fn escape(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    for character in text.chars() {
        match character {
            '&' => f.write_str("&amp;")?,
            '<' => f.write_str("&lt;")?,
            '>' => f.write_str("&gt;")?,
            '"' => f.write_str("&quot;")?,
            '\'' => f.write_str("&#39;")?,
            '\n' | '\t' => f.write_char(character)?,
            _ if character.is_control() => f.write_char(char::REPLACEMENT_CHARACTER)?,
            _ => f.write_char(character)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_cannot_leave_their_place() {
        let element = el("p")
            .attr("title", "\" onclick='x'")
            .text("</p><script>&amp;\0\u{1b}");
        assert_eq!(
            element.to_string(),
            "<p title=\"&quot; onclick=&#39;x&#39;\">&lt;/p&gt;&lt;script&gt;&amp;amp;\u{fffd}\u{fffd}</p>"
        );
    }

    #[test]
    fn void_elements_have_no_end() {
        let element = el("p")
            .child(el("img").attr("alt", ""))
            .children(Some(el("b").text(1)));
        assert_eq!(element.to_string(), "<p><img alt=\"\"><b>1</b></p>");
    }
}
