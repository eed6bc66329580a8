//! The walk over a report: suites, cases, results, and the documents that come of them.
//!
//! A case is written as soon as it is read, so that memory holds one case and the heads of the open suites, whatever the size of the input.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use dropforge_sdk::{Document, Error, Input, Output, Result};
use dropforge_xml::{Element, Source, Text, Token, Xml};

use crate::Options;
use crate::model::{Case, CaseResult, Counts, Head, Kind, Property, Reported, Run, Status, Tail, seconds};

/// How many bytes the content of one case, or of one suite less its cases, may have.
const MAX_CONTENT_BYTES: usize = 32 << 20;
/// How many properties one element may have.
const MAX_PROPERTIES: usize = 10_000;

/// Reads one report.
pub(crate) struct Report<'a, 'i, 'o> {
    xml: Xml<&'a mut Input<'i>>,
    output: &'o mut Output,
    options: Options,
    /// The input's name without its extension.
    stem: String,
    run: Option<Run>,
    /// How many suites were begun.
    suites: u64,
    /// How many documents were finished.
    pub finished: u64,
    /// Keys that were given.
    keys: BTreeSet<String>,
    /// How many cases the finished documents hold, by status.
    pub statuses: BTreeMap<Status, u64>,
}

/// A suite that is being read.
struct Suite {
    name: Option<String>,
    path: Vec<Option<String>>,
    line: u64,
    document: Document,
    reported: Reported,
    own: Counts,
    all: Counts,
    nested: bool,
    statuses: BTreeMap<Status, u64>,
    content: Content,
}

/// What cases and suites have besides results and cases, and how much more may come.
struct Content {
    properties: Vec<Property>,
    system_out: Text,
    system_err: Text,
    room: usize,
}

