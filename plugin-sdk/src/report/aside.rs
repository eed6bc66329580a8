//! Units that have no report, while others have theirs.

use crate::{Error, ErrorType, Outcome, Output, Result, Severity};

/// The most units of one input that are told of one by one. The host keeps 1,000 problems, warnings among them.
const MAX_TOLD: u64 = 900;

/// Keeps what was wrong with units until it is known whether anything comes of the input, and tells of no more than can be read.
#[derive(Debug, Default)]
pub struct Aside {
    finished: u64,
    /// What was wrong before the first report was finished.
    first: Option<Error>,
    told: u64,
    /// Units beyond those that were told of.
    more: u64,
}

impl Aside {
    /// Says that a unit has its report.
    pub fn finished(&mut self) {
        self.finished += 1;
    }

    /// Takes the result of one unit: where it failed, it has no report, and the others go on. The first error is kept until it is known whether
    /// anything comes of the input.
    ///
    /// # Errors
    /// The error itself where going on makes no sense: the host failed.
    pub fn set_aside(&mut self, output: &mut Output, result: Result<()>) -> Result<()> {
        match result {
            Ok(()) => Ok(()),
            Err(error) if error.kind == ErrorType::Internal => Err(error),
            Err(error) if self.nothing_yet() => {
                self.first = Some(error);
                Ok(())
            }
            Err(error) => {
                if let Some(first) = self.first.take_if(|_| self.finished > 0) {
                    self.tell(output, first)?;
                }
                self.tell(output, error)
            }
        }
    }

    /// Whether no unit was set aside, and none has a report either.
    pub fn nothing_yet(&self) -> bool {
        self.first.is_none() && self.finished == 0
    }

    /// Ends the conversion: what was set aside is a problem where there are reports, and where there is none, the first of it is the
    /// conversion's error.
    ///
    /// # Errors
    /// The first error of an input without reports.
    pub fn conclude(mut self, output: &mut Output) -> Result<Outcome> {
        match self.first.take() {
            Some(error) if self.finished == 0 => return Err(error),
            Some(error) => self.tell(output, error)?,
            None => {}
        }
        if self.more > 0 {
            let message = format!("{} more units have no report, after {MAX_TOLD} of which it is said why", self.more);
            output.problem(Severity::Error, Error::malformed(message).code("more"))?;
        }
        Ok(Outcome::Converted)
    }

    fn tell(&mut self, output: &mut Output, error: Error) -> Result<()> {
        if self.told < MAX_TOLD {
            self.told += 1;
            return output.problem(Severity::Error, error);
        }
        self.more += 1;
        Ok(())
    }
}
