//! `libvirt.conf`: the URI to use when nobody says, and short names of URIs.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use crate::model::error::{self, Error, ErrorKind, ErrorOrigin};

/// What libvirt's own tools read from it too.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LibvirtConf {
    pub(crate) uri_default: Option<String>,
    /// Names and their URIs.
    uri_aliases: Vec<(String, String)>,
}

impl LibvirtConf {
    /// Returns the file of this user: root's is the system's. There is none without a home.
    pub(crate) fn path() -> Option<PathBuf> {
        if rustix::process::geteuid().is_root() {
            return Some("/etc/libvirt/libvirt.conf".into());
        }
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let config = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.or_else(|| Some(Path::new(&variable("HOME")?).join(".config")))?;
        Some(config.join("libvirt/libvirt.conf"))
    }

    /// Reads the file of this user; one that is not there says nothing.
    pub(crate) fn read() -> error::Result<Self> {
        let Some(path) = Self::path() else {
            return Ok(Self::default());
        };
        let error = |kind, context| Error::new(kind, ErrorOrigin::Library, context);
        match fs::read(&path) {
            Ok(bytes) => Self::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|what| error(ErrorKind::Malformed, format!("{}, {what}", path.display()))),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(cause) => {
                let context = format!("cannot read {}", path.display());
                Err(error(ErrorKind::System, context).because(cause))
            }
        }
    }

    /// Returns the URI that a name stands for; what is no name stands for itself.
    pub(crate) fn resolve<'a>(&'a self, uri: &'a str) -> &'a str {
        let alias = self.uri_aliases.iter().find(|(name, _)| name == uri);
        alias.map_or(uri, |(_, uri)| uri)
    }

    /// The error is a line and what is wrong there.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, rest: text };
        let mut conf = Self::default();
        while let Some((key, value)) = reader.entry().map_err(|what| reader.at(&what))? {
            match (key, value) {
                ("uri_default", Value::Text(uri)) => {
                    conf.uri_default = (!uri.is_empty()).then(|| uri.to_owned());
                }
                ("uri_default", _) => return Err(reader.at("uri_default must be a text in quotes")),
                ("uri_aliases", Value::List(entries)) => {
                    let aliases = entries.into_iter().map(alias).collect::<Result<_, _>>();
                    conf.uri_aliases = aliases.map_err(|what| reader.at(&what))?;
                }
                ("uri_aliases", _) => return Err(reader.at("uri_aliases must be a list")),
                _ => {}
            }
        }
        Ok(conf)
    }
}

fn alias(entry: Value) -> Result<(String, String), String> {
    let Value::Text(text) = entry else {
        return Err("uri_aliases must have texts in quotes".to_owned());
    };
    let (name, uri) = text
        .split_once('=')
        .ok_or_else(|| format!("the alias '{text}' must look like name=driver:///path"))?;
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
        return Err(format!("the alias '{name}' may have only letters, digits, _ and -"));
    }
    Ok((name.to_owned(), uri.to_owned()))
}