impl<'a, 'i, 'o> Report<'a, 'i, 'o> {
    /// Opens the input.
    ///
    /// # Errors
    /// `Unsupported` for an encoding that is not read; what reading gives.
    pub(crate) fn open(input: &'a mut Input<'i>, options: Options, output: &'o mut Output) -> Result<Self> {
        let name = input.name();
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let stem = if stem.is_empty() { name.clone() } else { stem.to_owned() };
        let xml = Xml::new(Source::open(input)?);
        let (keys, statuses) = (BTreeSet::new(), BTreeMap::new());
        Ok(Report { xml, output, options, stem, run: None, suites: 0, finished: 0, keys, statuses })
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// The first thing that is broken, with its place. Documents of complete suites are finished by then.
    pub(crate) fn read(&mut self) -> Result<()> {
        if let Token::Start(root) = self.xml.next(&mut Text::ignored())? {
            match root.name.as_str() {
                "testsuites" => self.run(root)?,
                "testsuite" => {
                    self.suite(root, &[])?;
                }
                name => {
                    let message = format!("the root element is <{name}>; JUnit XML has <testsuites> or <testsuite>");
                    return Err(root.place.of(Error::unsupported(message).code("not_junit")));
                }
            }
        }
        // Whatever stands behind the root is an error, which the reader finds.
        self.xml.next(&mut Text::ignored())?;
        if let Some((entity, place)) = self.xml.unknown_entity.take() {
            let message = format!("`&{entity};` is an entity that XML does not define; it is kept as it is written, as are others like it");
            self.output.warn(place.of(Error::validation(message).code("unknown_entity")))?;
        }
        Ok(())
    }

    /// Reads the element `testsuites`. Cases that stand in it directly (Node.js writes such) make one more suite.
    fn run(&mut self, mut element: Element) -> Result<()> {
        let (name, line) = (element.take("name"), element.place.line);
        let (timestamp, hostname) = (element.take("timestamp"), element.take("hostname"));
        let reported = Reported::take(&mut element);
        let attributes = element.attributes.into_iter().collect();
        self.run = Some(Run { name: name.clone(), reported: reported.clone(), attributes, properties: Vec::new() });
        let (mut own, mut all) = (Counts::default(), Counts::default());
        let mut content = Content::new(&self.options);
        let mut loose: Option<Suite> = None;
        while let Token::Start(element) = self.xml.next(&mut Text::ignored())? {
            match element.name.as_str() {
                "testsuite" => all.merge(&self.suite(element, &[])?),
                "testcase" => {
                    let mut suite = match loose.take() {
                        Some(suite) => suite,
                        None => {
                            let mut attributes = vec![("name".to_owned(), name.clone())];
                            attributes.extend([("timestamp".into(), timestamp.clone()), ("hostname".into(), hostname.clone())]);
                            let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                            self.begin(Element { name: String::new(), attributes, place: element.place }, &[])?
                        }
                    };
                    self.case(element, &mut suite)?;
                    loose = Some(suite);
                }
                "properties" => {
                    self.properties(&mut content)?;
                    if let Some(run) = &mut self.run {
                        run.properties.clone_from(&content.properties);
                    }
                }
                _ => self.xml.skip()?,
            }
        }
        if let Some(suite) = loose {
            own = self.finish(suite)?;
            all.merge(&own);
        }
        self.compare("the report", line, &reported, &own, &all)
    }

    /// Reads a suite with the suites inside it, and gives what all of them count.
    fn suite(&mut self, element: Element, path: &[Option<String>]) -> Result<Counts> {
        let mut suite = self.begin(element, path)?;
        while let Token::Start(element) = self.xml.next(&mut Text::ignored())? {
            match element.name.as_str() {
                "testcase" => self.case(element, &mut suite)?,
                "testsuite" => {
                    suite.nested = true;
                    let counts = self.suite(element, &suite.path)?;
                    suite.all.merge(&counts);
                }
                _ => self.content(element, &mut suite.content)?,
            }
        }
        self.finish(suite)
    }

    /// Begins a suite's document with what its tag says.
    fn begin(&mut self, mut element: Element, path: &[Option<String>]) -> Result<Suite> {
        self.suites += 1;
        let line = element.place.line;
        let (name, timestamp, hostname) = (element.take("name"), element.take("timestamp"), element.take("hostname"));
        let reported = Reported::take(&mut element);
        let path: Vec<_> = path.iter().cloned().chain([name.clone()]).collect();

        let label = name.as_deref().filter(|name| !name.trim().is_empty());
        let label = label.map_or_else(|| self.suites.to_string(), |name| cut(name, 100).to_owned());
        let mut document = self.output.document("application/json", &format!("{}.{label}.json", cut(&self.stem, 500)))?;
        document.set_key(&self.key(&path, timestamp.as_deref()))?;
        for (attribute, value) in [("suite", &name), ("timestamp", &timestamp), ("hostname", &hostname)] {
            if let Some(value) = value {
                document.set_attribute(attribute, cut(value, 1024))?;
            }
        }

        let head = Head {
            name: name.as_deref(),
            path: &path,
            timestamp: timestamp.as_deref(),
            hostname: hostname.as_deref(),
            time: reported.time,
            reported: &reported,
            attributes: element.attributes.into_iter().collect(),
            run: self.run.as_ref(),
        };
        // One object in three parts: the head without its closing brace, the cases, the tail without its opening brace.
        let head = serde_json::to_string(&head)?;
        write!(document, "{},\"cases\":[", head.strip_suffix('}').unwrap_or(&head))?;
        let content = Content::new(&self.options);
        let (own, all, statuses) = (Counts::default(), Counts::default(), BTreeMap::new());
        Ok(Suite { name, path, line, document, reported, own, all, nested: false, statuses, content })
    }

    /// Ends a suite's document.
    fn finish(&mut self, suite: Suite) -> Result<Counts> {
        let Suite { name, line, mut document, reported, own, mut all, nested, statuses, content, .. } = suite;
        all.merge(&own);
        let Content { properties, system_out, system_err, .. } = content;
        self.warn_of_dropped("the suite's system-out", line, &system_out)?;
        self.warn_of_dropped("the suite's system-err", line, &system_err)?;
        let tail = Tail {
            counted: &own,
            counted_with_nested: nested.then_some(&all),
            properties: &properties,
            system_out: system_out.into_value(),
            system_err: system_err.into_value(),
        };
        let tail = serde_json::to_string(&tail)?;
        let end = if own.tests > 0 { "\n" } else { "" };
        writeln!(document, "{end}],{}", tail.strip_prefix('{').unwrap_or(&tail))?;
        document.finish()?;
        self.finished += 1;
        for (status, count) in statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        let name = name.map_or_else(|| "a suite without a name".to_owned(), |name| format!("suite `{}`", cut(&name, 200)));
        self.compare(&name, line, &reported, &own, &all)?;
        Ok(all)
    }

    fn compare(&mut self, what: &str, line: u64, reported: &Reported, own: &Counts, all: &Counts) -> Result<()> {
        let differences = reported.differences(own, all);
        if differences.is_empty() {
            return Ok(());
        }
        let message = format!("{what} says {}", differences.join("; "));
        self.output.warn(Error::validation(message).code("counts_differ").line(line))
    }

    /// Reads a case and writes it.
    fn case(&mut self, mut element: Element, suite: &mut Suite) -> Result<()> {
        let mut case = Case {
            name: element.take("name"),
            classname: element.take("classname"),
            file: element.take("file"),
            line: element.take_as("line", |text| text.trim().parse().ok()),
            time: element.take_as("time", seconds),
            status: Status::Passed,
            results: Vec::new(),
            attributes: element.attributes.into_iter().collect(),
            properties: Vec::new(),
            system_out: None,
            system_err: None,
        };
        let line = element.place.line;
        let mut content = Content::new(&self.options);
        while let Token::Start(element) = self.xml.next(&mut Text::ignored())? {
            match Kind::of(&element.name) {
                Some(kind) => case.results.push(self.result(kind, element, &mut content)?),
                None => self.content(element, &mut content)?,
            }
        }
        self.warn_of_dropped("the case's system-out", line, &content.system_out)?;
        self.warn_of_dropped("the case's system-err", line, &content.system_err)?;
        case.properties = content.properties;
        (case.system_out, case.system_err) = (content.system_out.into_value(), content.system_err.into_value());
        case.judge();
        suite.document.write_all(if suite.own.tests == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut suite.document, &case)?;
        suite.own.add(&case);
        *suite.statuses.entry(case.status).or_default() += 1;
        Ok(())
    }

    /// Reads a result. Surefire's retries have their stack trace and output in elements of their own.
    fn result(&mut self, kind: Kind, mut element: Element, content: &mut Content) -> Result<CaseResult> {
        let line = element.place.line;
        let class = element.take("type");
        let message = element.take("message").map(|message| {
            let mut text = Text::new(self.options.max_text_bytes as usize);
            text.push(&message);
            text
        });
        if let Some(message) = &message {
            self.warn_of_dropped("the message", line, message)?;
        }
        let mut text = Text::new(self.options.max_text_bytes as usize);
        let mut inner = Content::new(&self.options);
        inner.room = content.room;
        while let Token::Start(element) = self.xml.next(&mut text)? {
            match element.name.as_str() {
                "stackTrace" => self.text(&mut text)?,
                _ => self.content(element, &mut inner)?,
            }
        }
        self.warn_of_dropped("the text", line, &text)?;
        self.warn_of_dropped("the result's system-out", line, &inner.system_out)?;
        self.warn_of_dropped("the result's system-err", line, &inner.system_err)?;
        content.room = inner.room;
        let message = message.map(Text::into_string);
        let text = text.into_value();
        let used = [&class, &message, &text].into_iter().flatten().map(String::len).sum::<usize>() + size_of::<CaseResult>();
        content.take_room(used, line)?;
        Ok(CaseResult { kind, class, message, text, system_out: inner.system_out.into_value(), system_err: inner.system_err.into_value() })
    }

    /// Reads what cases, results and suites have in common; what is none of it is skipped.
    fn content(&mut self, element: Element, content: &mut Content) -> Result<()> {
        let keep = self.options.include_output;
        let line = element.place.line;
        match element.name.as_str() {
            "properties" => self.properties(content),
            "system-out" if keep => {
                let before = content.system_out.kept_bytes();
                self.text(&mut content.system_out)?;
                content.take_room(content.system_out.kept_bytes() - before, line)
            }
            "system-err" if keep => {
                let before = content.system_err.kept_bytes();
                self.text(&mut content.system_err)?;
                content.take_room(content.system_err.kept_bytes() - before, line)
            }
            _ => self.xml.skip(),
        }
    }

    /// Reads the text of an element, with that of the elements inside it.
    fn text(&mut self, text: &mut Text) -> Result<()> {
        while let Token::Start(_) = self.xml.next(text)? {
            self.text(text)?;
        }
        Ok(())
    }

    fn properties(&mut self, content: &mut Content) -> Result<()> {
        while let Token::Start(mut element) = self.xml.next(&mut Text::ignored())? {
            if element.name != "property" {
                self.xml.skip()?;
                continue;
            }
            let line = element.place.line;
            let (name, value) = (element.take("name"), element.take("value"));
            let mut text = Text::new(self.options.max_text_bytes as usize);
            self.text(&mut text)?;
            self.warn_of_dropped("the property", line, &text)?;
            let value = value.or_else(|| text.into_value());
            let used = [&name, &value].into_iter().flatten().map(String::len).sum::<usize>() + size_of::<Property>();
            content.take_room(used, line)?;
            if content.properties.len() == MAX_PROPERTIES {
                let message = format!("more than {MAX_PROPERTIES} properties");
                return Err(Error::unsupported(message).code("too_large").line(line));
            }
            content.properties.push(Property { name, value });
        }
        Ok(())
    }

    fn warn_of_dropped(&mut self, what: &str, line: u64, text: &Text) -> Result<()> {
        if text.dropped == 0 {
            return Ok(());
        }
        let message = format!("{what} is cut: {} bytes are over max_text_bytes = {}", text.dropped, self.options.max_text_bytes);
        self.output.warn(Error::validation(message).code("text_cut").line(line))
    }

    /// What a suite is about: its path, its timestamp, and a number where another suite of this file has the same of both.
    fn key(&mut self, path: &[Option<String>], timestamp: Option<&str>) -> String {
        let named = path.iter().map(|name| name.as_deref().unwrap_or_default()).collect::<Vec<_>>().join("/");
        let mut base = cut(&named, 900).to_owned();
        if let Some(timestamp) = timestamp {
            base.push('@');
            base.push_str(cut(timestamp, 64));
        }
        let mut key = if base.is_empty() { format!("#{}", self.suites) } else { base.clone() };
        if self.keys.contains(&key) {
            key = format!("{base}#{}", self.suites);
        }
        self.keys.insert(key.clone());
        key
    }
}

impl Content {
    fn new(options: &Options) -> Self {
        let text = || Text::new(options.max_text_bytes as usize);
        Content { properties: Vec::new(), system_out: text(), system_err: text(), room: MAX_CONTENT_BYTES }
    }

    fn take_room(&mut self, bytes: usize, line: u64) -> Result<()> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| {
            let message =
                format!("one case or suite has more than {} MiB of texts; a smaller max_text_bytes cuts them", MAX_CONTENT_BYTES >> 20);
            Error::unsupported(message).code("too_large").line(line)
        })?;
        Ok(())
    }
}

/// The first bytes of a text, at most `limit`, in whole characters.
fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}
