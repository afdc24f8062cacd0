//! Reads an XML answer into a tree of elements with text: enough for what S3 sends. What a parser
//! refuses or changes is refused or changed here, but for references to control characters.

/// One element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name without a prefix.
    pub name: String,
    /// Its own text, unescaped.
    pub content: String,
    /// Its attributes as they stood.
    pub attributes: String,
    /// The elements in it.
    pub children: Vec<Node>,
}

impl Node {
    /// Parses a document; the root element is the result.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unfit = |c: char| (c < ' ' && !"\t\n\r".contains(c)) || "\u{fffe}\u{ffff}".contains(c);
        if let Some(letter) = text.chars().find(|letter| unfit(*letter)) {
            return Err(format!("{letter:?} must not stand in a document"));
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let mut rest = text.trim_start_matches('\u{feff}').trim_start();
        if rest.starts_with("<?xml") {
            rest = rest.split_once("?>").ok_or("an unfinished declaration")?.1;
        }
        let (root, rest) = Self::element(rest.trim_start())?;
        if rest.trim().is_empty() { Ok(root) } else { Err(format!("{rest:?} after the root")) }
    }

    /// The text of the first direct child of this name; empty when there is none.
    pub fn text(&self, name: &str) -> String {
        self.child(name).map(|child| child.content.clone()).unwrap_or_default()
    }

    /// The first direct child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All direct children of this name.
    pub fn all(&self, name: &str) -> Vec<&Self> {
        self.children.iter().filter(|child| child.name == name).collect()
    }

    /// The text `field` of every direct child `name`.
    pub fn column(&self, name: &str, field: &str) -> Vec<String> {
        self.all(name).iter().map(|child| child.text(field)).collect()
    }

    fn element(text: &str) -> Result<(Self, &str), String> {
        let rest = text.strip_prefix('<').ok_or_else(|| format!("no element at {text:.40?}"))?;
        let (tag, mut rest) = rest.split_once('>').ok_or("an unfinished tag")?;
        let empty = tag.ends_with('/');
        let tag = tag.trim_end_matches('/');
        let (name, attributes) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let local = name.rsplit(':').next().unwrap_or(name);
        let mut node = Self {
            name: local.to_owned(),
            attributes: attributes.trim().to_owned(),
            ..Self::default()
        };
        if empty {
            return Ok((node, rest));
        }
        loop {
            let (before, _) = rest.split_once('<').ok_or_else(|| format!("{name} has no end"))?;
            node.content.push_str(&unescape(before)?);
            rest = &rest[before.len()..];
            if let Some(after) = rest.strip_prefix("</") {
                let (end, after) = after.split_once('>').ok_or("an unfinished tag")?;
                if end.trim() != name {
                    return Err(format!("{name} ended by {end}"));
                }
                return Ok((node, after));
            }
            let (child, after) = Self::element(rest)?;
            node.children.push(child);
            rest = after;
        }
    }
}

/// Writes text for use inside an element.
pub fn escape(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '&' | '<' | '>' | '\0'..='\u{1f}' | '\u{fffe}'.. => {
            format!("&#{};", u32::from(letter))
        }
        letter => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after.split_once(';').ok_or_else(|| format!("bare & in {text:?}"))?;
        out.push_str(before);
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = match name.strip_prefix("#x") {
                    Some(digits) => u32::from_str_radix(digits, 16).ok(),
                    None => name.strip_prefix('#').and_then(|digits| digits.parse().ok()),
                };
                number.and_then(char::from_u32).ok_or_else(|| format!("unknown &{name};"))?
            }
        });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[test]
fn a_document_becomes_a_tree() {
    let text =
        "<?xml version=\"1.0\"?>\n<A xmlns=\"u\"><B/><C>1 &lt; &#50;</C><C><D>x</D></C></A>\n";
    let root = Node::parse(text).expect("well formed");
    assert_eq!(root.name, "A");
    assert_eq!(root.text("C"), "1 < 2");
    assert_eq!(root.column("C", "D"), ["", "x"]);
    assert!(root.child("B").is_some());
    assert!(Node::parse("<A><B></A></B>").is_err());
    assert!(Node::parse("<A/><B/>").is_err());
    assert!(Node::parse("<A>\u{1}</A>").is_err());
    assert_eq!(Node::parse("<A>\r\n\r&#13;&#1;</A>").expect("well formed").content, "\n\n\r\u{1}");
}
