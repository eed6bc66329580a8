//! What a step consists of.

use super::{Limits, Moment, Status, TextLimit};

/// The part of a test program that a step belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Group {
    /// `S`: before the test proper.
    Setup,
    /// `M`: the test proper.
    #[default]
    Main,
    /// `C`: after it.
    Cleanup,
}

impl Group {
    /// The letter in a report.
    pub fn letter(self) -> &'static str {
        match self {
            Group::Setup => "S",
            Group::Main => "M",
            Group::Cleanup => "C",
        }
    }
}

/// What every step has. The name is needed; `Step { total_time: Some(0.2), ..Step::named("R1") }`.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// What it is called; at most 100 characters.
    pub name: String,
    /// The part of the test program.
    pub group: Group,
    /// How it ended, where the file says so.
    pub status: Option<Status>,
    /// How long it took, in seconds.
    pub total_time: Option<f64>,
    /// When it began.
    pub start: Option<Moment>,
    /// The number of its error.
    pub error_code: Option<i64>,
    /// What went wrong; at most 200 characters.
    pub error_message: Option<String>,
    /// What else there is to say; at most 5,000 characters.
    pub report_text: Option<String>,
    /// Its place in a loop.
    pub repetition: Option<Repetition>,
    /// A diagram.
    pub chart: Option<Chart>,
    /// A file.
    pub attachment: Option<Attachment>,
}

impl Step {
    /// A step of which the name is all that is known yet.
    pub fn named(name: impl Into<String>) -> Step {
        Step { name: name.into(), ..Step::default() }
    }

    /// The same with a status.
    pub fn status(mut self, status: Status) -> Step {
        self.status = Some(status);
        self
    }
}

/// A step that was repeated, or one repetition of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// The summary of all repetitions.
    Summary {
        /// How often it ran.
        count: u32,
        /// The last index.
        ending_index: i32,
        /// How often it passed.
        passed: u32,
        /// How often it failed.
        failed: u32,
    },
    /// One repetition, by its index.
    Index(i32),
}

/// What a sequence call called.
#[derive(Debug, Clone, Default)]
pub struct SequenceCall {
    /// The sequence's name; at most 200 characters.
    pub name: Option<String>,
    /// The file that it is in; at most 500 characters.
    pub path: Option<String>,
    /// Its version; at most 30 characters.
    pub version: Option<String>,
}

/// A number that was measured.
#[derive(Debug, Clone, Default)]
pub struct Numeric {
    /// What it is called, where the step has several; at most 100 characters.
    pub name: Option<String>,
    /// The value, which may be NaN or infinite.
    pub value: f64,
    /// Its unit.
    pub unit: Option<String>,
    /// Its limits. None of them is NaN.
    pub limits: Limits,
    /// How it was judged, where the file says so.
    pub status: Option<Status>,
}

/// Something that is right or wrong.
#[derive(Debug, Clone)]
pub struct PassFail {
    /// What it is called, where the step has several.
    pub name: Option<String>,
    /// How it was judged. There is nothing to compute.
    pub status: Status,
}

/// A text that was read.
#[derive(Debug, Clone, Default)]
pub struct Text {
    /// What it is called, where the step has several.
    pub name: Option<String>,
    /// The text; at most 100 characters.
    pub value: String,
    /// What it is compared with.
    pub limit: TextLimit,
    /// How it was judged, where the file says so.
    pub status: Option<Status>,
}

/// A diagram of one or more curves.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    /// Which axes are logarithmic.
    pub scale: Scale,
    /// Its title.
    pub label: String,
    /// What the x axis shows.
    pub x_label: String,
    /// The x axis's unit.
    pub x_unit: Option<String>,
    /// What the y axis shows.
    pub y_label: String,
    /// The y axis's unit.
    pub y_unit: Option<String>,
    /// The curves, at most ten.
    pub series: Vec<Series>,
}

/// How a diagram's axes are divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Both evenly.
    #[default]
    Line,
    /// Both logarithmically.
    LineLogXy,
    /// The x axis logarithmically.
    LineLogX,
    /// The y axis logarithmically.
    LineLogY,
}

impl Scale {
    /// The name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Line => "Line",
            Scale::LineLogXy => "LineLogXY",
            Scale::LineLogX => "LineLogX",
            Scale::LineLogY => "LineLogY",
        }
    }
}

/// A curve: points in their order.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// What it is called.
    pub name: String,
    /// The points.
    pub points: Vec<(f64, f64)>,
}

/// A file inside a report.
#[derive(Debug, Clone, Default)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes.
    pub data: Vec<u8>,
}