/// A value of the file.
enum Value<'a> {
    Text(&'a str),
    Number,
    List(Vec<Value<'a>>),
}

/// Reads `key = value` lines.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// Returns the sentence with the line that was read last.
    fn at(&self, what: &str) -> String {
        let read = self.text.len() - self.rest.len();
        let before = self.text.bytes().take(read).filter(|byte| *byte == b'\n').count();
        format!("line {}: {what}", before + 1)
    }

    /// Returns the next key and its value, and `None` at the end.
    fn entry(&mut self) -> Result<Option<(&'a str, Value<'a>)>, String> {
        self.skip_lines();
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if key.is_empty() {
            return Err("a name is expected".to_owned());
        }
        self.skip_blanks();
        if !self.skip("=") {
            return Err(format!("'{key}' must be followed by ="));
        }
        self.skip_blanks();
        let value = if self.skip("[") { Value::List(self.list()?) } else { self.scalar()? };
        self.skip_blanks();
        match self.rest.chars().next() {
            None | Some('\n' | '#') => Ok(Some((key, value))),
            Some(_) => Err(format!("something follows the value of '{key}'")),
        }
    }

    fn list(&mut self) -> Result<Vec<Value<'a>>, String> {
        let mut values = Vec::new();
        loop {
            self.skip_lines();
            if self.skip("]") {
                return Ok(values);
            }
            values.push(self.scalar()?);
            self.skip_lines();
            if !self.skip(",") && !self.rest.starts_with(']') {
                return Err("a list goes on with a comma or ends with ]".to_owned());
            }
        }
    }

    /// Reads a number or a text in quotes. There are no escapes.
    fn scalar(&mut self) -> Result<Value<'a>, String> {
        for quote in ["\"\"\"", "\"", "'"] {
            if self.skip(quote) {
                let (text, rest) =
                    self.rest.split_once(quote).ok_or("a closing quote is missing")?;
                if quote.len() == 1 && text.contains('\n') {
                    return Err("a closing quote is missing".to_owned());
                }
                self.rest = rest;
                return Ok(Value::Text(text));
            }
        }
        match self.take_while(|c| c.is_ascii_digit() || c == '-') {
            "" => Err("a number or a text in quotes is expected".to_owned()),
            _ => Ok(Value::Number),
        }
    }

    fn skip(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\r'));
    }

    /// Skips blanks, empty lines and comments.
    fn skip_lines(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if !self.rest.starts_with('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// Reads a text, for [`crate::fuzz`]: a mistake is said with its line.
pub fn fuzz(bytes: &[u8]) {
    match LibvirtConf::parse(&String::from_utf8_lossy(bytes)) {
        Ok(conf) => drop(conf.resolve("name")),
        Err(what) => assert!(what.starts_with("line "), "{what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aliases(text: &str) -> Vec<(String, String)> {
        LibvirtConf::parse(text).unwrap().uri_aliases
    }

    fn default(text: &str) -> Option<String> {
        LibvirtConf::parse(text).unwrap().uri_default
    }

    // virsh 9.0 reads all of these the same way, but for the comment at the start of the list and
    // the empty text, which it takes for mistakes.
    #[test]
    fn every_spelling_of_libvirt_is_read() {
        for text in [
            "uri_default = \"qemu:///x\"",
            "# a comment\n\n  uri_default='qemu:///x' # another",
            "uri_default = \"\"\"qemu:///x\"\"\"\n",
            "other = -5\nnumbers = [1, 2]\n_a1=\"b\"\r\nuri_default = \"qemu:///x\"\r\n",
            "uri_default = \"a\"\nuri_default = \"qemu:///x\"",
        ] {
            assert_eq!(default(text).as_deref(), Some("qemu:///x"), "{text}");
        }
        for text in ["", "\n", "#uri_default = \"x\"", "uri_default = \"\""] {
            assert_eq!(default(text), None, "{text}");
        }
        for text in [
            "uri_aliases = [\n # c\n \"a=qemu:///b?c=d\", # e\n\n 'f-_1=',\n]\n",
            "uri_aliases=[\"a=qemu:///b?c=d\",\"f-_1=\"]",
        ] {
            let expected = [("a", "qemu:///b?c=d"), ("f-_1", "")];
            let expected = expected.map(|(name, uri)| (name.to_owned(), uri.to_owned()));
            assert_eq!(aliases(text), expected, "{text}");
        }
        assert_eq!(aliases("uri_aliases = []"), []);
    }

    #[test]
    fn a_name_stands_for_its_uri_once() {
        let conf = LibvirtConf::parse("uri_aliases = [ \"t=u\", \"u=test:///default\" ]").unwrap();
        let resolved = ["t", "u", "T", "xen"].map(|name| conf.resolve(name).to_owned());
        assert_eq!(resolved, ["u", "test:///default", "T", "xen"]);
    }

    // virsh 9.0 refuses these too.
    #[test]
    fn a_mistake_is_said_with_its_line() {
        for (text, expected) in [
            ("\n# c\nuri_default", "line 3: 'uri_default' must be followed by ="),
            ("uri_default\n=\n\"x\"", "line 1: 'uri_default' must be followed by ="),
            ("a = 1\nuri_default =\n", "line 2: a number or a text in quotes is expected"),
            ("uri_default = qemu:///system", "line 1: a number or a text in quotes is expected"),
            ("uri_default = \"x\nb = \"y\"", "line 1: a closing quote is missing"),
            ("uri_default = \"x", "line 1: a closing quote is missing"),
            ("uri_default = \"x\" y = 1", "line 1: something follows the value of 'uri_default'"),
            ("uri_default = 5", "line 1: uri_default must be a text in quotes"),
            ("é = 5", "line 1: a name is expected"),
            ("uri_aliases = \"t=u\"", "line 1: uri_aliases must be a list"),
            ("uri_aliases = [ 5 ]", "line 1: uri_aliases must have texts in quotes"),
            (
                "uri_aliases = [\n\"a=b\"\n\"c=d\"]",
                "line 3: a list goes on with a comma or ends with ]",
            ),
            ("uri_aliases = [ \"a=b\",\n", "line 2: a number or a text in quotes is expected"),
            ("uri_aliases = [,]", "line 1: a number or a text in quotes is expected"),
            ("uri_aliases = [[\"a=b\"]]", "line 1: a number or a text in quotes is expected"),
            ("uri_aliases=[\n\"ab\"]", "line 2: the alias 'ab' must look like name=driver:///path"),
            (
                "uri_aliases=[\"a =b\"]",
                "line 1: the alias 'a ' may have only letters, digits, _ and -",
            ),
        ] {
            assert_eq!(LibvirtConf::parse(text).unwrap_err(), expected, "{text}");
        }
    }
}
